import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { appendLayers } from './append-layers.ts'
import type { AppendOptions, AppendedLayer, ImageBase } from './append-layers.ts'
import { parseConfig } from './config.ts'
import { MEDIA_TYPES } from './descriptor.ts'
import type { Descriptor } from './descriptor.ts'
import { digestOf, parseDiffID } from './digest.ts'
import { parseManifest } from './manifest.ts'

const descriptor = (name: string, mediaType: string = MEDIA_TYPES.ociLayerGzip): Descriptor => ({
  mediaType,
  digest: digestOf(`${name}.gz`),
  size: name.length,
})
const diffID = (name: string) => parseDiffID(digestOf(name))
const layer = (name: string, created?: string): AppendedLayer => ({
  descriptor: descriptor(name),
  diffID: diffID(name),
  ...(created !== undefined && { created }),
})

const CONFIG = {
  history: [
    { created: '2020-01-01T00:00:00Z', created_by: 'ADD' },
    { created_by: 'ENV', empty_layer: true },
    { created_by: 'RUN' },
  ],
  os: 'linux',
  rootfs: { type: 'layers', diff_ids: [diffID('one'), diffID('two')] },
  container: 'abc',
  container_config: { Hostname: 'builder' },
  docker_version: '20.10',
  'x-vendor': { kept: true },
  created: '2020-01-01T00:00:00Z',
  architecture: 'amd64',
  config: { Env: ['PATH=/bin'], Cmd: ['sh'], Labels: { b: 'base', a: 'base' }, WorkingDir: '/w' },
}
const MANIFEST_DIGEST = digestOf('base manifest')

function base(config: object = CONFIG, more: Partial<ImageBase> = {}): ImageBase {
  const parsed = parseConfig(Buffer.from(JSON.stringify(config)))
  const layers = parsed.diffIDs.map((_, index) => descriptor(`${index}`, MEDIA_TYPES.dockerLayerGzip))
  return { config: parsed, layers, manifestDigest: MANIFEST_DIGEST, ...more }
}

const OPTIONS: AppendOptions = {
  created: '2026-11-24T10:00:00Z',
  createdBy: 'tintype snapshot',
  comment: 'a save',
  labels: { b: 'request' },
  baseName: 'python:3.12',
  title: 'my save',
  description: 'before the upgrade',
}

interface ConfigJson {
  readonly config: { readonly Labels: Record<string, string>; readonly [key: string]: unknown }
  readonly rootfs: { readonly diff_ids: readonly string[] }
  readonly history: readonly Record<string, unknown>[]
  readonly [key: string]: unknown
}

function compose(
  from: ImageBase,
  layers: readonly AppendedLayer[] = [layer('new')],
  options: Partial<AppendOptions> = {},
) {
  const image = appendLayers(from, layers, { ...OPTIONS, ...options })
  return {
    ...image,
    configJson: JSON.parse(Buffer.from(image.config.bytes).toString()) as ConfigJson,
    parsed: parseManifest(image.manifest.bytes, MEDIA_TYPES.ociManifest),
  }
}

test('an image is byte for byte what it was: test/golden/image-*.json', () => {
  const { config, manifest } = compose(base(), [layer('chain', '2025-05-05T05:05:05Z'), layer('new')])
  assert.equal(Buffer.from(config.bytes).toString(), readFileSync('test/golden/image-config.json', 'utf8'))
  assert.equal(Buffer.from(manifest.bytes).toString(), readFileSync('test/golden/image-manifest.json', 'utf8'))
})

test('a schema 2 base becomes OCI; its digests and sizes stay', () => {
  const from = base()
  const { parsed, config, manifest } = compose(from)
  assert.deepEqual(
    parsed.layers.map(({ digest, size }) => ({ digest, size })),
    [...from.layers, descriptor('new')].map(({ digest, size }) => ({ digest, size })),
  )
  assert.deepEqual(new Set(parsed.layers.map(({ mediaType }) => mediaType)), new Set([MEDIA_TYPES.ociLayerGzip]))
  assert.deepEqual(parsed.config, config.descriptor)
  assert.equal(config.descriptor.mediaType, MEDIA_TYPES.ociConfig)
  assert.equal(config.descriptor.digest, digestOf(config.bytes))
  assert.equal(config.descriptor.size, config.bytes.length)
  assert.equal(manifest.descriptor.digest, digestOf(manifest.bytes))
})

test('a foreign layer keeps its digest and where it can be fetched', () => {
  const foreign: Descriptor = { ...descriptor('0', MEDIA_TYPES.dockerForeignLayer), urls: ['https://example.com/l'] }
  const { parsed } = compose(base(CONFIG, { layers: [foreign, descriptor('1')] }))
  const mediaType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'
  assert.deepEqual(parsed.layers[0], { ...foreign, mediaType })
})

test('annotations of a layer stay, as a lazy puller needs them', () => {
  const lazy: Descriptor = { ...descriptor('0'), annotations: { z: '1', a: '2' } }
  const { parsed } = compose(base(CONFIG, { layers: [lazy, descriptor('1')] }))
  assert.deepEqual(parsed.layers[0], lazy)
})

test('the config is the base’s; what was true of its builder alone is gone', () => {
  const { configJson } = compose(base())
  assert.deepEqual(configJson.config['Env'], ['PATH=/bin'])
  assert.deepEqual(configJson.config['Cmd'], ['sh'])
  assert.equal(configJson.config['WorkingDir'], '/w')
  assert.deepEqual(configJson['x-vendor'], { kept: true })
  assert.equal(configJson['created'], OPTIONS.created)
  for (const key of ['container', 'container_config', 'docker_version']) assert.equal(key in configJson, false, key)
  assert.deepEqual(configJson.rootfs.diff_ids, [diffID('one'), diffID('two'), diffID('new')])
})

test('labels: the base’s, the request’s above them, ours above all', () => {
  const forged = { 'io.tintype.base.digest': digestOf('forged'), 'io.tintype.base.layers': '1', b: 'request' }
  const { configJson, parsed } = compose(base(), undefined, { labels: forged })
  assert.deepEqual(configJson.config.Labels, {
    a: 'base',
    b: 'request',
    'io.tintype.base.digest': MANIFEST_DIGEST,
    'io.tintype.base.layers': '2',
  })
  assert.equal(parsed.annotations['b'], 'request')
  assert.equal(parsed.annotations['a'], undefined)
  const { manifestDigest: _, ...unnamed } = base()
  const labels = compose(unnamed, undefined, { labels: forged }).configJson.config.Labels
  assert.deepEqual([labels['io.tintype.base.digest'], labels['io.tintype.base.layers']], [undefined, '2'])
})

test('annotations: what image-spec has a name for', () => {
  const key = (name: string) => `org.opencontainers.image.${name}`
  assert.deepEqual(compose(base()).parsed.annotations, {
    b: 'request',
    [key('base.digest')]: MANIFEST_DIGEST,
    [key('base.name')]: 'python:3.12',
    [key('created')]: OPTIONS.created,
    [key('description')]: 'before the upgrade',
    [key('title')]: 'my save',
  })
  const { title: _t, description: _d, ...bare } = OPTIONS
  const { manifestDigest: _, ...unnamed } = base()
  const { manifest } = appendLayers(unnamed, [], { ...bare, labels: {} })
  const { annotations } = parseManifest(manifest.bytes, MEDIA_TYPES.ociManifest)
  assert.deepEqual(Object.keys(annotations), [key('base.name'), key('created')])
})

test('the original base is handed on, from save to save', () => {
  const first = compose(base())
  const second = compose({
    config: parseConfig(first.config.bytes),
    layers: first.parsed.layers,
    manifestDigest: first.manifest.descriptor.digest,
  })
  const labels = second.configJson.config.Labels
  assert.equal(labels['io.tintype.base.digest'], MANIFEST_DIGEST)
  assert.equal(labels['io.tintype.base.layers'], '2')
  assert.equal(second.parsed.layers.length, 4)
  assert.equal(second.parsed.annotations['org.opencontainers.image.base.digest'], first.manifest.descriptor.digest)
})

const made = (history: readonly Record<string, unknown>[]) =>
  history.filter((item) => item['empty_layer'] !== true).length
const HISTORIES: readonly [history: unknown, kept: number, reason: string][] = [
  [CONFIG.history, 3, 'a history that fits is kept'],
  [undefined, 0, 'no history'],
  [[], 0, 'an empty history'],
  [[{ created_by: 'ENV', empty_layer: true }], 1, 'nothing but empty layers'],
  [[{ created_by: 'ADD' }], 1, 'a layer without history'],
  [[{}, {}, {}], 0, 'a history of more layers than there are'],
]
for (const [history, kept, reason] of HISTORIES) {
  test(`history has an item for each layer: ${reason}`, () => {
    const { configJson } = compose(base({ ...CONFIG, history }), [layer('a'), layer('b')])
    const items = configJson.history
    assert.equal(made(items), 4)
    assert.deepEqual(items.slice(0, kept), ((history as unknown[]) ?? []).slice(0, kept))
    assert.deepEqual(items.at(-1), { created: OPTIONS.created, created_by: 'tintype snapshot', comment: 'a save' })
  })
}

test('a layer of an earlier capture keeps its time', () => {
  const { configJson } = compose(base(), [layer('chain', '2025-05-05T05:05:05Z'), layer('new')])
  const times = configJson.history.slice(-2).map((item) => item['created'])
  assert.deepEqual(times, ['2025-05-05T05:05:05Z', OPTIONS.created])
})

test('a base without a config of its own gets one for the labels', () => {
  for (const config of [null, undefined]) {
    const { configJson } = compose(base({ ...CONFIG, config }))
    assert.deepEqual(Object.keys(configJson.config), ['Labels'])
  }
})

test('refused: a base whose manifest and config count differently', () => {
  assert.throws(
    () => compose(base(CONFIG, { layers: [descriptor('0')] })),
    (error) =>
      error instanceof AppError && error.code === 'image_unsupported' && /1 layers.*names 2/.test(error.message),
  )
})

test('refused: a time that no reader of images would take', () => {
  for (const created of ['', 'now', '2026-11-24', '2026-11-24 10:00:00']) {
    assert.throws(() => compose(base(), [], { created }), { code: 'internal' })
  }
})

test('property: same input, same bytes, whatever the order of the base’s keys', () => {
  const known = Object.entries(CONFIG).filter(([key]) => key !== 'history' && key !== 'x-vendor')
  const labels = Object.entries({ x: '1', y: '2', z: '3' })
  const expected = compose(base(Object.fromEntries(known)), undefined, { labels: Object.fromEntries(labels) })
  const shuffled = <T>(items: readonly T[]) => fc.shuffledSubarray([...items], { minLength: items.length })
  fc.assert(
    fc.property(shuffled(known), shuffled(labels), (entries, pairs) => {
      const image = compose(base(Object.fromEntries(entries)), undefined, { labels: Object.fromEntries(pairs) })
      assert.deepEqual(image.config.bytes, expected.config.bytes)
      assert.deepEqual(image.manifest.bytes, expected.manifest.bytes)
    }),
  )
})

test('property: appending twice is appending all', () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 6 })
  fc.assert(
    fc.property(names, fc.nat(6), (all, cut) => {
      const layers = all.map((name) => layer(name))
      const first = compose(base(), layers.slice(0, cut))
      const between = {
        config: parseConfig(first.config.bytes),
        layers: first.parsed.layers,
        manifestDigest: MANIFEST_DIGEST,
      }
      const twice = compose(between, layers.slice(cut))
      const once = compose(base(), layers)
      assert.deepEqual(twice.config.bytes, once.config.bytes)
      assert.deepEqual(twice.manifest.bytes, once.manifest.bytes)
    }),
  )
})
