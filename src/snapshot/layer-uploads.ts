import type { FileHandle } from 'node:fs/promises'
import { sleep } from '#base/abort.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { parseDiffID, type DiffID } from '#oci/digest.ts'
import type { Repository } from '#registry/repository.ts'
import { Gate, LayerSource } from './layer-source.ts'
import { AppError } from '#base/errors.ts'
import type { FrameEvent, LayerEvent } from './protocol.ts'

const UPLOADS = 3 // as dockerd
/** So long a container may go on changing while uploads end: what it writes meanwhile is copied in milliseconds. */
const DRAIN_MS = 500
/** A segment is about 8 MiB, and more only by its headers; a compressed frame of this size is read into memory at once. */
const MOST_FRAME_BYTES = 1 << 28
/** No engine unpacks an image of so many layers. */
const MOST_LAYERS = 128
/** What does not compress grows a little, and some members have long headers. */
const LAYER_MARGIN = 0.98

/** A layer that is in the repository, and still in the spool unless it was released. */
export interface UploadedLayer {
  readonly source: LayerSource
  readonly descriptor: Descriptor
  readonly diffID: DiffID
  readonly rawBytes: number
}

/** How much tar surely fits into a layer of which the registry may store `maxLayerBytes`: layers are closed there. */
export function rawBytesWithin(maxLayerBytes: number): number {
  return Math.floor(maxLayerBytes * LAYER_MARGIN)
}

export interface LayerUploadsOptions {
  readonly target: Repository
  readonly spool: FileHandle
  readonly mediaType: string
  /** Undefined: any number. */
  readonly maxLayerBytes?: number | undefined
  readonly signal: AbortSignal
  readonly onProgress: (uploadedBytes: number) => void
}

/** Uploads layers as they are made (design.md §4.6): each begins with its first frame, and ends when its tar is complete. */
export class LayerUploads {
  readonly #options: LayerUploadsOptions
  readonly #gate = new Gate()
  readonly #sources = new Map<number, LayerSource>()
  readonly #uploads: Promise<Descriptor>[] = []
  readonly #sent: number[] = []
  readonly #waiting: (() => void)[] = []
  #running = 0
  /** Complete layers, and the raw bytes of the frames of the next one. */
  #layers = 0
  #rawBytes = 0
  /** What the frames of the next one take in the repository. */
  #storedBytes = 0

  constructor(options: LayerUploadsOptions) {
    this.#options = options
  }

  /**
   * Take what the reader says of frames and layers; other events are not for here. Throws `reader_failed` for what an
   * honest reader does not say: layers out of order, a frame of impossible size, a sum that is wrong (attacks.md C14);
   * `layer_too_large`.
   */
  onEvent(event: FrameEvent | LayerEvent): void {
    this.#check(event)
    const source = this.#sourceOf(event.layer)
    if (event.event === 'frame') {
      this.#rawBytes += event.rawBytes
      this.#storedBytes += event.size
      this.#refuseTooLarge()
      if (event.size > 0) source.add(event) // uncompressed, and all that was in it is gone
      return
    }
    this.#layers++
    this.#rawBytes = 0
    this.#storedBytes = 0
    source.complete(parseDiffID(event.diffID), event.rawBytes)
  }

  #check(event: FrameEvent | LayerEvent): void {
    if (event.layer !== this.#layers) throw lied(`layer ${event.layer} is out of order`)
    if (event.layer >= MOST_LAYERS) throw tooMany()
    if (event.event === 'layer') {
      if (!this.#sources.has(event.layer) || event.rawBytes !== this.#rawBytes)
        throw lied(`layer ${event.layer} is not the sum of its frames`)
    } else if (event.size > MOST_FRAME_BYTES || !Number.isSafeInteger(event.offset + event.size))
      throw lied(`a frame of ${event.size} bytes is not possible`)
  }

  /** As soon as it is too much: what follows need not be read. */
  #refuseTooLarge(): void {
    const { maxLayerBytes = Infinity } = this.#options
    if (this.#storedBytes <= maxLayerBytes) return
    throw new AppError(
      'layer_too_large',
      `A layer would be larger than the ${maxLayerBytes} bytes that TINTYPE_MAX_LAYER_BYTES allows: exclude its largest file, or raise the limit.`,
    )
  }

  /**
   * Bring the uploads to rest: those that can end soon do, the others wait for `resume` with their next frame. A registry
   * or layout that flushes a disk at that moment would hold up whoever in the container waits for the same disk.
   */
  async quiet(): Promise<void> {
    const drained = new AbortController()
    await Promise.race([Promise.allSettled(this.#uploads), sleep(DRAIN_MS, drained.signal).catch(() => {})])
    drained.abort()
    this.#gate.close()
  }

  resume(): void {
    this.#gate.open()
  }

  get uploadedBytes(): number {
    return this.#sent.reduce((sum, bytes) => sum + bytes, 0)
  }

  /** All layers so far, in order, when the repository has them. Throws what an upload threw. */
  async finish(): Promise<readonly UploadedLayer[]> {
    const unfinished = this.#sources.get(this.#layers)
    unfinished?.fail(lied(`layer ${this.#layers} has no end`))
    const descriptors = await Promise.all(this.#uploads)
    return [...this.#sources.values()].flatMap((source, i) => {
      const descriptor = descriptors[i]
      const { completed } = source
      return descriptor && completed ? [{ source, descriptor, ...completed }] : []
    })
  }

  /**
   * Wait until the repository has all layers so far, and give back their place in the spool with `give`, which may say that
   * it could not. Throws as `finish`.
   */
  async release(give: (frames: readonly FrameEvent[]) => boolean): Promise<void> {
    for (const { source } of await this.finish()) if (!source.isReleased) source.release(give)
  }

  /** No layer will be complete any more: uploads under way end, with `error`. */
  async abandon(error: unknown): Promise<void> {
    this.resume()
    for (const source of this.#sources.values()) source.fail(error)
    await Promise.allSettled(this.#uploads)
  }

  #sourceOf(layer: number): LayerSource {
    const known = this.#sources.get(layer)
    if (known) return known
    const source = new LayerSource(this.#options.spool, this.#options.mediaType, this.#gate)
    this.#sources.set(layer, source)
    const upload = this.#upload(source, this.#uploads.length)
    upload.catch(() => {}) // seen by finish()
    this.#uploads.push(upload)
    return source
  }

  async #upload(source: LayerSource, index: number): Promise<Descriptor> {
    await this.#slot()
    try {
      const { target, signal, onProgress } = this.#options
      return await target.pushBlob(source, {
        signal,
        onProgress: (sentBytes) => {
          this.#sent[index] = sentBytes
          onProgress(this.uploadedBytes)
        },
      })
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  async #slot(): Promise<void> {
    if (this.#running >= UPLOADS) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running++
  }
}

/** Layers become so small only where the spool or the limit of a layer leaves them no more room. */
function tooMany(): AppError {
  return new AppError(
    'limit_exceeded',
    `The image would need more than ${MOST_LAYERS} layers, which no engine unpacks: raise TINTYPE_SPOOL_BYTES or TINTYPE_MAX_LAYER_BYTES, or exclude something large.`,
  )
}

function lied(what: string): AppError {
  return new AppError('reader_failed', `The reader said something that cannot be: ${what}. Report this with the log.`)
}
