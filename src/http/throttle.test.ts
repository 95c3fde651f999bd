import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { Throttle } from './throttle.ts'

const at = (start: number) => {
  const clock = { nowMs: start, wallMs: () => 0, wallNs: () => 0n, monotonicMs: () => clock.nowMs }
  return clock
}

const isTaken = (throttle: Throttle, action = 'GetInstance', account = '1') => {
  try {
    throttle.take(account, action)
    return true
  } catch (error) {
    assert.ok(error instanceof AppError && error.code === 'rate_exceeded')
    return false
  }
}

test('a second has as many calls as the limit says, and the answer says how long to wait', () => {
  const clock = at(1000)
  const throttle = new Throttle({ perSecond: 5, clock })
  assert.deepEqual(
    Array.from({ length: 6 }, () => isTaken(throttle)),
    [true, true, true, true, true, false],
  )
  assert.throws(
    () => throttle.take('1', 'GetInstance'),
    (error) =>
      error instanceof AppError &&
      error.details['timeLeftMs'] === 200 &&
      error.details['wireCode'] === 'Throttling.User' &&
      /GetInstance.*200 ms/.test(error.message),
  )
  clock.nowMs += 200
  assert.deepEqual([isTaken(throttle), isTaken(throttle)], [true, false])
})

test('operations and accounts are counted apart', () => {
  const throttle = new Throttle({ perSecond: 1, clock: at(0) })
  assert.ok(isTaken(throttle) && !isTaken(throttle))
  assert.ok(isTaken(throttle, 'ListInstances'))
  assert.ok(isTaken(throttle, 'GetInstance', '2'))
})

for (const action of ['GetInstanceMetrics', 'GetMetrics']) {
  test(`${action} may be called eight times as often`, () => {
    const throttle = new Throttle({ perSecond: 2, clock: at(0) })
    assert.equal(Array.from({ length: 20 }, () => isTaken(throttle, action)).filter(Boolean).length, 16)
  })
}

test('zero is no limit', () => {
  const throttle = new Throttle({ perSecond: 0, clock: at(0) })
  assert.ok(Array.from({ length: 10_000 }, () => isTaken(throttle)).every(Boolean))
})

test('whoever waits as long as was said gets through, and never more than the rate and one second', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.array(fc.nat(400), { maxLength: 200 }), (perSecond, waits) => {
      const clock = at(0)
      const throttle = new Throttle({ perSecond, clock })
      let taken = 0
      for (const wait of waits) {
        clock.nowMs += wait
        if (isTaken(throttle)) taken++
      }
      assert.ok(taken <= perSecond + (clock.nowMs * perSecond) / 1000 + 1e-6)
      while (isTaken(throttle));
      let timeLeftMs = 0
      try {
        throttle.take('1', 'GetInstance')
      } catch (error) {
        timeLeftMs = Number((error as AppError).details['timeLeftMs'])
      }
      clock.nowMs += timeLeftMs
      assert.ok(isTaken(throttle))
    }),
  )
})
