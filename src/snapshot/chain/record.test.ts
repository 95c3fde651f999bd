import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf, parseDigest, parseDiffID } from '#oci/digest.ts'
import { encodeRecord, parseRecord, type IndexRecord } from './record.ts'

/** As JSON makes objects. */
const shape = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(fields, { noNullPrototype: true })
const count = fc.nat()
const digest = fc.string().map(digestOf)
const path = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => `/${Buffer.from(bytes).toString('latin1')}`)
const texts = fc.array(path, { maxLength: 3 })

const layer = shape({
  descriptor: shape({
    mediaType: fc.constantFrom(MEDIA_TYPES.ociLayer, MEDIA_TYPES.ociLayerGzip, MEDIA_TYPES.ociLayerZstd),
    digest,
    size: count,
  }),
  diffID: digest.map(parseDiffID),
  rawBytes: count,
  created: fc.constant('2026-11-24T10:00:00.000Z'),
})
const record: fc.Arbitrary<IndexRecord> = shape({
  identity: shape({
    containerId: fc.string(),
    upperdir: path,
    inode: fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String),
    birthNs: fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String),
    base: digest,
    exclusions: texts,
  }),
  metExclusions: texts,
  stubs: texts,
  clock: shape({ bootId: fc.uuid(), offsetMs: fc.integer() }),
  takenAtMs: count,
  chain: shape({
    repository: fc.string(),
    captures: count,
    baseLayers: count,
    layers: fc.array(layer, { maxLength: 3 }),
    contentBytes: count,
    writtenBytes: count,
  }),
  body: shape({ file: fc.string(), digest, rows: count, nameBytes: count }),
})

test('what is stored comes back as it was', () =>
  fc.assert(fc.property(record, (each) => assert.deepEqual(parseRecord(encodeRecord(each)), each))))

const [sample] = fc.sample(record, { numRuns: 1, seed: 7 })
const stored = encodeRecord(sample!)

test('a record that is cut at any byte is none', () => {
  const bytes = Buffer.from(stored)
  for (let length = 0; length < bytes.length; length++)
    assert.equal(parseRecord(bytes.toString('utf8', 0, length)), undefined, `cut at ${length}`)
})

test('a record with any bit turned is none', () => {
  const bytes = Buffer.from(stored)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const turned = Buffer.from(bytes)
    turned[bit >> 3] = turned[bit >> 3]! ^ (1 << (bit & 7))
    assert.equal(parseRecord(turned.toString('utf8')), undefined, `bit ${bit}`)
  }
})

test('a record with something behind it is none', () => {
  for (const more of ['x', '\n', ' ', '\0', stored]) assert.equal(parseRecord(stored + more), undefined)
})

test('any text is a record or none, and never a failure', () =>
  fc.assert(fc.property(fc.string(), (text) => assert.equal(parseRecord(text), undefined))))

/** As if another Tintype had written it: its digest is right. */
function sealed(json: string): string {
  return `${digestOf(json)}\n${json}\n`
}

const [, written = ''] = stored.split('\n')
const whole = JSON.parse(written) as Record<string, unknown>
const version = Number(whole['version'])

test('the digest that the others are measured by', () => assert.deepEqual(parseRecord(sealed(written)), sample))

const FOREIGN: readonly (readonly [reason: string, json: string])[] = [
  ['of an older version', JSON.stringify({ ...whole, version: version - 1 })],
  ['of a newer version', JSON.stringify({ ...whole, version: version + 1 })],
  ['without a version', JSON.stringify({ ...whole, version: undefined })],
  ['that is a list', '[]'],
  ['that is null', 'null'],
  ['that is a number', '7'],
  ['that is empty', '{}'],
  ['that is no JSON', 'version 1'],
  ['with too large a number', written.replace(/"takenAtMs":\d+/, '"takenAtMs":1e300')],
  ['nested too deep', `{"version":1,"x":${'['.repeat(100)}${']'.repeat(100)}}`],
  ['with a clock that is text', JSON.stringify({ ...whole, clock: 'noon' })],
  ['with a layer that is null', JSON.stringify({ ...whole, chain: { ...(whole['chain'] as object), layers: [null] } })],
  [
    'with a digest of another kind',
    JSON.stringify({ ...whole, body: { ...(whole['body'] as object), digest: `md5:${'0'.repeat(32)}` } }),
  ],
]
for (const [reason, json] of FOREIGN)
  test(`a record ${reason} is none`, () => assert.equal(parseRecord(sealed(json)), undefined))

test('each field is needed, but for lists, which are empty then', () => {
  const isList = (key: string) => ['exclusions', 'metExclusions', 'stubs', 'layers'].includes(key)
  for (const [key, value] of Object.entries(whole)) {
    const without = JSON.stringify({ ...whole, [key]: undefined })
    assert.equal(parseRecord(sealed(without)) !== undefined, isList(key), key)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) continue
    for (const inner of Object.keys(value)) {
      const json: string = JSON.stringify({ ...whole, [key]: { ...value, [inner]: undefined } })
      assert.equal(parseRecord(sealed(json)) !== undefined, isList(inner), `${key}.${inner}`)
    }
  }
  assert.equal(parseDigest(digestOf(written)), stored.split('\n')[0])
})
