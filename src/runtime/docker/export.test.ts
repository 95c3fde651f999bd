import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { digestOf, parseDiffID } from '#oci/digest.ts'
import type { Engine } from './engine.ts'
import { exportImage } from './export.ts'

type Member = readonly [
  name: string,
  body: string | Buffer | { readonly link: string; readonly type?: 'link' | 'symlink' },
]

const LAYERS = ['first layer', 'second layer'].map((text) => Buffer.from(text.repeat(1000)))
const diffIDs = LAYERS.map((bytes) => parseDiffID(digestOf(bytes)))
const configOf = (ids: readonly string[], architecture = 'amd64') =>
  Buffer.from(JSON.stringify({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: ids } }))
const CONFIG = configOf(diffIDs)
const blob = (bytes: Buffer) => `blobs/${digestOf(bytes).replace(':', '/')}`
const json = (value: unknown) => JSON.stringify(value)

function tarOf(members: readonly Member[]): Readable {
  const tar = pack()
  for (const [name, body] of members) {
    if (typeof body === 'string' || Buffer.isBuffer(body)) tar.entry({ name }, body as string)
    else tar.entry({ name, type: body.type ?? 'symlink', linkname: body.link })
  }
  tar.finalize()
  return Readable.from(tar as unknown as AsyncIterable<Uint8Array>)
}

/** What comes out of an engine that exports `stream`; the spool directory is left empty. */
async function exported(from: Readable | { exportImage(): Readable }, signal?: AbortSignal) {
  const spoolDirectory = mkdtempSync(join(tmpdir(), 'tintype-export-'))
  const engine = {
    exportImage: async () => (from instanceof Readable ? from : from.exportImage()),
  } as unknown as Engine
  try {
    const image = await exportImage(engine, {
      imageId: digestOf('image'),
      diffIDs,
      spoolDirectory,
      ...(signal && { signal }),
    })
    assert.deepEqual(readdirSync(spoolDirectory), [], 'the spool has no name')
    const layers: { bytes: Buffer; mediaType: string }[] = []
    for await (const { bytes, mediaType } of image.layers())
      layers.push({ bytes: Buffer.concat(await Array.fromAsync(bytes)), mediaType })
    return { config: Buffer.from(image.config), layers }
  } finally {
    rmSync(spoolDirectory, { recursive: true })
  }
}

const TAR = 'application/vnd.oci.image.layer.v1.tar'
const [one, two] = LAYERS as [Buffer, Buffer]
const docker: readonly Member[] = [
  ['aaaa/', { link: '', type: 'symlink' }],
  ['bbbb/layer.tar', two],
  ['bbbb/VERSION', '1.0'],
  ['aaaa/layer.tar', one],
  ['cafe.json', CONFIG],
  ['manifest.json', json([{ Config: 'cafe.json', RepoTags: null, Layers: ['aaaa/layer.tar', 'bbbb/layer.tar'] }])],
]
const podman: readonly Member[] = [
  ['1111.tar', one],
  ['2222.tar', two],
  ['cafe.json', CONFIG],
  ['aaaa/layer.tar', { link: '../1111.tar' }],
  ['bbbb/layer.tar', { link: '2222.tar', type: 'link' }],
  ['manifest.json', json([{ Config: 'cafe.json', Layers: ['aaaa/layer.tar', 'bbbb/layer.tar'] }])],
]
const gz = LAYERS.map((bytes) => gzipSync(bytes))
const ociManifest = (config: Buffer, layers: readonly Buffer[]) =>
  Buffer.from(
    json({
      schemaVersion: 2,
      config: { digest: digestOf(config) },
      layers: layers.map((bytes) => ({ digest: digestOf(bytes) })),
    }),
  )
const MANIFEST = ociManifest(CONFIG, gz)
const index = (...manifests: readonly Buffer[]) =>
  Buffer.from(json({ schemaVersion: 2, manifests: manifests.map((bytes) => ({ digest: digestOf(bytes) })) }))
const NESTED = index(ociManifest(configOf(diffIDs.toReversed(), 'arm64'), gz), MANIFEST)
const oci: readonly Member[] = [
  [blob(gz[1]!), gz[1]!],
  [blob(gz[0]!), gz[0]!],
  [blob(MANIFEST), MANIFEST],
  [blob(CONFIG), CONFIG],
  [blob(NESTED), NESTED],
  ['index.json', index(NESTED)],
  ['oci-layout', '{"imageLayoutVersion":"1.0.0"}'],
]
const GOOD: readonly (readonly [string, readonly Member[], string, readonly Buffer[]])[] = [
  ['Docker 20.10: the list of layers comes last', docker, TAR, LAYERS],
  ['the list of layers comes first', docker.toReversed(), TAR, LAYERS],
  ['Podman: layers by links', podman, TAR, LAYERS],
  ['an OCI layout, compressed, with an index in the index and a platform that is not there', oci, `${TAR}+gzip`, gz],
  ['an OCI layout in the other order', oci.toReversed(), `${TAR}+gzip`, gz],
]
for (const [reason, members, mediaType, bytes] of GOOD)
  test(`exported: ${reason}`, async () => {
    const { config, layers } = await exported(tarOf(members))
    assert.deepEqual(config, CONFIG)
    assert.deepEqual(
      layers,
      bytes.map((each) => ({ bytes: each, mediaType })),
    )
  })

test('exported: zstd is known by its first bytes, an empty layer is a tar', async () => {
  const packed = [zstdCompressSync(one), Buffer.alloc(0)]
  const members: readonly Member[] = [
    ['a', packed[0]!],
    ['b', packed[1]!],
    ['c', CONFIG],
    ['manifest.json', json([{ Config: 'c', Layers: ['a', 'b'] }])],
  ]
  const { layers } = await exported(tarOf(members))
  assert.deepEqual(
    layers.map(({ mediaType }) => mediaType),
    [`${TAR}+zstd`, TAR],
  )
})

const other = configOf(diffIDs.toReversed())
const BAD: readonly (readonly [string, readonly Member[], string])[] = [
  [
    'another image',
    [
      ['c', other],
      ['manifest.json', json([{ Config: 'c', Layers: ['a', 'b'] }])],
    ],
    'base_not_found',
  ],
  ['no image', [['manifest.json', '[]']], 'base_not_found'],
  ['neither layout', [['hello', 'world']], 'image_unsupported'],
  ['a config that is missing', [['manifest.json', json([{ Config: 'c', Layers: [] }])]], 'image_unsupported'],
  ['a layer that is missing', docker.filter(([name]) => name !== 'bbbb/layer.tar'), 'image_unsupported'],
  ['a link to nothing', podman.filter(([name]) => name !== '1111.tar'), 'image_unsupported'],
  [
    'a huge config',
    [
      ['c', Buffer.alloc(5 << 20)],
      ['manifest.json', json([{ Config: 'c', Layers: [] }])],
    ],
    'image_unsupported',
  ],
]
for (const [reason, members, code] of BAD)
  test(`refused: ${reason}`, async () => await assert.rejects(exported(tarOf(members)), { code }))

test('an export that breaks off is the engine’s fault, and may be tried again', async () => {
  const bytes = Buffer.concat(await Array.fromAsync(tarOf(docker)))
  for (const length of [100, 700, bytes.length >> 1])
    await assert.rejects(exported(Readable.from([bytes.subarray(0, length)])), { code: 'engine_unavailable' })
  const broken = new PassThrough()
  broken.write(bytes.subarray(0, 2000))
  const engine = { exportImage: () => (setImmediate(() => broken.destroy(new Error('socket hang up'))), broken) }
  await assert.rejects(exported(engine), { code: 'engine_unavailable', message: /socket hang up/ })
})

test('a cancel ends the spooling', async () => {
  const silent = new PassThrough()
  await assert.rejects(exported(silent, AbortSignal.timeout(20)), { code: 'cancelled' })
})
