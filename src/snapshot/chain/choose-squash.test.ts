import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTooMuch, mostOfOurs, nextLayers, tooManyLayers, tooMuchSuperseded } from './choose-squash.ts'

const MB = 2 ** 20

const COUNTS: readonly (readonly [why: string, original: number, ours: number, isTooMany: boolean])[] = [
  ['the first layer of all', 6, 1, false],
  ['32 layers may lie on the first base', 6, 32, false],
  ['one more may not', 6, 33, true],
  ['an image of 100 layers is one that others can build on', 70, 30, false],
  ['one of 101 is not', 70, 31, true],
  ['a base of nothing', 0, 32, false],
  ['a base of nothing, and one layer more', 0, 33, true],
  ['a base of 100 layers: eight may follow, or each capture would squash', 100, 8, false],
  ['a base of 100 layers, and nine', 100, 9, true],
  ['a base of 120 layers: engines pull 125', 120, 5, false],
  ['a base of 120 layers, and six', 120, 6, true],
  ['a base that leaves no room at all: one layer is not merged with itself', 125, 1, false],
]

for (const [why, original, ours, isTooMany] of COUNTS)
  test(`layers: ${why}`, () => assert.equal(tooManyLayers({ original, ours }) !== undefined, isTooMany))

test('as many may follow as the smallest of the limits leaves, and always one', () => {
  for (let original = 0; original <= 200; original++) {
    const most = mostOfOurs(original)
    assert.ok(most >= 1 && most <= 32, String(original))
    if (original < 125) assert.ok(original + most <= 125, String(original))
  }
})

test('a limit of the caller counts instead', () => {
  const limits = { layers: 3, supersededBytes: 1 }
  assert.equal(tooManyLayers({ original: 1, ours: 3 }, limits), undefined)
  assert.equal(tooManyLayers({ original: 1, ours: 4 }, limits), '4 layers would lie on the first base image, and 3 may')
})

const BYTES: readonly (readonly [why: string, totalMB: number, supersededMB: number, isMuch: boolean])[] = [
  ['nothing at all', 0, 0, false],
  ['everything, but it is not much', 256, 256, false],
  ['more than 256 MiB, and more than half', 500, 257, true],
  ['more than 256 MiB, and just half', 514, 257, false],
  ['much, but less than half', 10_000, 4_999, false],
  ['much, and more than half', 10_000, 5_001, true],
]

for (const [why, total, superseded, isMuch] of BYTES)
  test(`superseded: ${why}`, () => {
    const bytes = { total: total * MB, superseded: superseded * MB }
    assert.equal(isTooMuch(bytes), isMuch)
    const reason = `${superseded} MiB of the ${total} MiB in our layers are no longer there`
    assert.equal(tooMuchSuperseded(bytes), isMuch ? reason : undefined)
  })

test('whatever is left alone is at most twice what a squash would leave, and 256 MiB', () => {
  for (let total = 0; total <= 2000; total += 50)
    for (let superseded = 0; superseded <= total; superseded += 50)
      if (!isTooMuch({ total: total * MB, superseded: superseded * MB }))
        assert.ok(total <= 2 * (total - superseded) + 256, `${superseded} of ${total}`)
})

test('what a preview expects: the layers below, and one for each 2 GiB that is new', () => {
  const below = { original: 3, below: 7 }
  assert.deepEqual(nextLayers(below, { entries: 1, rawBytes: 0 }), { original: 3, ours: 5 })
  assert.deepEqual(nextLayers(below, { entries: 9, rawBytes: 5 * 2 ** 30 }), { original: 3, ours: 7 })
  assert.deepEqual(nextLayers(below, { entries: 0, rawBytes: 0 }), { original: 3, ours: 4 })
})
