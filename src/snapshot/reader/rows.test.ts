import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STAT } from '#posix/stat.ts'
import { allocateMostRows, allocateRows, Rows } from './rows.ts'
import { isTrustedRow } from './trust.ts'

test('where there is no memory for so many rows, there are fewer', () => {
  const buffers = allocateMostRows(2 ** 40)
  assert.ok(buffers.capacity >= 100_000 && buffers.capacity < 2 ** 40)
  const rows = new Rows(buffers)
  const row = rows.allocate(buffers.capacity) + buffers.capacity - 1
  rows.setName(row, 'last')
  assert.equal(rows.name(row), 'last')
  assert.throws(() => rows.allocate(1), { code: 'limit_exceeded' })
})

const SECOND = 1_796_000_000
const AGES: readonly (readonly [why: string, nsec: number, laterMs: number, isTrusted: boolean])[] = [
  ['changed long before it was read', 500_000_000, 600, true],
  ['changed right before', 500_000_000, 510, false],
  ['a whole second, which may be the beginning of a longer one', 0, 900, false],
  ['a whole second that is over', 0, 1_100, true],
]
for (const [why, nsec, laterMs, expected] of AGES)
  test(`a row is ${expected ? '' : 'not '}trusted: ${why}`, () => {
    const rows = new Rows(allocateRows(1))
    const row = rows.allocate(1)
    rows.words[rows.stat(row) + STAT.ctimeSec] = SECOND
    rows.words[rows.stat(row) + STAT.ctimeNsec] = nsec
    rows.setReadMicros(row, SECOND * 1e6 + laterMs * 1000)
    assert.equal(isTrustedRow(rows, row), expected)
  })
