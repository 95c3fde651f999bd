import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseListen, parsePath, parseRegistries, parseSize, parseWhole } from './values.ts'

const SIZES: readonly (readonly [string, number])[] = [
  ['1', 1],
  ['1048576', 2 ** 20],
  ['512B', 512],
  ['1kB', 1000],
  ['1KiB', 1024],
  ['1.5GiB', 1.5 * 2 ** 30],
  ['20 GB', 20e9],
  ['2tib', 2 * 2 ** 40],
]
for (const [text, bytes] of SIZES) {
  test(`${text} is ${bytes} bytes`, () => assert.equal(parseSize('SIZE', text), bytes))
}

test('a size in bytes means itself', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (bytes) => {
      assert.equal(parseSize('SIZE', String(bytes)), bytes)
    }),
  )
})

test('a whole number means itself inside its range, and nothing else passes', () => {
  fc.assert(
    fc.property(fc.integer({ min: -10, max: 110 }), (number) => {
      const parse = () => parseWhole('N', String(number), { min: 0, max: 100 })
      if (number < 0 || number > 100) assert.throws(parse, /N must be a whole number from 0 to 100/)
      else assert.equal(parse(), number)
    }),
  )
})

test('a path is normalised and has no slash at its end', () => {
  assert.equal(parsePath('P', '/a//b/../c/'), '/a/c')
  assert.equal(parsePath('P', '/'), '/')
  assert.throws(() => parsePath('P', '/a\0b'), /absolute path/)
})

test('any port that exists can be listened on', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 65_535 }), (port) => {
      assert.deepEqual(parseListen('L', `[fe80::1]:${port}`), { host: 'fe80::1', port })
    }),
  )
})

test('registry hosts are lower-cased, since host names do not tell cases apart', () => {
  assert.deepEqual(parseRegistries('R', 'Registry.Example:443'), [{ host: 'registry.example:443', plainHttp: false }])
})
