import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { startFakeRegistry } from '#lab/fake-registry.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { openRegistryRepository } from '#registry/registry.ts'
import type { Repository } from '#registry/repository.ts'
import { missingBlobs, moveTag, requireFewLayers, requireNoneMissing, type TagMove } from './move-tag.ts'

const bytes = Buffer.from('{"schemaVersion":2}')
const manifest = {
  bytes,
  descriptor: { mediaType: MEDIA_TYPES.ociManifest, digest: digestOf(bytes), size: bytes.length },
}
const missing = new AppError('blob_missing', 'The registry misses a blob.')
const cancelled = new AppError('cancelled', 'Cancelled by SIGINT.')

/** A registry whose tag moves with a put; `onPut` happens in each, and may throw. */
class PlayedRegistry {
  readonly #onPut: (number: number) => void
  puts = 0
  tag: Descriptor | undefined

  constructor(onPut: (number: number) => void = () => {}) {
    this.#onPut = onPut
  }

  readonly target = {
    putManifest: async (_bytes: Uint8Array, _type: string, { signal }: { signal: AbortSignal }) => {
      this.#onPut(++this.puts)
      signal.throwIfAborted()
      this.tag = manifest.descriptor
      return manifest.descriptor
    },
    resolve: async (_tag: string, { signal }: { signal: AbortSignal }) => {
      signal.throwIfAborted()
      return this.tag
    },
  } as unknown as Repository

  move(signal: AbortSignal = new AbortController().signal, more: Partial<TagMove> = {}): Promise<Descriptor> {
    const nothing = async () => {}
    const move = { target: this.target, tag: 'v1', reference: 'r.example/a:v1', manifest, signal }
    return moveTag({ ...move, requireFree: nothing, sendAgain: nothing, ...more })
  }
}

test('a cancel before the put leaves the tag alone', async () => {
  const registry = new PlayedRegistry()
  await assert.rejects(registry.move(AbortSignal.abort(cancelled)), cancelled)
  assert.equal(registry.puts, 0)
})

test('a cancel during the put is too late: the tag has moved, and that is what is told', async () => {
  const controller = new AbortController()
  const registry = new PlayedRegistry(() => controller.abort(cancelled))
  assert.equal(await registry.move(controller.signal), manifest.descriptor)
})

test('what the registry misses only at the put is sent again once', async () => {
  let sent = 0
  const registry = new PlayedRegistry((number) => {
    if (number === 1) throw missing
  })
  await registry.move(undefined, { sendAgain: async () => void sent++ })
  assert.deepEqual([registry.puts, sent], [2, 1])
  const never = new PlayedRegistry(() => {
    throw missing
  })
  await assert.rejects(never.move(), missing)
  assert.equal(never.puts, 2)
})

test('the tag is looked at before each put: one that appears while blobs are sent again stays', async () => {
  const registry = new PlayedRegistry((number) => {
    if (number === 1) throw missing
  })
  const taken = new AppError('tag_exists', 'It is there.')
  let isTaken = false
  const requireFree = async () => {
    if (isTaken) throw taken
  }
  await assert.rejects(registry.move(undefined, { requireFree, sendAgain: async () => void (isTaken = true) }), taken)
  assert.equal(registry.puts, 1)
})

test('a busy registry is asked again, and a tag that appeared while it was waited for stays', async () => {
  const theirs = { bytes: Buffer.from('{"schemaVersion":2}'), mediaType: manifest.descriptor.mediaType }
  let puts = 0
  await using fake = await startFakeRegistry({
    before: ({ method, path }) => {
      if (method !== 'PUT' || !path.endsWith('/manifests/v1') || puts++ > 0) return undefined
      fake.manifests.set('a:v1', theirs)
      return { status: 503 }
    },
  })
  const pace = { clock: systemClock, sleep: async () => {}, random: () => 0 }
  const target = openRegistryRepository(
    { registry: fake.host, repository: 'a', credentials: async () => undefined },
    { pace },
  )
  const taken = new AppError('tag_exists', 'It is there.')
  const requireFree = async () => {
    if (await target.resolve('v1')) throw taken
  }
  await assert.rejects(new PlayedRegistry().move(undefined, { target, requireFree }), taken)
  assert.equal(fake.manifests.get('a:v1'), theirs)
  fake.manifests.clear()
  assert.deepEqual(await new PlayedRegistry().move(undefined, { target, requireFree }), manifest.descriptor)
})

test('a tag that someone else has moved meanwhile is no success', async () => {
  const registry = new PlayedRegistry()
  const other = { ...manifest.descriptor, digest: digestOf('another') }
  const target = { ...registry.target, resolve: async () => other }
  const reference = 'r.example/a:v1'
  const found = { code: 'digest_mismatch', details: { reference, digest: manifest.descriptor.digest, found: other.digest } } // prettier-ignore
  await assert.rejects(registry.move(undefined, { target }), found)
})

test('blobs of which no byte arrives are named, and layers are counted', async () => {
  const blobs = ['a', 'b', 'c'].map((text) => ({ mediaType: MEDIA_TYPES.ociLayer, digest: digestOf(text), size: 1 }))
  const target = {
    name: 'r.example/a',
    checkBlob: async ({ digest }: Descriptor) => digest !== blobs[1]?.digest,
  } as unknown as Repository
  const { signal } = new AbortController()
  assert.deepEqual(await missingBlobs(target, blobs, signal), [blobs[1]])
  const undistributed = { ...blobs[1]!, mediaType: MEDIA_TYPES.dockerForeignLayer, urls: ['https://r.example/layer'] }
  assert.deepEqual(await missingBlobs(target, [undistributed], signal), [], 'it is in no registry')
  await assert.rejects(requireNoneMissing(target, blobs, signal), {
    code: 'blob_missing',
    message: /r\.example\/a loses/,
  })
  await requireNoneMissing(target, [], signal)
  requireFewLayers(125)
  assert.throws(() => requireFewLayers(126), { code: 'limit_exceeded', details: { layers: 126, most: 125 } })
})
