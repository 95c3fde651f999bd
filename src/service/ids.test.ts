import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from './ids.ts'

test('an id has its prefix, 18 letters and digits, and is never the same', () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => newId('snp')))
  assert.equal(ids.size, 1_000)
  for (const id of ids) assert.match(id, /^snp-[a-z0-9]{18}$/)
  assert.equal(new Set([...ids].join('')).size, 37, 'every letter and digit comes, and the hyphen')
})
