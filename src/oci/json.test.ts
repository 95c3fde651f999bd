import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { JSON_LIMIT_BYTES, asArray, asObject, asString, asStringMap, isObject, parseJsonObject } from './json.ts'

const isRefusal = (sentence: RegExp) => (error: unknown) =>
  error instanceof AppError && error.code === 'image_unsupported' && sentence.test(error.message)
const nested = (depth: number) => `{"a":`.repeat(depth) + '1' + '}'.repeat(depth)

const TAKEN: readonly [text: string, reason: string][] = [
  ['{}', 'an empty object'],
  [' {"a" : [1, -2.5, 1e3, null, true, "x"]}\n', 'every kind of value'],
  [`{"a":${Number.MAX_SAFE_INTEGER},"b":-${Number.MAX_SAFE_INTEGER}}`, 'the largest exact numbers'],
  [nested(64), 'nesting up to the limit'],
  ['{"__proto__":{"polluted":1},"constructor":2}', 'keys that mean something in JavaScript'],
  ['{"a":"\\u0000\\ud83d\\ude00"}', 'any text'],
]
for (const [text, reason] of TAKEN) {
  test(`json: ${reason}`, () => {
    const parsed = parseJsonObject(Buffer.from(text), 'document')
    assert.equal(JSON.stringify(parsed), JSON.stringify(JSON.parse(text)))
    assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
  })
}

const REFUSED: readonly [text: string | Buffer, sentence: RegExp, reason: string][] = [
  ['', /^The image's document is not JSON in UTF-8\.$/, 'nothing'],
  ['{"a":1}x', /not JSON/, 'something behind the end'],
  ["{'a':1}", /not JSON/, 'single quotes'],
  ['[]', /is not an object/, 'a list'],
  ['"{}"', /is not an object/, 'text'],
  ['null', /is not an object/, 'null'],
  ['{"a":9007199254740992}', /too large a number/, 'an integer that JavaScript may have rounded'],
  ['{"a":[{"b":-1e300}]}', /too large a number/, 'a huge number, deep inside'],
  [nested(66), /nested more than 64 deep/, 'nesting beyond the limit'],
  [`{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}`, /nested|not JSON/, 'nesting that would end the stack'],
  [Buffer.from([0x7b, 0x22, 0xc3, 0x22, 0x3a, 0x31, 0x7d]), /UTF-8/, 'broken UTF-8'],
  [Buffer.from('\ufeff{}'), /not JSON/, 'a byte order mark'],
  [Buffer.from('{}', 'utf16le'), /not JSON/, 'UTF-16'],
  [Buffer.alloc(JSON_LIMIT_BYTES + 1, ' '), /more than 4 MiB/, 'a byte too many'],
]
for (const [text, sentence, reason] of REFUSED) {
  test(`no json: ${reason}`, () => {
    assert.throws(() => parseJsonObject(Buffer.from(text), 'document'), isRefusal(sentence))
  })
}

test('json: a document of exactly 4 MiB', () => {
  assert.deepEqual(parseJsonObject(Buffer.from('{}'.padEnd(JSON_LIMIT_BYTES)), 'document'), {})
})

test('values are what they are said to be, or refused by name', () => {
  assert.deepEqual(asObject({ a: 1 }, 'x'), { a: 1 })
  assert.deepEqual(asArray([1], 'x'), [1])
  assert.equal(asString('', 'x'), '')
  assert.deepEqual(asStringMap({ a: 'b' }, 'x'), { a: 'b' })
  for (const missing of [null, undefined]) {
    assert.deepEqual(asArray(missing, 'x'), [])
    assert.deepEqual(asStringMap(missing, 'x'), {})
    assert.throws(() => asObject(missing, 'x'), isRefusal(/^The image's x is not an object\.$/))
    assert.throws(() => asString(missing, 'x'), isRefusal(/^The image's x is not text\.$/))
  }
  for (const wrong of [1, true, 'text', {}]) assert.throws(() => asArray(wrong, 'x'), isRefusal(/x is not a list/))
  for (const wrong of [1, true, 'text', []]) assert.throws(() => asObject(wrong, 'x'), isRefusal(/x is not an object/))
  for (const wrong of [1, true, [], {}]) assert.throws(() => asString(wrong, 'x'), isRefusal(/x is not text/))
  for (const wrong of [1, [], { a: null }, { a: {} }])
    assert.throws(() => asStringMap(wrong, 'x'), isRefusal(/x is not/))
  assert.deepEqual([{}, [], null, 1].map(isObject), [true, false, false, false])
})

test('json: a key named __proto__ is a key', () => {
  const map = asStringMap(parseJsonObject(Buffer.from('{"__proto__":"x","a":"b"}'), 'labels'), 'labels')
  assert.equal(JSON.stringify(map), '{"__proto__":"x","a":"b"}')
})

test('property: what is taken is written back as it was', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
      const text = JSON.stringify(value)
      let parsed
      try {
        parsed = parseJsonObject(Buffer.from(text), 'document')
      } catch (error) {
        assert.ok(isRefusal(/too large a number/)(error), String(error))
        return
      }
      assert.equal(JSON.stringify(parsed), text)
    }),
  )
})

test('property: any bytes are taken or refused by name', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        parseJsonObject(bytes, 'document')
      } catch (error) {
        assert.ok(isRefusal(/document/)(error), String(error))
      }
    }),
  )
})
