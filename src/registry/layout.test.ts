import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { openLayoutRepository } from './layout.ts'
import type { BlobSource } from './repository.ts'

const root = mkdtempSync(join(tmpdir(), 'tintype-layout-'))
after(() => rmSync(root, { recursive: true }))
let count = 0
const newPath = () => join(root, `layout-${count++}`)

const describe = (bytes: Uint8Array): Descriptor => ({
  mediaType: MEDIA_TYPES.ociLayer,
  digest: digestOf(bytes),
  size: bytes.length,
})
const blobOf = (bytes: Uint8Array, descriptor = Promise.resolve(describe(bytes))): BlobSource => ({
  async *open() {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
  },
  descriptor,
})
const manifestOf = (text: string) =>
  Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, layers: [], note: text }))
const blobFile = (path: string, digest: string) => join(path, 'blobs/sha256', digest.slice(7))
const readAll = async (chunks: AsyncIterable<Uint8Array>) => Buffer.concat(await Array.fromAsync(chunks))
const failsWith =
  (code: string, pattern = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof AppError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, pattern)
    return true
  }
/** No file that a reader of the layout does not know, but the lock. */
const assertTidy = (path: string) => {
  assert.deepEqual(
    readdirSync(path).filter((name) => !['blobs', 'index.json', 'oci-layout', '.tintype-lock'].includes(name)),
    [],
  )
  for (const name of readdirSync(join(path, 'blobs/sha256'))) assert.match(name, /^[0-9a-f]{64}$/)
}

test('opening makes nothing', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  assert.equal(repository.name, path)
  assert.equal(await repository.hasBlob(digestOf('x')), false)
  assert.equal(await repository.resolve('latest'), undefined)
  assert.equal(existsSync(path), false)
})

test('a blob that was pushed is there, is read back, and is counted while it goes', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  const bytes = Buffer.alloc(3_000_123, 'tintype')
  const sent: number[] = []
  const descriptor = await repository.pushBlob(blobOf(bytes), { onProgress: (n) => sent.push(n) })
  assert.deepEqual(descriptor, describe(bytes))
  assert.equal(sent.at(-1), bytes.length)
  assert.equal(await repository.hasBlob(descriptor.digest), true)
  assert.equal(await repository.checkBlob(descriptor), true)
  assert.deepEqual(await readAll(repository.openBlob(descriptor)), bytes)
  assert.deepEqual(await repository.pushBlob(blobOf(bytes)), descriptor, 'pushing again is no mistake')
  assertTidy(path)
})

test('an empty blob counts', async () => {
  const repository = await openLayoutRepository(newPath())
  const descriptor = await repository.pushBlob(blobOf(Buffer.alloc(0)))
  assert.equal(await repository.checkBlob(descriptor), true)
  assert.deepEqual(await readAll(repository.openBlob(descriptor)), Buffer.alloc(0))
})

test('bytes that are not what was announced leave nothing', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  const other = describe(Buffer.from('other'))
  await assert.rejects(
    repository.pushBlob(blobOf(Buffer.from('bytes'), Promise.resolve(other))),
    failsWith('digest_mismatch'),
  )
  assert.equal(await repository.hasBlob(other.digest), false)
  assertTidy(path)
})

test('a blob whose making fails after n chunks leaves nothing, and a second try succeeds', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  const bytes = Buffer.alloc(5_000, 'x')
  for (let n = 0; n < 5; n++) {
    const failure = new AppError('reader_failed', 'The reader ended.')
    const broken: BlobSource = {
      async *open() {
        for (let i = 0; i < n; i++) yield bytes.subarray(i * 1000, (i + 1) * 1000)
        throw failure
      },
      descriptor: Promise.reject(failure),
    }
    await assert.rejects(repository.pushBlob(broken), failure)
    assert.equal(await repository.hasBlob(digestOf(bytes)), false)
    assertTidy(path)
  }
  await repository.pushBlob(blobOf(bytes))
  assert.equal(await repository.hasBlob(digestOf(bytes)), true)
})

test('a cancelled push leaves nothing', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  const controller = new AbortController()
  const endless: BlobSource = {
    async *open() {
      for (;;) yield Buffer.alloc(1000)
    },
    descriptor: new Promise(() => {}),
  }
  const push = repository.pushBlob(endless, { signal: controller.signal, onProgress: () => controller.abort() })
  await assert.rejects(push, failsWith('cancelled'))
  assertTidy(path)
})

test('damage is noticed: another content, a shorter file, no file', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  const descriptor = await repository.pushBlob(blobOf(Buffer.from('content')))
  writeFileSync(blobFile(path, descriptor.digest), 'CONTENT')
  await assert.rejects(readAll(repository.openBlob(descriptor)), failsWith('digest_mismatch', /is damaged/))
  writeFileSync(blobFile(path, descriptor.digest), 'cont')
  assert.equal(await repository.checkBlob(descriptor), false)
  await assert.rejects(readAll(repository.openBlob(descriptor)), failsWith('digest_mismatch'))
  rmSync(blobFile(path, descriptor.digest))
  await assert.rejects(readAll(repository.openBlob(descriptor)), failsWith('blob_missing'))
})

test('a manifest is found by its tag and its digest, byte for byte', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  const bytes = manifestOf('one')
  const descriptor = await repository.putManifest(bytes, MEDIA_TYPES.ociManifest, { tag: 'v1' })
  for (const name of ['v1', descriptor.digest]) {
    assert.deepEqual(await repository.resolve(name), descriptor)
    assert.deepEqual(await repository.getManifest(name), { descriptor, bytes })
  }
  await assert.rejects(repository.getManifest('v2'), failsWith('image_not_found'))
  const index: unknown = JSON.parse(readFileSync(join(path, 'index.json'), 'utf8'))
  const entry = { ...descriptor, annotations: { 'org.opencontainers.image.ref.name': 'v1' } }
  assert.deepEqual(index, { schemaVersion: 2, manifests: [entry] })
  assertTidy(path)
})

test('a tag moves, the other tags and what others have written stay', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  await repository.putManifest(manifestOf('one'), MEDIA_TYPES.ociManifest, { tag: 'keep' })
  const file = join(path, 'index.json')
  const index = JSON.parse(readFileSync(file, 'utf8'))
  index.annotations = { by: 'another' }
  index.manifests[0].platform = { os: 'linux', architecture: 'amd64' }
  writeFileSync(file, JSON.stringify(index))
  await repository.putManifest(manifestOf('two'), MEDIA_TYPES.ociManifest, { tag: 'move' })
  const three = await repository.putManifest(manifestOf('three'), MEDIA_TYPES.ociManifest, { tag: 'move' })
  const now = JSON.parse(readFileSync(file, 'utf8'))
  assert.deepEqual(now.annotations, { by: 'another' })
  assert.deepEqual(now.manifests[0], index.manifests[0])
  assert.equal(now.manifests.length, 2)
  assert.deepEqual(await repository.resolve('move'), three)
})

test('a manifest without a tag is listed once, and one that is only a blob is found by digest', async () => {
  const path = newPath()
  const repository = await openLayoutRepository(path)
  const descriptor = await repository.putManifest(manifestOf('one'), MEDIA_TYPES.ociManifest)
  await repository.putManifest(manifestOf('one'), MEDIA_TYPES.ociManifest)
  assert.equal(JSON.parse(readFileSync(join(path, 'index.json'), 'utf8')).manifests.length, 1)
  writeFileSync(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [] }))
  assert.deepEqual(await repository.resolve(descriptor.digest), descriptor)
})

test('writers at the same time lose no tag', async () => {
  const path = newPath()
  const tags = Array.from({ length: 20 }, (_, i) => `t${i}`)
  await Promise.all(
    tags.map(async (tag) =>
      (await openLayoutRepository(path)).putManifest(manifestOf(tag), MEDIA_TYPES.ociManifest, { tag }),
    ),
  )
  const repository = await openLayoutRepository(path)
  for (const tag of tags) assert.ok(await repository.resolve(tag), tag)
  assertTidy(path)
})

test('what a dead writer left is removed, a living writer keeps its file', async () => {
  const path = newPath()
  const first = await openLayoutRepository(path)
  await first.pushBlob(blobOf(Buffer.from('x')))
  writeFileSync(join(path, 'blobs/sha256/.tintype-dead'), 'half a layer')
  const bytes = Buffer.from('living')
  const second = await openLayoutRepository(path)
  const slow: BlobSource = {
    async *open() {
      yield bytes.subarray(0, 3)
      await second.pushBlob(blobOf(Buffer.from('y')))
      yield bytes.subarray(3)
    },
    descriptor: Promise.resolve(describe(bytes)),
  }
  await first.pushBlob(slow)
  assertTidy(path)
  assert.equal(await first.hasBlob(digestOf(bytes)), true)
})

test('a blob of another layout is taken over as a link, and not when it is damaged or missing', async () => {
  const [from, to] = [newPath(), newPath()]
  const source = await openLayoutRepository(from)
  const target = await openLayoutRepository(to)
  const descriptor = await source.pushBlob(blobOf(Buffer.from('layer')))
  assert.equal(await target.mountBlob(describe(Buffer.from('none')), source), false)
  assert.equal(await target.mountBlob(descriptor, source), true)
  assert.equal(statSync(blobFile(to, descriptor.digest)).ino, statSync(blobFile(from, descriptor.digest)).ino)
  const other = await source.pushBlob(blobOf(Buffer.from('spoilt')))
  writeFileSync(blobFile(from, other.digest), 'SPOILT')
  await assert.rejects(target.mountBlob(other, source), failsWith('digest_mismatch'))
  assert.equal(await target.hasBlob(other.digest), false)
  assert.equal(await target.mountBlob(descriptor, { ...source }), false, 'not a layout')
})

test('a blob of another file system is copied', async () => {
  const far = mkdtempSync('/dev/shm/tintype-layout-')
  try {
    const source = await openLayoutRepository(far)
    const path = newPath()
    const target = await openLayoutRepository(path)
    const bytes = Buffer.alloc(100_000, 'far')
    const descriptor = await source.pushBlob(blobOf(bytes))
    assert.equal(await target.mountBlob(descriptor, source), true)
    assert.deepEqual(await readAll(target.openBlob(descriptor)), bytes)
    assertTidy(path)
  } finally {
    rmSync(far, { recursive: true })
  }
})

const NO_LAYOUTS: readonly (readonly [string, (path: string) => void, RegExp])[] = [
  [
    'a directory with other files',
    (path) => (mkdirSync(path), writeFileSync(join(path, 'notes.txt'), '')),
    /neither an OCI image layout nor empty/,
  ],
  ['a file', (path) => writeFileSync(path, ''), /is not a directory/],
  [
    'another version',
    (path) => (mkdirSync(path), writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}')),
    /does not say version 1.0.0/,
  ],
  [
    'an oci-layout that is no JSON',
    (path) => (mkdirSync(path), writeFileSync(join(path, 'oci-layout'), 'x')),
    /does not say version/,
  ],
]
for (const [reason, make, pattern] of NO_LAYOUTS) {
  test(`${reason} is refused as a layout`, async () => {
    const path = newPath()
    make(path)
    await assert.rejects(openLayoutRepository(path), failsWith('layout_invalid', pattern))
  })
}

for (const [reason, text] of [
  ['no JSON', '{'],
  ['another schema', '{"schemaVersion":1,"manifests":[]}'],
  ['no manifests', '{"schemaVersion":2}'],
  ['a descriptor without a size', '{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:00"}]}'],
] as const) {
  test(`an index.json with ${reason} is refused and stays as it is`, async () => {
    const path = newPath()
    const repository = await openLayoutRepository(path)
    await repository.pushBlob(blobOf(Buffer.from('x')))
    writeFileSync(join(path, 'index.json'), text)
    await assert.rejects(
      repository.putManifest(manifestOf('m'), MEDIA_TYPES.ociManifest, { tag: 't' }),
      failsWith('layout_invalid'),
    )
    assert.equal(readFileSync(join(path, 'index.json'), 'utf8'), text)
    assertTidy(path)
  })
}

test('an empty directory becomes a layout', async () => {
  const path = newPath()
  mkdirSync(path)
  chmodSync(path, 0o755)
  const repository = await openLayoutRepository(path)
  await repository.pushBlob(blobOf(Buffer.from('x')))
  assert.equal(readFileSync(join(path, 'oci-layout'), 'utf8'), '{"imageLayoutVersion":"1.0.0"}')
})
