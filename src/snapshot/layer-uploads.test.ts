import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { BlobSource, PushOptions, Repository } from '#registry/repository.ts'
import { LayerUploads } from './layer-uploads.ts'
import type { FrameEvent, LayerEvent } from './protocol.ts'

const directory = mkdtempSync(join(tmpdir(), 'layer-uploads-'))
const SPOOL = Buffer.from('first frame|second frame|third frame|')
let spool: FileHandle
before(async () => {
  spool = await open(join(directory, 'frames'), 'w+')
  await spool.write(SPOOL)
})
after(async () => {
  await spool.close()
  rmSync(directory, { recursive: true })
})

/** A repository that keeps what is pushed; nothing else of one is asked for here. */
function repository(pushed: Buffer[]): Repository {
  const pushBlob = async (blob: BlobSource, { signal }: PushOptions = {}) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of blob.open(signal)) chunks.push(Buffer.from(chunk)) // each is lent
    const descriptor = await blob.descriptor
    pushed.push(Buffer.concat(chunks))
    return descriptor
  }
  return { name: 'r.io/a', pushBlob } as unknown as Repository
}

function uploads(pushed: Buffer[] = [], signal = new AbortController().signal, maxLayerBytes?: number): LayerUploads {
  const target = repository(pushed)
  const mediaType = MEDIA_TYPES.ociLayer
  return new LayerUploads({ target, spool, mediaType, maxLayerBytes, signal, onProgress: () => {} })
}

const frame = (layer: number, more: Partial<FrameEvent> = {}): FrameEvent => ({
  event: 'frame',
  layer,
  offset: 0,
  size: 12,
  rawBytes: 100,
  files: 1,
  ...more,
})
const layer = (number: number, rawBytes = 100): LayerEvent => ({
  event: 'layer',
  layer: number,
  diffID: `sha256:${'0'.repeat(64)}`,
  rawBytes,
})
const isLie = (error: unknown) => error instanceof AppError && error.code === 'reader_failed'

test('layers are the frames in the order in which they are told, wherever they lie', async () => {
  const pushed: Buffer[] = []
  const all = uploads(pushed)
  for (const event of [frame(0, { offset: 12, size: 13 }), frame(0), layer(0, 200), frame(1, { offset: 25 }), layer(1)])
    all.onEvent(event)
  const layers = await all.finish()
  const expected = ['second frame|first frame|', 'third frame|']
  assert.deepEqual(pushed.map(String).sort(), expected) // both go up at the same time
  const digests = expected.map((bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  assert.deepEqual(
    layers.map(({ descriptor }) => descriptor.digest),
    digests,
  )
})

test('an empty frame adds nothing', async () => {
  const pushed: Buffer[] = []
  const all = uploads(pushed)
  for (const event of [frame(0, { size: 0, rawBytes: 0 }), frame(0), layer(0)]) all.onEvent(event)
  await all.finish()
  assert.deepEqual(pushed.map(String), ['first frame|'])
})

const LIES: readonly (readonly [reason: string, ...events: (FrameEvent | LayerEvent)[]])[] = [
  ['a layer that comes too early', frame(1)],
  ['a layer that has been closed', frame(0), layer(0), frame(0)],
  ['an end of another layer', frame(0), layer(1)],
  ['an end twice', frame(0), layer(0), layer(0)],
  ['a layer without any frame', layer(0, 0)],
  ['a layer that is more than its frames', frame(0), layer(0, 101)],
  ['a frame that no memory holds', frame(0, { size: 2 ** 40 })],
  ['a frame that ends where numbers end', frame(0, { offset: Number.MAX_SAFE_INTEGER })],
]
for (const [reason, ...events] of LIES) {
  test(`${reason} is not believed`, async () => {
    const all = uploads()
    for (const event of events.slice(0, -1)) all.onEvent(event)
    assert.throws(() => all.onEvent(events.at(-1)!), isLie)
    await all.abandon(new AppError('cancelled', 'Cancelled.'))
  })
}

test('no image of a million layers is begun', async () => {
  const all = uploads()
  const begin = () => {
    for (let i = 0; i < 1e6; i++) for (const event of [frame(i), layer(i)]) all.onEvent(event)
  }
  assert.throws(begin, {
    code: 'limit_exceeded',
    message: /more than 128 layers.*TINTYPE_SPOOL_BYTES or TINTYPE_MAX_LAYER_BYTES/,
  })
  await all.abandon(new AppError('cancelled', 'Cancelled.'))
})

test('a frame outside of the spool ends the upload', async () => {
  const pushed: Buffer[] = []
  const all = uploads(pushed)
  for (const event of [frame(0, { offset: SPOOL.length - 5 }), layer(0)]) all.onEvent(event)
  await assert.rejects(all.finish(), isLie)
  assert.deepEqual(pushed, [])
})

test('a layer that has no end when the reader says that it is done is given up, not waited for', async () => {
  const pushed: Buffer[] = []
  const all = uploads(pushed)
  all.onEvent(frame(0))
  await assert.rejects(all.finish(), isLie)
  assert.deepEqual(pushed, [])
})

test('a layer of as many bytes as are allowed is fine, and with one more it ends', async () => {
  const { signal } = new AbortController()
  const fits = uploads([], signal, 24)
  for (const event of [frame(0), frame(0), layer(0, 200), frame(1), layer(1)]) fits.onEvent(event)
  await fits.finish()
  const tooLarge = uploads([], signal, 23)
  tooLarge.onEvent(frame(0))
  assert.throws(() => tooLarge.onEvent(frame(0)), {
    code: 'layer_too_large',
    message: /larger than the 23 bytes that TINTYPE_MAX_LAYER_BYTES allows: exclude its largest file/,
  })
  await tooLarge.abandon(new AppError('cancelled', 'Cancelled.'))
})

test('layers are released when all are uploaded, each once, and cannot be read again', async () => {
  const all = uploads()
  for (const event of [frame(0), layer(0), frame(1, { offset: 25 }), layer(1)]) all.onEvent(event)
  const given: (readonly number[])[] = []
  const give = (frames: readonly FrameEvent[]) => {
    given.push(frames.map(({ offset }) => offset))
    return true
  }
  await all.release(give)
  await all.release(give)
  assert.deepEqual(given, [[0], [25]])
  const [first] = await all.finish()
  assert.equal(first?.source.isReleased, true)
  await assert.rejects(repository([]).pushBlob(first!.source), { code: 'blob_missing', message: /lost a new layer/ })
})

test('a layer whose place cannot be given back is read again as before', async () => {
  const pushed: Buffer[] = []
  const all = uploads(pushed)
  for (const event of [frame(0), layer(0)]) all.onEvent(event)
  await all.release(() => false)
  const [first] = await all.finish()
  await repository(pushed).pushBlob(first!.source)
  assert.deepEqual([first!.source.isReleased, pushed.map(String)], [false, ['first frame|', 'first frame|']])
})

test('nothing is released when an upload fails or the capture is cancelled', async () => {
  const stop = new AbortController()
  const all = uploads([], stop.signal)
  for (const event of [frame(0), layer(0), frame(1), frame(1)]) all.onEvent(event)
  const give = () => assert.fail('released')
  await assert.rejects(all.release(give), isLie) // the second has no end, so that it would be waited for in vain
  const cancelled = uploads([], stop.signal)
  stop.abort(new AppError('cancelled', 'Cancelled.'))
  for (const event of [frame(0), layer(0)]) cancelled.onEvent(event)
  await assert.rejects(cancelled.release(give), { code: 'cancelled' })
})
