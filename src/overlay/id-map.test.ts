import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imageId } from './id-map.ts'

const MAP = [
  { inside: 0, outside: 100_000, count: 1000 },
  { inside: 5000, outside: 300_000, count: 1 },
]
const ROWS: readonly (readonly [number, number | undefined, string])[] = [
  [100_000, 0, "the container's root"],
  [100_999, 999, 'the last of a range'],
  [101_000, undefined, 'behind a range'],
  [99_999, undefined, 'before a range'],
  [300_000, 5000, 'a range of one'],
  [0, undefined, "the host's root is nobody inside"],
]
for (const [host, image, name] of ROWS) test(`host id ${host}: ${name}`, () => assert.equal(imageId(MAP)(host), image))

test('without a user namespace ids stay', () => assert.equal(imageId([])(4_294_967_294), 4_294_967_294))
