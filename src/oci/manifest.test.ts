import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from './descriptor.ts'
import type { Descriptor } from './descriptor.ts'
import { digestOf } from './digest.ts'
import { isForeignLayer, isIndex, ociLayerType, parseIndex, parseManifest, selectPlatform } from './manifest.ts'
import type { Platform } from './manifest.ts'

const { ociManifest, ociIndex, dockerManifest, dockerManifestList, ociConfig, dockerConfig, ociLayerGzip } = MEDIA_TYPES
const D = (text: string) => digestOf(text)
const config = { mediaType: ociConfig, digest: D('config'), size: 6 }
const layer = { mediaType: ociLayerGzip, digest: D('layer'), size: 5 }
const manifest = { schemaVersion: 2, mediaType: ociManifest, config, layers: [layer] }
const index = { schemaVersion: 2, mediaType: ociIndex, manifests: [] as unknown[] }
const encode = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const isRefusal = (sentence: RegExp) => (error: unknown) =>
  error instanceof AppError && error.code === 'image_unsupported' && sentence.test(error.message)

const TAKEN: readonly [json: unknown, mediaType: string, reason: string][] = [
  [manifest, ociManifest, 'an OCI manifest'],
  [{ ...manifest, mediaType: undefined }, ociManifest, 'an OCI manifest that does not name itself'],
  [
    { ...manifest, mediaType: dockerManifest, config: { ...config, mediaType: dockerConfig } },
    dockerManifest,
    'schema 2',
  ],
  [{ ...manifest, layers: null }, ociManifest, 'no layers, as Go writes it'],
  [{ ...manifest, future: { a: 1 } }, ociManifest, 'a field of tomorrow'],
  [{ ...manifest, layers: [{ ...layer, mediaType: MEDIA_TYPES.dockerLayerGzip }] }, ociManifest, 'mixed families'],
]
for (const [json, mediaType, reason] of TAKEN) {
  test(`manifest: ${reason}`, () => {
    const parsed = parseManifest(encode(json), mediaType)
    assert.equal(parsed.mediaType, mediaType)
    assert.equal(parsed.config.digest, config.digest)
  })
}

test('manifest: descriptors keep what we know of them, and nothing else', () => {
  const full = { ...layer, annotations: { a: 'b' }, urls: ['https://x/y'], data: 'aGk=', platform: { os: 'linux' } }
  const { layers, annotations } = parseManifest(
    encode({ ...manifest, layers: [full, layer], annotations: { k: 'v' } }),
    ociManifest,
  )
  assert.deepEqual(layers, [{ ...layer, annotations: { a: 'b' }, urls: ['https://x/y'] }, layer])
  assert.deepEqual(annotations, { k: 'v' })
})

const bad = (more: object) => ({ ...manifest, layers: [{ ...layer, ...more }] })
const REFUSED: readonly [json: unknown, mediaType: string, sentence: RegExp, reason: string][] = [
  [{ ...manifest, manifests: [] }, ociManifest, /index at the same time/, 'both kinds in one (CVE-2021-41190)'],
  [{ ...manifest, mediaType: ociIndex }, ociManifest, /calls itself/, 'another type inside (CVE-2021-41190)'],
  [{ ...manifest, mediaType: dockerManifest }, ociManifest, /calls itself/, 'Docker inside, OCI outside'],
  [{ ...manifest, mediaType: undefined }, dockerManifest, /calls itself/, 'schema 2 without its name'],
  [{ ...manifest, mediaType: 7 }, ociManifest, /calls itself/, 'a type that is a number'],
  [{ ...manifest, mediaType: { toString: 1 } }, ociManifest, /nothing that is text/, 'a type that cannot be printed'],
  [manifest, ociIndex, /manifest at the same time|calls itself/, 'a manifest given as an index'],
  [manifest, 'application/vnd.docker.distribution.manifest.v1+prettyjws', /schema 1/, 'schema 1 by its type'],
  [manifest, 'application/json', /unknown media type/, 'a type that says nothing'],
  [{ schemaVersion: 1, fsLayers: [] }, ociManifest, /schema version 2/, 'schema 1 by its content'],
  [{ ...manifest, schemaVersion: '2' }, ociManifest, /schema version 2/, 'a version that is text'],
  [{ ...manifest, artifactType: 'a/b' }, ociManifest, /artifact/, 'an artifact'],
  [{ ...manifest, config: undefined }, ociManifest, /config descriptor/, 'no config'],
  [
    { ...manifest, config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } },
    ociManifest,
    /unknown/,
    'a chart',
  ],
  [{ ...manifest, layers: {} }, ociManifest, /not a list/, 'layers that are an object'],
  [{ ...manifest, layers: [null] }, ociManifest, /not an object/, 'a layer that is null'],
  [bad({ mediaType: `${ociLayerGzip}+encrypted` }), ociManifest, /unknown media type/, 'an encrypted layer'],
  [bad({ mediaType: 'x' }), ociManifest, /malformed/, 'a type without a slash'],
  [bad({ mediaType: `${ociLayerGzip}\n` }), ociManifest, /malformed/, 'a type with a line break'],
  [bad({ digest: 'sha256:00' }), ociManifest, /digest/, 'a short digest'],
  [bad({ digest: `sha512:${'0'.repeat(128)}` }), ociManifest, /digest/, 'another algorithm'],
  [bad({ digest: `../${layer.digest}` }), ociManifest, /digest/, 'a digest with a path'],
  [bad({ size: -1 }), ociManifest, /size/, 'a negative size'],
  [bad({ size: 1.5 }), ociManifest, /size/, 'half a byte'],
  [bad({ size: '5' }), ociManifest, /size/, 'a size that is text'],
  [bad({ size: 2 ** 60 }), ociManifest, /too large a number/, 'a size that is not exact'],
  [bad({ annotations: { a: 1 } }), ociManifest, /annotations is not text/, 'an annotation that is no text'],
  [bad({ urls: [1] }), ociManifest, /URLs/, 'a URL that is no text'],
  [[manifest], ociManifest, /not an object/, 'a list'],
  ['null', ociManifest, /not an object/, 'null'],
  ['{"schemaVersion":2', ociManifest, /not JSON/, 'half a document'],
  [`${'['.repeat(100)}${']'.repeat(100)}`, ociManifest, /nested/, 'deep nesting'],
  [`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`, ociManifest, /nested|not JSON/, 'very deep nesting'],
  [`{"a":"${'x'.repeat(4 * 1024 * 1024)}"}`, ociManifest, /4 MiB/, 'more than 4 MiB'],
]
for (const [json, mediaType, sentence, reason] of REFUSED) {
  test(`no manifest: ${reason}`, () => {
    const parse = isIndex(mediaType) ? parseIndex : parseManifest
    assert.throws(() => parse(encode(json), mediaType), isRefusal(sentence))
  })
}

test('no manifest: bytes that are not UTF-8', () => {
  const bytes = Buffer.concat([Buffer.from('{"schemaVersion":2,"a":"'), Buffer.from([0xff]), Buffer.from('"}')])
  assert.throws(() => parseManifest(bytes, ociManifest), isRefusal(/UTF-8/))
  assert.throws(() => parseManifest(Buffer.from(`\ufeff${JSON.stringify(manifest)}`), ociManifest), isRefusal(/JSON/))
})

test('no manifest: a message keeps control characters to itself', () => {
  const json = { ...manifest, layers: [{ ...layer, mediaType: 'a/b\u001b[2J' }] }
  assert.throws(
    () => parseManifest(encode(json), ociManifest),
    (error: Error) => !error.message.includes('\u001b'),
  )
})

test('each kind is told from the other', () => {
  assert.throws(() => parseManifest(encode(index), ociIndex), isRefusal(/index of several platforms/))
  assert.throws(() => parseIndex(encode(manifest), ociManifest), isRefusal(/manifest of one platform/))
  assert.throws(() => parseIndex(encode({ ...index, layers: [] }), ociIndex), isRefusal(/at the same time/))
  assert.throws(() => parseIndex(encode({ ...index, config }), ociIndex), isRefusal(/at the same time/))
})

test('layer types: the same bytes by their OCI name, and which are not ours to send', () => {
  const foreign = 'application/vnd.oci.image.layer.nondistributable.v1.tar'
  const expected: readonly [string, string, boolean][] = [
    [MEDIA_TYPES.dockerLayerGzip, ociLayerGzip, false],
    [MEDIA_TYPES.dockerLayer, MEDIA_TYPES.ociLayer, false],
    [MEDIA_TYPES.ociLayerZstd, MEDIA_TYPES.ociLayerZstd, false],
    ['application/vnd.docker.image.rootfs.diff.tar.zstd', MEDIA_TYPES.ociLayerZstd, false],
    [MEDIA_TYPES.dockerForeignLayer, `${foreign}+gzip`, true],
    [`${foreign}+zstd`, `${foreign}+zstd`, true],
    [foreign, foreign, true],
  ]
  for (const [mediaType, oci, isForeign] of expected) {
    assert.equal(ociLayerType(mediaType), oci)
    assert.equal(ociLayerType(oci), oci)
    assert.equal(isForeignLayer({ ...layer, mediaType }), isForeign, mediaType)
  }
  assert.throws(() => ociLayerType('toString'), isRefusal(/unknown/))
})

const entry = (name: string, platform?: unknown, mediaType: string = ociManifest) => ({
  mediaType,
  digest: D(name),
  size: 1,
  platform,
})
const linux = (architecture: string, variant?: string) => ({ os: 'linux', architecture, ...(variant && { variant }) })
const ENTRIES = [
  entry('attestation', { os: 'unknown', architecture: 'unknown' }),
  entry('windows', { os: 'windows', architecture: 'amd64' }),
  entry('nested', linux('s390x'), ociIndex),
  entry('v3', linux('amd64', 'v3')),
  entry('amd64', linux('amd64')),
  entry('arm6', linux('arm', 'v6')),
  entry('arm7', linux('arm', 'v7')),
  entry('arm64', linux('arm64', 'v8')),
  entry('386', linux('386')),
  entry('no platform'),
  entry('not words', { os: 'linux\u001b', architecture: 'mips' }),
  entry('riscv', linux('riscv64', 'x')),
]

const PLATFORMS: readonly [wanted: Platform, chosen: string, reason: string][] = [
  [linux('amd64'), 'amd64', 'no variant before another'],
  [linux('x86_64'), 'amd64', 'the kernel’s name for amd64'],
  [linux('amd64', 'v1'), 'amd64', 'the default variant is none'],
  [linux('amd64', 'v3'), 'v3', 'the same variant'],
  [linux('amd64', 'v2'), 'amd64', 'none before another'],
  [linux('arm'), 'arm7', 'arm is v7'],
  [linux('arm', '7'), 'arm7', 'a variant without its letter'],
  [linux('arm', 'v6'), 'arm6', 'an older arm'],
  [linux('armel'), 'arm6', 'Debian’s name for it'],
  [linux('arm64'), 'arm64', 'arm64 is v8'],
  [linux('aarch64', 'v8'), 'arm64', 'the kernel’s name for arm64'],
  [linux('i386'), '386', 'Debian’s name for 386'],
  [linux('riscv64'), 'riscv', 'another variant when there is no better one'],
  [{ os: 'windows', architecture: 'amd64' }, 'windows', 'another system'],
]
for (const [wanted, chosen, reason] of PLATFORMS) {
  test(`platform: ${reason}`, () => {
    const parsed = parseIndex(encode({ ...index, manifests: ENTRIES }), ociIndex)
    assert.equal(selectPlatform(parsed, wanted).digest, D(chosen))
  })
}

test('platform: what is missing is named with what there is', () => {
  const list = { ...index, mediaType: dockerManifestList, manifests: ENTRIES }
  const parsed = parseIndex(encode(list), dockerManifestList)
  const sentence = /^The image's index has no manifest for linux\/s390x; it has: unknown\/unknown, windows\/amd64, /
  assert.throws(() => selectPlatform(parsed, linux('s390x')), isRefusal(sentence))
  for (const architecture of ['mips', 'constructor', '__proto__', '']) {
    assert.throws(() => selectPlatform(parsed, linux(architecture)), isRefusal(/no manifest/))
  }
  assert.throws(() => selectPlatform(parseIndex(encode(index), ociIndex), linux('arm')), isRefusal(/it has: none/))
})

test('property: parse ∘ encode = id', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 20 })
  const descriptor: fc.Arbitrary<Descriptor> = fc.record(
    {
      mediaType: fc.constantFrom(ociLayerGzip, MEDIA_TYPES.dockerForeignLayer, MEDIA_TYPES.ociLayerZstd),
      digest: text.map(D),
      size: fc.maxSafeNat(),
      annotations: fc.dictionary(text, text, { minKeys: 1 }),
      urls: fc.array(text, { minLength: 1 }),
    },
    { requiredKeys: ['mediaType', 'digest', 'size'] },
  )
  fc.assert(
    fc.property(fc.array(descriptor), fc.dictionary(text, text), (layers, annotations) => {
      const parsed = parseManifest(encode({ ...manifest, layers, annotations }), ociManifest)
      assert.equal(JSON.stringify(parsed.layers), JSON.stringify(layers))
      assert.equal(JSON.stringify(parsed.annotations), JSON.stringify(annotations))
    }),
  )
})

test('property: any document is taken or refused by name', () => {
  const value = fc.jsonValue()
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...Object.keys(manifest), 'manifests', '__proto__'), value), (json) => {
      for (const [parse, mediaType] of [
        [parseManifest, ociManifest],
        [parseIndex, ociIndex],
      ] as const) {
        try {
          parse(encode({ ...json, schemaVersion: 2 }), mediaType)
        } catch (error) {
          assert.ok(error instanceof AppError && error.code === 'image_unsupported', String(error))
        }
      }
    }),
  )
})
