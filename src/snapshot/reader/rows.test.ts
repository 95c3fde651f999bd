import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateMostRows, Rows } from './rows.ts'

test('where there is no memory for so many rows, there are fewer', () => {
  const buffers = allocateMostRows(2 ** 40)
  assert.ok(buffers.capacity >= 100_000 && buffers.capacity < 2 ** 40)
  const rows = new Rows(buffers)
  const row = rows.allocate(buffers.capacity) + buffers.capacity - 1
  rows.setName(row, 'last')
  assert.equal(rows.name(row), 'last')
  assert.throws(() => rows.allocate(1), { code: 'limit_exceeded' })
})
