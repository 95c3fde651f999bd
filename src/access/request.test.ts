import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { canonicalPath, canonicalPaths, canonicalQuery, decodeQuery, headerOf, percentEncode } from './request.ts'

const isIncomplete = (error: unknown) => error instanceof AppError && error.code === 'signature_incomplete'

const QUERIES: readonly (readonly [reason: string, rawQuery: string, canonical: string])[] = [
  ['no query', '', ''],
  ['sorted by name', 'b=2&a=1', 'a=1&b=2'],
  ['capitals before small letters', 'a=1&B=2', 'B=2&a=1'],
  ['a value without its =', 'a', 'a='],
  ['a value with = in it', 'a=b=c', 'a=b%3Dc'],
  ['parts that are empty', '&a=1&&b=2&', 'a=1&b=2'],
  ['a space as Java sends it', 'a=b+c', 'a=b%20c'],
  ['a plus sign', 'a=b%2Bc', 'a=b%2Bc'],
  ['a tilde as Java sends it', 'a=%7E', 'a=~'],
  ['an asterisk as Java leaves it', 'a=*', 'a=%2A'],
  ['what Node leaves raw', "a=*()'!", 'a=%2A%28%29%27%21'],
  ['hex in lower case', 'a=%e4%bd%a0', 'a=%E4%BD%A0'],
  ['a name that is encoded', 'Tag%2E1.Key=x&%61=1', 'Tag.1.Key=x&a=1'],
  ['a slash in a value', 'a=b/c', 'a=b%2Fc'],
]
for (const [reason, rawQuery, canonical] of QUERIES) {
  test(`a query has one form: ${reason}`, () => assert.equal(canonicalQuery(rawQuery), canonical))
}

const BAD_QUERIES: readonly (readonly [reason: string, rawQuery: string])[] = [
  ['a name twice', 'a=1&a=1'],
  ['a name twice in two spellings', 'a=1&%61=2'],
  ['a lonely percent sign', 'a=100%'],
  ['no hex', 'a=%zz'],
  ['no UTF-8', 'a=%ff'],
  ['half of a surrogate pair', 'a=%ED%A0%80'],
  ['bytes that are not encoded', 'a=\u00e9'],
  ['a space that is not encoded', 'a=b c'],
  ['a name that is no UTF-8', '%ff=1'],
]
for (const [reason, rawQuery] of BAD_QUERIES) {
  test(`a query is refused: ${reason}`, () => assert.throws(() => canonicalQuery(rawQuery), isIncomplete))
}

test('what is decoded is what was encoded', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((value) => value.isWellFormed())
  fc.assert(
    fc.property(fc.dictionary(text, text, { noNullPrototype: true }), (values) => {
      const raw = Object.entries(values).map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
      const decoded = decodeQuery(raw.join('&'))
      const wanted = Object.entries(values).filter(([name, value]) => name !== '' || value !== '' || raw.includes('='))
      assert.deepEqual(new Map(decoded), new Map(wanted))
      assert.deepEqual(decodeQuery(new URLSearchParams(values).toString()), decoded)
    }),
  )
})

const PATHS: readonly (readonly [reason: string, rawPath: string, spellings: readonly string[]])[] = [
  ['none', '', ['/']],
  ['plain', '/api/v2/instances/dsw-1', ['/api/v2/instances/dsw-1']],
  ['a slash in a parameter stays encoded', '/l/a%2Fb', ['/l/a%2Fb']],
  ['hex in lower case', '/l/a%2fb', ['/l/a%2fb', '/l/a%2Fb']],
  ['the three that encoders disagree on', '/l/+*%7E', ['/l/%20%2A~', '/l/+*%7E']],
  ['a quote', "/l/'", ["/l/'", '/l/%27']],
  ['a quote that is encoded', '/l/%27', ['/l/%27', "/l/'"]],
]
for (const [reason, rawPath, spellings] of PATHS) {
  test(`a path has few spellings: ${reason}`, () => {
    assert.deepEqual(canonicalPaths(rawPath), spellings)
    assert.equal(canonicalPath(rawPath), spellings[0])
  })
}

test('all spellings of a path are of the same segments', () => {
  const segment = fc.string({ unit: 'grapheme', maxLength: 10 }).filter((text) => text.isWellFormed())
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1 }), (segments) => {
      const raw = `/${segments.map(encodeURIComponent).join('/')}`
      for (const spelling of canonicalPaths(raw))
        assert.deepEqual(spelling.slice(1).split('/').map(decodeURIComponent), segments)
    }),
  )
})

test('a path that is no UTF-8 is refused', () => assert.throws(() => canonicalPaths('/%ff'), isIncomplete))

test('a header is read once or refused', () => {
  const headers = { one: ' a ', list: [' b'], twice: ['a', 'a'], none: undefined }
  assert.deepEqual(
    ['one', 'list', 'none', 'missing', '__proto__', 'constructor'].map((name) => headerOf(headers, name)),
    ['a', 'b', undefined, undefined, undefined, undefined],
  )
  assert.throws(() => headerOf(headers, 'twice'), isIncomplete)
})
