import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { encodeHeader, endOfArchive, maxHeaderBytes, padding } from '#oci/tar.ts'
import type { TarHeader } from '#oci/tar.ts'
import type { CodecChoice } from '#snapshot/codec.ts'
import type { FrameEvent, LayerEvent } from '#snapshot/protocol.ts'
import { openPoolCodec } from './compress.ts'
import type { CompressInPool } from './compress.ts'

/** As in a capture (design.md §4.4): one frame each. */
const SEGMENT_BYTES = 8 << 20

export interface SegmentsOptions {
  readonly codec: CodecChoice
  /** Where the frames go, one after the other. */
  readonly frames: FileHandle
  /** Segments that are compressed at the same time. */
  readonly workers: number
  readonly emit: (event: FrameEvent | LayerEvent) => void
}

interface Slot {
  readonly raw: Uint8Array
  readonly compress: CompressInPool
}

/**
 * Writes layer tars: cut into segments, hashed in order, compressed side by side, their frames put into a file. The same
 * calls give the same bytes. After each call that may have written much, wait for `ready()`: that is what bounds the memory.
 */
export class Segments {
  readonly #options: SegmentsOptions
  readonly #free: Slot[] = []
  #slot: Slot
  #at = 0
  #files = 0
  #hash: Hash = createHash('sha256')
  #layer = 0
  #layerBytes = 0
  #spoolEnd = 0
  #inWork = 0
  #emitted: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined
  #wake: () => void = () => {}

  constructor(options: SegmentsOptions) {
    this.#options = options
    this.#slot = this.#newSlot()
  }

  /** Raw bytes of the layer that is open. */
  get layerBytes(): number {
    return this.#layerBytes + this.#at
  }

  /** The number of the layer that is open, from 0. */
  get layer(): number {
    return this.#layer
  }

  addHeader(header: TarHeader): void {
    if (this.#at + maxHeaderBytes(header) > SEGMENT_BYTES) this.#seal()
    this.#at = encodeHeader(header, this.#slot.raw, this.#at)
    this.#files++
  }

  addBytes(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.byteLength;) {
      if (this.#at === SEGMENT_BYTES) this.#seal()
      const part = bytes.subarray(done, done + SEGMENT_BYTES - this.#at)
      this.#slot.raw.set(part, this.#at)
      this.#at += part.byteLength
      done += part.byteLength
    }
  }

  /** The zeros that follow a body of `sizeBytes`. */
  addPadding(sizeBytes: number): void {
    this.addBytes(ZEROS.subarray(0, padding(sizeBytes)))
  }

  /** The layer is complete; the next call begins another. */
  closeLayer(): void {
    this.addBytes(endOfArchive)
    this.#seal()
    const layer = this.#layer++
    const rawBytes = this.#layerBytes
    const diffID = `sha256:${this.#hash.digest('hex')}`
    this.#hash = createHash('sha256')
    this.#layerBytes = 0
    this.#after(async () => this.#options.emit({ event: 'layer', layer, diffID, rawBytes }))
  }

  /** Resolves when there is room for more. Throws what went wrong with a segment. */
  async ready(): Promise<void> {
    while (this.#inWork > this.#options.workers && !this.#failure)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#failure) throw this.#failure.error
  }

  /** Resolves when everything is in the file and was said. Also right after a failure elsewhere: nothing works on after it. */
  async settle(): Promise<void> {
    await this.#emitted
    if (this.#failure) throw this.#failure.error
  }

  #newSlot(): Slot {
    return { raw: new Uint8Array(SEGMENT_BYTES), compress: openPoolCodec(this.#options.codec) }
  }

  #seal(): void {
    const slot = this.#slot
    const raw = slot.raw.subarray(0, this.#at)
    const event = { event: 'frame', layer: this.#layer, rawBytes: raw.byteLength, files: this.#files } as const
    this.#hash.update(raw)
    this.#layerBytes += raw.byteLength
    this.#inWork++
    const compressed = slot.compress(raw)
    compressed.catch(() => {}) // seen in its turn
    this.#after(async () => {
      const frame = await compressed
      const offset = this.#spoolEnd
      this.#spoolEnd += frame.byteLength
      await writeAll(this.#options.frames, frame, offset)
      this.#free.push(slot)
      this.#options.emit({ ...event, offset, size: frame.byteLength })
    }, true)
    this.#slot = this.#free.pop() ?? this.#newSlot()
    this.#at = 0
    this.#files = 0
  }

  /** One after the other; after a failure only to count down. */
  #after(work: () => Promise<void>, isSegment = false): void {
    this.#emitted = this.#emitted.then(async () => {
      try {
        if (!this.#failure) await work()
      } catch (error) {
        this.#failure ??= { error }
      }
      if (isSegment) this.#inWork--
      this.#wake()
    })
  }
}

const ZEROS = new Uint8Array(512)

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, offset + done)
    done += bytesWritten
  }
}
