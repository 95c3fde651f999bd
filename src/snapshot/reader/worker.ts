import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '#base/clock.ts'
import { AppError, toAppError } from '#base/errors.ts'
import { imageId } from '#overlay/id-map.ts'
import { openCodec } from '#snapshot/codec.ts'
import { SPOOL_DESCRIPTOR, TAIL_DESCRIPTOR } from '#snapshot/protocol.ts'
import { copyTail } from './copy-tail.ts'
import { SegmentEncoder } from './encode.ts'
import { proveJail, sealModules } from './jail.ts'
import type { WorkerInit, WorkerReply, WorkerRequest } from './messages.ts'
import { SEGMENT_BYTES } from './plan.ts'
import { FileFetcher } from './read-ahead.ts'
import { Rows } from './rows.ts'
import { Walker } from './walk.ts'
import { WorkQueue } from './work-queue.ts'
import { writeWhole } from './write-whole.ts'

/** A segment is planned by estimates; what is more makes the buffer grow. */
const SLOT_BYTES = SEGMENT_BYTES + (1 << 18)
const WARM_UP_BYTES = 100_000

const init = workerData as WorkerInit
const rows = new Rows(init.rows)
const queue = new WorkQueue(init.queue)
const spoolEnd = new BigInt64Array(init.spoolEnd)
const compress = openCodec(init.codec)
const options = {
  overlayPrefix: init.overlayPrefix,
  toImageUid: imageId(init.uidMap),
  toImageGid: imageId(init.gidMap),
  hasIdMap: init.uidMap.length > 0 || init.gidMap.length > 0,
  tailDescriptor: TAIL_DESCRIPTOR,
}
const encoder = new SegmentEncoder(rows, options)
const fetcher = new FileFetcher(rows)
const slots: Uint8Array[] = []

async function answer(request: WorkerRequest): Promise<WorkerReply> {
  switch (request.type) {
    case 'seal':
      await proveJail(request.root)
      sealModules()
      return { type: 'sealed' }
    case 'walk':
      return { type: 'walked', result: new Walker(rows, queue, request.options, systemClock).run() }
    case 'copy':
      return { type: 'copied', entries: copyTail(rows, request.items, TAIL_DESCRIPTOR, options) }
    case 'encode':
      return encode(request)
  }
}

function encode(request: Extract<WorkerRequest, { type: 'encode' }>): WorkerReply {
  for (const ops of request.ahead) fetcher.fetch(ops)
  const slot = slots[request.slot] ?? new Uint8Array(new SharedArrayBuffer(SLOT_BYTES))
  const { buffer, length, torn, absent, leftOut, unmappedIds } = encoder.encode(request, slot)
  slots[request.slot] = buffer
  const frame = compress(buffer.subarray(0, length))
  const offset = Number(Atomics.add(spoolEnd, 0, BigInt(frame.byteLength)))
  writeWhole(SPOOL_DESCRIPTOR, frame, offset, 'The spool')
  const shared = buffer.buffer as SharedArrayBuffer
  return {
    type: 'encoded',
    buffer: shared,
    rawBytes: length,
    offset,
    size: frame.byteLength,
    torn,
    absent,
    leftOut,
    unmappedIds,
  }
}

const port = parentPort
if (!port) throw new AppError('internal', 'This module is a worker thread of the reader.')
port.on('message', (request: WorkerRequest) => {
  answer(request).then(
    (reply) => port.postMessage(reply),
    (cause: unknown) => {
      const { code, message, details } = toAppError(cause)
      port.postMessage({ type: 'failed', code, message, details } satisfies WorkerReply)
    },
  )
})
compress(new Uint8Array(WARM_UP_BYTES)) // everything has run once before the jail is shut (attacks.md A4)
port.postMessage({ type: 'ready' } satisfies WorkerReply)
