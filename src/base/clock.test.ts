import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClockWatch, systemClock } from './clock.ts'

test('the wall clock is the same in both units, and not ahead of the time', () => {
  const before = BigInt(Date.now()) * 1_000_000n
  const now = systemClock.wallNs()
  assert.ok(now >= before && now <= BigInt(Date.now()) * 1_000_000n)
})

const STEPS: readonly (readonly [string, number, boolean])[] = [
  ['it runs on', 0, false],
  ['it is set forward, or the machine slept', 3_600_000, false],
  ['it is set back by what rounding can do', -5, false],
  ['it is set back', -11, true],
  ['it is set back by an hour', -3_600_000, true],
]
for (const [name, stepMs, expected] of STEPS) {
  test(`a clock that is watched: ${name}`, () => {
    let [wall, monotonic] = [1_000_000, 50]
    const watch = new ClockWatch({ wallMs: () => wall, monotonicMs: () => monotonic, wallNs: () => 0n })
    wall += 700 + stepMs
    monotonic += 700
    assert.equal(watch.wasSetBack(), expected)
    wall -= stepMs
    assert.equal(watch.wasSetBack(), expected, 'what was said stays said')
  })
}
