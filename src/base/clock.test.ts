import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClockWatch, readAtOnce, systemClock, type Clock } from './clock.ts'

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

test('a process that waits for its core between two clocks does not take the one for set', () => {
  let waits = 0
  const wait = () => {
    const end = performance.now() + 40
    while (performance.now() < end);
  }
  const clock = {
    ...systemClock,
    wallMs() {
      const now = systemClock.wallMs()
      if (waits-- > 0) wait() // between this reading and the next
      return now
    },
  }
  const watch = new ClockWatch(clock)
  waits = 2
  assert.equal(watch.wasSetBack(), false)
  waits = 2
  const disturbed = clockOffset(clock)
  assert.ok(Math.abs(disturbed - clockOffset(systemClock)) < 20)
})

const clockOffset = (clock: Clock) => readAtOnce(() => clock.wallMs() - clock.monotonicMs())
