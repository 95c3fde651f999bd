import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { parseDigest, type DiffID } from '#oci/digest.ts'
import type { BlobSource } from '#registry/repository.ts'
import type { FrameEvent } from './protocol.ts'

/** Read, hashed and sent while it is in the processor's cache. */
const PIECE_BYTES = 1 << 20

/** Holds up whoever reads layers while the container is frozen: the freeze gets the machine to itself (attacks.md B2). */
export class Gate {
  #opened: Promise<void> | undefined
  #open: () => void = () => {}

  close(): void {
    this.#opened ??= new Promise((resolve) => (this.#open = resolve))
  }

  open(): void {
    this.#open()
    this.#opened = undefined
  }

  async pass(): Promise<void> {
    await this.#opened
  }
}

/** A layer that is being made: its frames lie in the spool, in whatever order they were finished, and are read in theirs. */
export class LayerSource implements BlobSource {
  readonly descriptor: Promise<Descriptor>
  readonly isHashed = true
  readonly #spool: FileHandle
  readonly #mediaType: string
  readonly #gate: Gate
  readonly #frames: FrameEvent[] = []
  readonly #wake = new Set<() => void>()
  #settle: { resolve: (descriptor: Descriptor) => void; reject: (error: unknown) => void } | undefined
  #complete: { readonly diffID: DiffID; readonly rawBytes: number } | undefined
  #failure: unknown
  #isReleased = false

  constructor(spool: FileHandle, mediaType: string, gate: Gate) {
    this.#spool = spool
    this.#mediaType = mediaType
    this.#gate = gate
    this.descriptor = new Promise((resolve, reject) => (this.#settle = { resolve, reject }))
    this.descriptor.catch(() => {}) // whoever uploads the layer sees it
  }

  add(frame: FrameEvent): void {
    this.#frames.push(frame)
    this.#wakeAll()
  }

  /** No frame comes any more. */
  complete(diffID: DiffID, rawBytes: number): void {
    this.#complete = { diffID, rawBytes }
    this.#wakeAll()
  }

  /** The layer will never be whole. */
  fail(error: unknown): void {
    this.#failure = error
    this.#settle?.reject(error)
    this.#wakeAll()
  }

  /** It can be read no more: where its frames were is given back by `give`, which may say that it could not. */
  release(give: (frames: readonly FrameEvent[]) => boolean): void {
    this.#isReleased ||= give(this.#frames)
  }

  /** Only the repository that it was uploaded to has it. */
  get isReleased(): boolean {
    return this.#isReleased
  }

  get completed(): { readonly diffID: DiffID; readonly rawBytes: number } | undefined {
    return this.#complete
  }

  /**
   * The first reading that comes to the end has hashed the layer, and so tells its descriptor. All pieces lie in one buffer:
   * a new one each would be hundreds of megabytes for the kernel to clear and for the collector to find. Throws
   * `blob_missing` when it has been released, and what it was failed with.
   */
  async *open(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256')
    const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
    let size = 0
    for (let i = 0; ;) {
      throwIfAborted(signal)
      await this.#gate.pass()
      if (this.#isReleased) throw released()
      if (this.#failure !== undefined) throw this.#failure
      const frame = this.#frames[i]
      if (frame) {
        for await (const bytes of readFrame(this.#spool, frame, piece)) {
          hash.update(bytes)
          size += bytes.byteLength
          yield bytes
          throwIfAborted(signal)
        }
        i++
      } else if (this.#complete) break
      else await this.#change(signal)
    }
    this.#settle?.resolve({ mediaType: this.#mediaType, digest: parseDigest(`sha256:${hash.digest('hex')}`), size })
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve() // no event comes any more
      const wake = () => {
        this.#wake.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#wake.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }

  #wakeAll(): void {
    for (const wake of [...this.#wake]) wake()
  }
}

/** A layer that was sent is wanted again, as when a garbage collection of the registry has taken it (attacks.md A10). */
function released(): AppError {
  return new AppError(
    'blob_missing',
    'The registry has lost a new layer, of which the spool had no room to keep a copy: try again, or give TINTYPE_HOME more room.',
  )
}

async function* readFrame(spool: FileHandle, { offset, size }: FrameEvent, into: Buffer): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < size;) {
    const { bytesRead } = await spool.read(into, 0, Math.min(into.byteLength, size - done), offset + done)
    if (bytesRead === 0) throw new AppError('reader_failed', 'The reader named a frame that is not in the spool.')
    done += bytesRead
    yield into.subarray(0, bytesRead)
  }
}
