import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import type { Digest } from '#oci/digest.ts'
import type { Repository } from '#registry/repository.ts'
import { ensureBaseLayers } from '#snapshot/base-layers.ts'
import type { BaseLayersOptions } from '#snapshot/base-layers.ts'
import { findBase } from '#snapshot/base-image.ts'
import type { FoundBase } from '#snapshot/base-image.ts'
import type { BaseImage } from '#snapshot/source.ts'
import { fakeImage, storeImage } from '../support/fake-image.ts'
import type { FakeImage, FakeImageOptions } from '../support/fake-image.ts'
import { fakeRepository } from '../support/fake-repository.ts'
import type { FakeOptions, FakeRepository } from '../support/fake-repository.ts'

const scratch = mkdtempSync(join(tmpdir(), 'tintype-base-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

async function* gzip(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) yield gzipSync(chunk)
}
const none = (): Promise<Repository> =>
  Promise.reject(new AppError('registry_unavailable', 'No repository was expected.'))

/** Options with a TINTYPE_HOME of their own. */
function optionsFor(more: Partial<BaseLayersOptions> = {}): BaseLayersOptions {
  const home = mkdtempSync(join(scratch, 'home-'))
  const compression = { mediaType: MEDIA_TYPES.ociLayerGzip, compress: gzip }
  return { home, spoolDirectory: join(home, 'spool'), compression, repositoryOf: none, ...more }
}

async function foundIn(repository: FakeRepository, image: FakeImage): Promise<FoundBase> {
  await storeImage(image, repository)
  const base = { ...image.base, repoDigests: [{ repository: repository.name, digest: image.manifestDigest }] }
  const { found } = await findBase(base, () => Promise.resolve(repository))
  assert.ok(found)
  return found
}

const TEXTS = ['layer one', 'layer two', 'layer three', 'layer four', 'layer five']
const layersOf = (image: FakeImage) => image.layers.map(({ descriptor }) => descriptor)

test('layers that are there are not sent', async () => {
  const image = fakeImage(TEXTS)
  const target = fakeRepository('r.io/target')
  await storeImage(image, target)
  const result = await ensureBaseLayers(
    image.base,
    await foundIn(fakeRepository('r.io/base'), image),
    target,
    optionsFor(),
  )
  assert.deepEqual(result.layers, layersOf(image))
  assert.equal(result.manifestDigest, image.manifestDigest)
  assert.deepEqual([target.count('checkBlob'), target.count('mountBlob'), target.count('pushBlob')], [5, 0, 0])
})

test('layers in the same registry are mounted', async () => {
  const image = fakeImage(TEXTS)
  const from = fakeRepository('r.io/base')
  const target = fakeRepository('r.io/target')
  await ensureBaseLayers(image.base, await foundIn(from, image), target, optionsFor())
  assert.deepEqual([target.count('mountBlob'), target.count('pushBlob')], [5, 0])
  assert.equal(from.count('openBlob'), 1, 'the config only')
  for (const { digest } of layersOf(image)) assert.ok(target.blobs.has(digest))
})

test('layers in another registry are streamed, broken uploads read them again', async () => {
  const image = fakeImage(TEXTS)
  const from = fakeRepository('other.io/base')
  const target = fakeRepository('r.io/target', { brokenUploads: 2 })
  const sent: number[] = []
  const options = optionsFor({ onProgress: (bytes) => sent.push(bytes) })
  const result = await ensureBaseLayers(image.base, await foundIn(from, image), target, options)
  assert.deepEqual(result.layers, layersOf(image))
  for (const { descriptor, bytes } of image.layers) assert.deepEqual(target.blobs.get(descriptor.digest), bytes)
  assert.equal(from.count('openBlob'), 1 + 5 + 2)
  assert.equal(
    sent.at(-1),
    image.layers.reduce((sum, { bytes }) => sum + bytes.length, 0),
  )
  assert.deepEqual(readdirSync(options.home), [], 'nothing is written for it')
})

test('a layer that a garbage collection took is sent, whatever the registry says of it', async () => {
  const image = fakeImage(['one', 'two'])
  for (const name of ['r.io/base', 'other.io/base']) {
    const lost = new Set([layersOf(image)[1]!.digest])
    const target = fakeRepository('r.io/target', { lost })
    await storeImage(image, target)
    const found = await foundIn(fakeRepository(name), image)
    await ensureBaseLayers(image.base, found, target, optionsFor())
    assert.equal(target.count('pushBlob'), 1)
    assert.equal(lost.size, 0)
  }
})

test('a base in the target itself is not mounted from there; a layer that is lost there comes out of the engine', async () => {
  const image = localImage(['one', 'two'])
  const repository = fakeRepository('r.io/same')
  const found = await foundIn(repository, image)
  repository.blobs.delete(layersOf(image)[0]!.digest)
  const warnings: string[] = []
  const options = optionsFor({ onWarning: (sentence) => warnings.push(sentence) })
  const { layers } = await ensureBaseLayers(image.base, found, repository, options)
  assert.equal(repository.count('mountBlob'), 0)
  assert.equal(image.exports(), 1)
  assert.deepEqual(layers.map((layer) => tarOf(repository, layer)), ['one', 'two']) // prettier-ignore
  assert.match(warnings.join(), /r\.io\/same has lost a layer/)
})

test('a layer that its registry does not give comes out of the engine; one that the target refuses does not', async () => {
  const [first] = layersOf(fakeImage(['one', 'two']))
  const refuse = (which: string) => (call: string) => {
    if (call === `${which} ${first!.digest}`) throw new AppError('registry_denied', `${which} is not yours.`)
  }
  const image = localImage(['one', 'two'])
  const warnings: string[] = []
  const onWarning = (sentence: string) => warnings.push(sentence)
  const kept = await foundIn(fakeRepository('other.io/base', { onCall: refuse('openBlob') }), image)
  const target = fakeRepository('r.io/target')
  const { layers } = await ensureBaseLayers(image.base, kept, target, optionsFor({ onWarning }))
  assert.equal(image.exports(), 1)
  assert.deepEqual(layers.map((layer) => tarOf(target, layer)), ['one', 'two']) // prettier-ignore
  assert.deepEqual(warnings, [
    'other.io/base does not give a layer of the base image (openBlob is not yours): it comes out of the engine.',
  ])
  const found = await foundIn(fakeRepository('other.io/base'), image)
  const strict = fakeRepository('r.io/target', { onCall: refuse('checkBlob') })
  await assert.rejects(ensureBaseLayers(image.base, found, strict, optionsFor()), { code: 'registry_denied' })
  assert.equal(image.exports(), 1)
})

test('what the target refuses while another layer is being read is no failure of where that comes from', async () => {
  const image = localImage(['one', 'two'])
  const [first, second] = layersOf(image).map(({ digest }) => digest)
  const [reading, refused] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const source = fakeRepository('other.io/base', {
    onCall: async (call) => {
      if (call !== `openBlob ${second}`) return
      reading.resolve()
      await refused.promise
    },
  })
  const refusal = new AppError('registry_denied', 'The quota is used up.')
  const target = fakeRepository('r.io/target', {
    onCall: async (call) => {
      if (call !== `checkBlob ${first}`) return
      await reading.promise
      setImmediate(() => refused.resolve())
      throw refusal
    },
  })
  const ending = ensureBaseLayers(image.base, await foundIn(source, image), target, optionsFor())
  await assert.rejects(ending, refusal)
  assert.equal(image.exports(), 0)
})

test('a layer that an image has twice is sent once', async () => {
  const image = fakeImage(['same', 'other', 'same'])
  const target = fakeRepository('r.io/target')
  const found = await foundIn(fakeRepository('other.io/base'), image)
  const result = await ensureBaseLayers(image.base, found, target, optionsFor())
  assert.equal(result.layers.length, 3)
  assert.equal(target.count('pushBlob'), 2)
})

test('a layer that must not be distributed keeps its descriptor and is not asked for', async () => {
  const foreign = (descriptor: Descriptor, index: number): Descriptor =>
    index === 0
      ? { ...descriptor, mediaType: MEDIA_TYPES.dockerForeignLayer, urls: ['http://169.254.169.254/'] }
      : descriptor
  const image = fakeImage(['foreign', 'ours'], { layer: foreign, isDocker: true })
  const from = fakeRepository('other.io/base')
  const target = fakeRepository('r.io/target')
  const result = await ensureBaseLayers(image.base, await foundIn(from, image), target, optionsFor())
  assert.deepEqual(result.layers, layersOf(image))
  const { digest } = layersOf(image)[0]!
  for (const { calls } of [from, target]) assert.ok(calls.every((call) => !call.includes(digest)))
  assert.equal(target.blobs.size, 1)
})

test('the first failure ends the other transfers, and is what is reported', async () => {
  const image = fakeImage(TEXTS)
  const found = await foundIn(fakeRepository('other.io/base'), image)
  const broken = layersOf(image)[1]!.digest
  const refusal = new AppError('registry_denied', 'No.')
  const target = fakeRepository('r.io/target', {
    onCall: (call) => {
      if (call === `checkBlob ${broken}`) throw refusal
    },
  })
  await assert.rejects(ensureBaseLayers(image.base, found, target, optionsFor()), refusal)
  const calls = target.calls.length
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(target.calls.length, calls, 'nothing goes on behind the error')
})

test('cancelled while layers are on their way', async () => {
  const image = fakeImage(TEXTS)
  const abort = new AbortController()
  const found = await foundIn(fakeRepository('other.io/base'), image)
  const target = fakeRepository('r.io/target', {
    onCall: (call) => {
      if (call.startsWith('pushBlob')) abort.abort()
    },
  })
  const ending = ensureBaseLayers(image.base, found, target, optionsFor({ signal: abort.signal }))
  await assert.rejects(ending, { code: 'cancelled' })
  assert.equal(target.blobs.size, 0)
})

interface Exported extends FakeImage {
  readonly exports: () => number
}

type Form = (tar: Buffer) => { readonly bytes: Buffer; readonly mediaType: string }
const asTar: Form = (tar) => ({ bytes: tar, mediaType: MEDIA_TYPES.ociLayer })

/** An image that only its engine has. */
function localImage(texts: readonly string[], form: Form = asTar, more: FakeImageOptions = {}): Exported {
  const image = fakeImage(texts, more)
  let exports = 0
  const base: BaseImage = {
    ...image.base,
    export: () => {
      exports++
      return Promise.resolve({
        config: image.config,
        async *layers() {
          for (const { tar } of image.layers) {
            const { bytes, mediaType } = form(tar)
            let isRead = false
            yield {
              mediaType,
              bytes: (async function* () {
                for (let at = 0; at < bytes.length; at += 4) yield bytes.subarray(at, at + 4)
                isRead = true
              })(),
            }
            assert.ok(isRead, 'each layer is read to its end')
          }
        },
      })
    },
  }
  return { ...image, base, exports: () => exports }
}

const tarOf = (repository: FakeRepository, layer: Descriptor) =>
  gunzipSync(repository.blobs.get(layer.digest)!).toString()
const isTidy = ({ spoolDirectory }: BaseLayersOptions) => assert.deepEqual(readdirSync(spoolDirectory), [])

test('an image of the engine alone is compressed and sent', async () => {
  const image = localImage(TEXTS)
  const target = fakeRepository('r.io/target', { brokenUploads: 1 })
  const options = optionsFor()
  const result = await ensureBaseLayers(image.base, undefined, target, options)
  assert.deepEqual(
    result.layers.map((layer) => tarOf(target, layer)),
    TEXTS,
  )
  assert.deepEqual(new Set(result.layers.map(({ mediaType }) => mediaType)), new Set([MEDIA_TYPES.ociLayerGzip]))
  assert.deepEqual(result.config.diffIDs, image.base.diffIDs)
  assert.equal(result.manifestDigest, undefined)
  isTidy(options)
})

test('what is known of the base is a cache: where it cannot be kept, that is a warning', async () => {
  const image = localImage(TEXTS)
  const warnings: string[] = []
  const options = optionsFor({ onWarning: (sentence) => warnings.push(sentence) })
  const cache = join(options.home, 'cache')
  mkdirSync(cache)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'nr_inodes=2', 'base-test', cache]) // room for a directory, and no file
  try {
    const result = await ensureBaseLayers(image.base, undefined, fakeRepository('r.io/target'), options)
    assert.equal(result.layers.length, TEXTS.length)
    assert.match(warnings[0] ?? '', /not kept in .* \(ENOSPC\)/)
  } finally {
    execFileSync('umount', [cache])
  }
})

const FORMS: readonly [form: Form, mediaType: string, reason: string][] = [
  [(tar) => ({ bytes: gzipSync(tar), mediaType: MEDIA_TYPES.dockerLayerGzip }), MEDIA_TYPES.ociLayerGzip, 'gzip'],
  [
    (tar) => ({
      bytes: Buffer.concat([gzipSync(tar.subarray(0, 3)), gzipSync(tar.subarray(3))]),
      mediaType: MEDIA_TYPES.ociLayerGzip,
    }),
    MEDIA_TYPES.ociLayerGzip,
    'gzip in two members',
  ],
  [
    (tar) => ({
      bytes: Buffer.concat([zstdCompressSync(tar.subarray(0, 3)), zstdCompressSync(tar.subarray(3))]),
      mediaType: MEDIA_TYPES.ociLayerZstd,
    }),
    MEDIA_TYPES.ociLayerZstd,
    'zstd in two frames',
  ],
]
for (const [form, mediaType, reason] of FORMS) {
  test(`a layer that comes compressed is sent as it is: ${reason}`, async () => {
    const image = localImage(['some text'], form)
    const target = fakeRepository('r.io/target')
    const options = optionsFor()
    const { layers } = await ensureBaseLayers(image.base, undefined, target, options)
    const { bytes } = form(Buffer.from('some text'))
    assert.deepEqual(layers, [{ mediaType, digest: digestOf(bytes), size: bytes.length }])
    assert.deepEqual(target.blobs.get(digestOf(bytes)), bytes)
    isTidy(options)
  })
}

test('the spool is readable by its owner alone', async () => {
  const image = localImage(['secret'])
  const options = optionsFor()
  let modes: number[] = []
  const target = fakeRepository('r.io/target', {
    onCall: (call) => {
      if (!call.startsWith('pushBlob')) return
      const [file] = readdirSync(options.spoolDirectory)
      modes = [options.spoolDirectory, join(options.spoolDirectory, file!)].map((path) => statSync(path).mode & 0o777)
    },
  })
  await ensureBaseLayers(image.base, undefined, target, options)
  assert.deepEqual(modes, [0o700, 0o600])
})

const recordOf = ({ home }: BaseLayersOptions) => {
  const directory = join(home, 'cache', 'base-layers')
  const files = readdirSync(directory)
  assert.equal(files.length, 1, 'one record, no temporary file')
  return join(directory, files[0]!)
}

test('a second capture does not export again', async () => {
  const image = localImage(TEXTS)
  const first = fakeRepository('r.io/first')
  const options = optionsFor()
  const before = await ensureBaseLayers(image.base, undefined, first, options)
  const again = await ensureBaseLayers(image.base, undefined, first, options)
  assert.deepEqual(again.layers, before.layers)
  assert.deepEqual(again.config.json, before.config.json)
  assert.deepEqual([image.exports(), first.count('pushBlob'), first.count('mountBlob')], [1, 5, 0])

  const second = fakeRepository('r.io/second')
  const repositoryOf = (name: string) => (name === first.name ? Promise.resolve(first) : none())
  const mounted = await ensureBaseLayers(image.base, undefined, second, { ...options, repositoryOf })
  assert.deepEqual(mounted.layers, before.layers)
  assert.deepEqual([image.exports(), second.count('pushBlob'), second.count('mountBlob')], [1, 0, 5])
  const record = JSON.parse(readFileSync(recordOf(options), 'utf8')) as { repositories: string[] }
  assert.deepEqual(record.repositories, ['r.io/second', 'r.io/first'])
  assert.equal(statSync(recordOf(options)).mode & 0o777, 0o600)
})

test('an export sends only what the target lacks', async () => {
  const image = localImage(TEXTS)
  const target = fakeRepository('r.io/target')
  const options = optionsFor()
  const { layers } = await ensureBaseLayers(image.base, undefined, target, options)
  target.blobs.delete(layers[2]!.digest)
  const again = await ensureBaseLayers(image.base, undefined, target, options)
  assert.deepEqual(again.layers, layers)
  assert.deepEqual([image.exports(), target.count('pushBlob'), target.blobs.size], [2, 6, 5])
})

test('an export is made again when a garbage collection took a layer', async () => {
  const image = localImage(['one', 'two'])
  const lost = new Set<Digest>()
  const target = fakeRepository('r.io/target', { lost })
  const options = optionsFor()
  const { layers } = await ensureBaseLayers(image.base, undefined, target, options)
  lost.add(layers[0]!.digest)
  await ensureBaseLayers(image.base, undefined, target, options)
  assert.deepEqual([image.exports(), target.count('pushBlob'), lost.size], [2, 3, 0])
})

test('another registry gets an export; a repository that is gone does no harm', async () => {
  const image = localImage(['one', 'two'])
  const options = optionsFor()
  await ensureBaseLayers(image.base, undefined, fakeRepository('r.io/first'), options)
  const other = fakeRepository('other.io/target')
  await ensureBaseLayers(image.base, undefined, other, options)
  assert.deepEqual([image.exports(), other.count('pushBlob'), other.blobs.size], [2, 2, 2])
})

test('the same layers under another config are another image', async () => {
  const options = optionsFor()
  const target = fakeRepository('r.io/target')
  const one = localImage(['one'])
  const two = localImage(['one'], asTar, { env: ['A=1'] })
  await ensureBaseLayers(one.base, undefined, target, options)
  const { config } = await ensureBaseLayers(two.base, undefined, target, options)
  assert.equal(two.exports(), 1)
  assert.deepEqual(config.json['config'], { Env: ['A=1'] })
})

const SPOILT: readonly [reason: string, spoil: (text: string) => string][] = [
  ['of another version', (text) => text.replace('"version":1', '"version":2')],
  ['cut in half', (text) => text.slice(0, text.length / 2)],
  ['empty', () => ''],
  [
    'with another config',
    (text) => text.replace(/"config":"[^"]*"/, `"config":"${Buffer.from('{}').toString('base64')}"`),
  ],
  ['with a digest that is none', (text) => text.replace(/"digest":"sha256:/, '"digest":"../')],
  ['without a size', (text) => text.replace(/"size":\d+/, '"size":null')],
]
for (const [reason, spoil] of SPOILT) {
  test(`a record ${reason} is as good as none`, async () => {
    const image = localImage(['one'])
    const target = fakeRepository('r.io/target')
    const options = optionsFor()
    const { layers } = await ensureBaseLayers(image.base, undefined, target, options)
    const path = recordOf(options)
    const good = readFileSync(path, 'utf8')
    assert.notEqual(spoil(good), good)
    writeFileSync(path, spoil(good))
    assert.deepEqual((await ensureBaseLayers(image.base, undefined, target, options)).layers, layers)
    assert.equal(image.exports(), 2)
    assert.equal(readFileSync(path, 'utf8'), good)
  })
}

const isRefusal = (sentence: RegExp) => (error: unknown) =>
  error instanceof AppError && error.code === 'image_unsupported' && sentence.test(error.message)
const BAD_EXPORTS: readonly [form: Form, sentence: RegExp, reason: string][] = [
  [() => asTar(Buffer.from('other')), /another layer/, 'a tar of other bytes'],
  [() => ({ bytes: gzipSync('other'), mediaType: MEDIA_TYPES.ociLayerGzip }), /another layer/, 'gzip of other bytes'],
  [
    (tar) => ({ bytes: tar, mediaType: MEDIA_TYPES.ociLayerGzip }),
    /cannot be decompressed/,
    'a tar that is called gzip',
  ],
  [
    (tar) => ({ bytes: gzipSync(tar).subarray(0, 15), mediaType: MEDIA_TYPES.ociLayerGzip }),
    /cannot be decompressed/,
    'half a gzip',
  ],
  [(tar) => ({ bytes: tar, mediaType: 'text/plain' }), /unknown media type/, 'an unknown type'],
  [
    (tar) => ({ bytes: gzipSync(tar), mediaType: MEDIA_TYPES.dockerForeignLayer }),
    /not be distributed/,
    'a foreign layer',
  ],
]
for (const [form, sentence, reason] of BAD_EXPORTS) {
  test(`an export is refused: ${reason}`, async () => {
    const image = localImage(['one'], form)
    const target = fakeRepository('r.io/target')
    const options = optionsFor()
    await assert.rejects(ensureBaseLayers(image.base, undefined, target, options), isRefusal(sentence))
    assert.equal(target.blobs.size, 0)
    assert.deepEqual(
      readdirSync(options.home).filter((name) => name !== 'spool'),
      [],
    )
  })
}

test('an export of another image is refused', async () => {
  const options = optionsFor()
  const target = fakeRepository('r.io/target')
  const one = localImage(['one'])
  for (const other of [localImage(['other']), localImage(['one'], asTar, { env: ['B=2'] })]) {
    const base = { ...one.base, export: other.base.export }
    await assert.rejects(ensureBaseLayers(base, undefined, target, options), { code: 'base_not_found' })
  }
  assert.equal(target.calls.length, 0)
})

test('an export with another number of layers is refused', async () => {
  const one = localImage(['one'])
  for (const other of [localImage([]), localImage(['one', 'two'])]) {
    const wrong = async (): ReturnType<BaseImage['export']> => ({ ...(await other.base.export()), config: one.config })
    const ending = ensureBaseLayers({ ...one.base, export: wrong }, undefined, fakeRepository('r.io/t'), optionsFor())
    await assert.rejects(ending, isRefusal(/has (more|fewer) layers/))
  }
})

test('an engine that has no such image says so', async () => {
  const gone = new AppError('base_not_found', 'Gone.')
  const base = { ...fakeImage(['one']).base, export: () => Promise.reject(gone) }
  await assert.rejects(ensureBaseLayers(base, undefined, fakeRepository('r.io/t'), optionsFor()), gone)
})

test('no space in the spool', async () => {
  const image = localImage(['one'])
  const full = Object.assign(new Error('write'), { code: 'ENOSPC' })
  const compress = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('x')
    throw full
  }
  const options = optionsFor({ compression: { mediaType: MEDIA_TYPES.ociLayerGzip, compress } })
  await assert.rejects(ensureBaseLayers(image.base, undefined, fakeRepository('r.io/t'), options), {
    code: 'spool_full',
  })
  isTidy(options)
})

/** Fail the n-th call for n = 1, 2, … until none is left to fail: afterwards a retry works, and nothing lies about. */
test('faults: whichever call fails, the spool is tidy and a retry works', async () => {
  for (let n = 1; ; n++) {
    const image = localImage(['one', 'two'])
    const options = optionsFor()
    let left = n
    const fail: FakeOptions = {
      onCall: () => {
        if (--left === 0) throw new AppError('registry_unavailable', 'Cut.')
      },
    }
    const target = fakeRepository('r.io/target', fail)
    const first = await ensureBaseLayers(image.base, undefined, target, options).catch((error: unknown) => error)
    isTidy(options)
    if (!(first instanceof AppError)) return assert.ok(n > 2, 'calls were failed')
    assert.equal(first.code, 'registry_unavailable')
    const { layers } = await ensureBaseLayers(image.base, undefined, target, options)
    assert.deepEqual(
      layers.map((layer) => tarOf(target, layer)),
      ['one', 'two'],
    )
    isTidy(options)
  }
})

test('cancelled in the middle of an export', async () => {
  const abort = new AbortController()
  const image = localImage(['one', 'two'])
  const target = fakeRepository('r.io/target', {
    onCall: (call) => {
      if (call.startsWith('pushBlob')) abort.abort()
    },
  })
  const options = optionsFor({ signal: abort.signal })
  await assert.rejects(ensureBaseLayers(image.base, undefined, target, options), { code: 'cancelled' })
  assert.equal(target.blobs.size, 0)
  isTidy(options)
})
