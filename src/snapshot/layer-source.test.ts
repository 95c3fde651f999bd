import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { parseDiffID } from '#oci/digest.ts'
import { Gate, LayerSource } from './layer-source.ts'

const CONTENT = Buffer.from('0123456789abcdefghij')
const DIFF_ID = parseDiffID(`sha256:${'a'.repeat(64)}`)
const DIGEST = `sha256:${createHash('sha256').update(CONTENT).digest('hex')}`
let directory: string
let spool: FileHandle

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'layer-source-'))
  // In the spool the second half of the layer lies first.
  writeFileSync(join(directory, 'frames'), Buffer.concat([CONTENT.subarray(10), CONTENT.subarray(0, 10)]))
  spool = await open(join(directory, 'frames'))
})
after(async () => {
  await spool.close()
  rmSync(directory, { recursive: true })
})

const frame = (offset: number, size: number) =>
  ({ event: 'frame', layer: 0, offset, size, rawBytes: size, files: 1 }) as const
const openLayer = (gate = new Gate()) => new LayerSource(spool, 'a/b', gate)

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of bytes) parts.push(Uint8Array.from(part)) // they are lent
  return Buffer.concat(parts).toString()
}

test('frames are read in their order while they are made, as often as asked, and the first reading tells the digest', async () => {
  const layer = openLayer()
  const early = collect(layer.open())
  layer.add(frame(10, 10))
  layer.add(frame(0, 10))
  layer.complete(DIFF_ID, 20)
  assert.equal(await early, CONTENT.toString())
  assert.equal(await collect(layer.open()), CONTENT.toString())
  assert.deepEqual(await layer.descriptor, { mediaType: 'a/b', digest: DIGEST, size: 20 })
  assert.deepEqual(layer.completed, { diffID: DIFF_ID, rawBytes: 20 })
})

test('a closed gate holds a reading up until it is opened', async () => {
  const gate = new Gate()
  const layer = openLayer(gate)
  layer.add(frame(10, 10))
  const reading = layer.open()
  assert.equal((await reading.next()).value?.byteLength, 10)
  gate.close()
  layer.add(frame(0, 10))
  let hasRead = false
  const next = reading.next().then((result) => {
    hasRead = true
    return result
  })
  await spool.stat() // a turn of the pool that a read of the file would have needed, too
  assert.equal(hasRead, false)
  gate.open()
  assert.equal((await next).value?.byteLength, 10)
})

test('a layer that fails ends its readings and its descriptor with the reason', async () => {
  const layer = openLayer()
  const reading = collect(layer.open())
  layer.fail(new AppError('reader_failed', 'the reader died'))
  await assert.rejects(reading, { code: 'reader_failed' })
  await assert.rejects(layer.descriptor, { code: 'reader_failed' })
  await assert.rejects(collect(layer.open()), { code: 'reader_failed' })
})

test('a reading that waits for more ends when it is cancelled', async () => {
  const cancel = new AbortController()
  const reading = collect(openLayer().open(cancel.signal))
  cancel.abort(new AppError('cancelled', 'Cancelled.'))
  await assert.rejects(reading, { code: 'cancelled' })
})

test('a frame that lies outside of the spool is the reader’s fault, and no layer', async () => {
  const layer = openLayer()
  layer.add(frame(15, 10))
  await assert.rejects(collect(layer.open()), { code: 'reader_failed', message: /not in the spool/ })
})
