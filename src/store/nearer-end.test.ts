import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromNearerEnd, type Place } from './nearer-end.ts'

/** What a database gives for a place in 0, 1, 2 …, in the order that was asked for. */
function entriesOf({ order, offset, limit }: Place, total: number): readonly number[] {
  const all = Array.from({ length: total }, (_, i) => i)
  return (order === 'asc' ? all : all.toReversed()).slice(offset, offset + limit)
}

const ascending = (entries: readonly number[]) => entries.toSorted((a, b) => a - b)

test('the entries are the same from either end, and at most half of the list is passed over', () => {
  const number = fc.nat(60)
  fc.assert(
    fc.property(fc.constantFrom('asc', 'desc'), number, number, number, (order, offset, limit, total) => {
      const place = { order, offset, limit }
      const nearer = fromNearerEnd(place, total)
      assert.deepEqual(ascending(entriesOf(nearer, total)), ascending(entriesOf(place, total)))
      assert.ok(nearer.limit === 0 || nearer.offset <= total / 2)
    }),
  )
})

for (const [place, total, expected, reason] of [
  [{ order: 'desc', offset: 0, limit: 10 }, 100, { order: 'desc', offset: 0, limit: 10 }, 'the first page'],
  [{ order: 'desc', offset: 99_900, limit: 100 }, 100_001, { order: 'asc', offset: 1, limit: 100 }, 'nearly the last'],
  [
    { order: 'asc', offset: 90, limit: 20 },
    100,
    { order: 'desc', offset: 0, limit: 10 },
    'a last page that is not full',
  ],
  [{ order: 'asc', offset: 45, limit: 10 }, 100, { order: 'asc', offset: 45, limit: 10 }, 'the middle'],
  [{ order: 'asc', offset: 200, limit: 10 }, 100, { order: 'desc', offset: 0, limit: 0 }, 'behind the end'],
] as const)
  test(reason, () => assert.deepEqual(fromNearerEnd(place, total), expected))
