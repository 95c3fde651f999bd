import { createHash, type Hash } from 'node:crypto'
import type { FrameEvent, LayerEvent } from '#snapshot/protocol.ts'
import type { KeptEntry } from './encode.ts'
import type { EncodedReply } from './messages.ts'
import type { Segment } from './plan.ts'
import { LookAhead, type AheadSegment } from './read-ahead.ts'
import type { WorkerThread } from './pool.ts'

/** A worker always has one segment to go on with when it hands one over. */
const SEGMENTS_PER_WORKER = 2
/** Raw buffers of a worker: those it fills, and one that waits to be hashed. */
const SLOTS_PER_WORKER = SEGMENTS_PER_WORKER + 1

export interface EncodeLayersOptions {
  readonly workers: readonly WorkerThread[]
  readonly checksAfterRead: boolean
  /** Whether what is read now comes from the disk. */
  readonly isCold: () => boolean
  readonly kept?: ReadonlyMap<number, KeptEntry>
  readonly emit: (event: FrameEvent | LayerEvent) => void
  readonly onEncoded: (reply: EncodedReply) => void
}

/**
 * Have the segments encoded by all workers, and hash their tars in order: one diffID a layer. Memory is bounded by the
 * slots; the result does not depend on the number of workers.
 */
export async function encodeLayers(segments: Iterator<Segment>, options: EncodeLayersOptions): Promise<void> {
  const lanes = options.workers.map((worker) => new Lane(worker))
  const queue: Encoding[] = []
  const hasher = new LayerHasher(options)
  const lookAhead = new LookAhead(segments, options.isCold)
  let isExhausted = false
  for (;;) {
    while (!isExhausted) {
      const lane = lanes.find((candidate) => candidate.isFree)
      if (!lane) break
      const next = lookAhead.next()
      if (next) queue.push(lane.encode(next, options))
      else isExhausted = true
    }
    const first = queue.shift()
    if (!first) return
    // All but the first are watched too: an error must not wait for its turn to be seen as unhandled.
    for (const { reply } of queue) reply.catch(() => {})
    const reply = await first.reply
    options.onEncoded(reply)
    hasher.add(first.segment, reply)
    first.release()
  }
}

interface Encoding {
  readonly segment: Segment
  readonly reply: Promise<EncodedReply>
  readonly release: () => void
}

class Lane {
  readonly #worker: WorkerThread
  readonly #freeSlots = Array.from({ length: SLOTS_PER_WORKER }, (_, slot) => slot)
  #inFlight = 0

  constructor(worker: WorkerThread) {
    this.#worker = worker
  }

  get isFree(): boolean {
    return this.#inFlight < SEGMENTS_PER_WORKER && this.#freeSlots.length > 0
  }

  encode({ segment, ahead }: AheadSegment, { checksAfterRead, kept }: EncodeLayersOptions): Encoding {
    const slot = this.#freeSlots.pop() ?? 0
    this.#inFlight++
    const { ops, isLast } = segment
    const extra = kept ? { kept: keptOf(ops, kept) } : {}
    const reply = this.#worker.ask({ type: 'encode', slot, ops, isLast, checksAfterRead, ahead, ...extra }, 'encoded')
    const settled = () => void this.#inFlight--
    reply.then(settled, settled)
    return { segment, reply, release: () => this.#freeSlots.push(slot) }
  }
}

/** What a segment needs of the kept entries: the rows in its ops. */
function keptOf(ops: Float64Array, kept: ReadonlyMap<number, KeptEntry>): ReadonlyMap<number, KeptEntry> {
  const part = new Map<number, KeptEntry>()
  for (const row of ops) {
    const entry = kept.get(row)
    if (entry) part.set(row, entry)
  }
  return part
}

/** Hashes the tars in order and says what came of them. */
class LayerHasher {
  readonly #emit: EncodeLayersOptions['emit']
  #hash: Hash = createHash('sha256')
  #rawBytes = 0

  constructor({ emit }: EncodeLayersOptions) {
    this.#emit = emit
  }

  add(segment: Segment, reply: EncodedReply): void {
    this.#hash.update(new Uint8Array(reply.buffer, 0, reply.rawBytes))
    this.#rawBytes += reply.rawBytes
    const { offset, size, rawBytes } = reply
    this.#emit({ event: 'frame', layer: segment.layer, offset, size, rawBytes, files: segment.files })
    if (!segment.isLast) return
    const diffID = `sha256:${this.#hash.digest('hex')}`
    this.#emit({ event: 'layer', layer: segment.layer, diffID, rawBytes: this.#rawBytes })
    this.#hash = createHash('sha256')
    this.#rawBytes = 0
  }
}
