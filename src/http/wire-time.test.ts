import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { wireTime } from './wire-time.ts'

for (const [ms, expected, reason] of [
  [0, '1970-01-01T00:00:00Z', 'where times begin'],
  [Date.UTC(2026, 10, 24, 9, 5, 7), '2026-11-24T09:05:07Z', 'two digits each'],
  [Date.UTC(2026, 1, 28, 23, 59, 59) + 999, '2026-02-28T23:59:59Z', 'the end of a second belongs to it'],
  [-1, '1969-12-31T23:59:59Z', 'down, not to zero'],
  [Date.UTC(999, 0, 1), '0999-01-01T00:00:00Z', 'four digits of a year'],
] as const)
  test(reason, () => assert.equal(wireTime(ms), expected))

test('it is what the language writes, without the milliseconds', () => {
  const times = fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true })
  fc.assert(fc.property(times, (time) => assert.equal(wireTime(time.getTime()), `${time.toISOString().slice(0, 19)}Z`)))
})
