import { sleep } from '#base/abort.ts'
import { toAppError, type AppError } from '#base/errors.ts'

export interface BatchOptions {
  /** How long something may wait for company. */
  readonly delayMs?: number
  /** So many are written at once; with ten times as many waiting, the oldest are given up. */
  readonly maxBatch?: number
  /** Told when a batch is lost: nobody else waits for it. */
  readonly onLost: (error: AppError, count: number) => void
}

const DELAY_MS = 200
const MAX_BATCH = 500
const MAX_WAITING_BATCHES = 10
const ATTEMPTS = 3

/**
 * Writes that no caller waits for, grouped: one transaction for many. What is added is written within `delayMs`, in
 * order; `flush` waits for all. A database that is away loses entries and no request.
 */
export class BatchWriter<T> implements AsyncDisposable {
  readonly #write: (entries: readonly T[]) => Promise<void>
  readonly #options: Required<BatchOptions>
  #waiting: T[] = []
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(write: (entries: readonly T[]) => Promise<void>, options: BatchOptions) {
    this.#write = write
    this.#options = { delayMs: DELAY_MS, maxBatch: MAX_BATCH, ...options }
  }

  add(entry: T): void {
    const { maxBatch, delayMs } = this.#options
    this.#waiting.push(entry)
    const excess = this.#waiting.length - maxBatch * MAX_WAITING_BATCHES
    if (excess > 0) {
      this.#waiting.splice(0, excess)
      this.#options.onLost(toAppError(new Error('entries wait faster than they are written')), excess)
    }
    this.#timer ??= setTimeout(() => void this.flush(), delayMs).unref()
  }

  /** Everything that was added before is written, or given up. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeAll())
    await this.#writing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush()
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#options.maxBatch)
      await this.#writeBatch(batch)
    }
  }

  async #writeBatch(batch: readonly T[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#write(batch)
      } catch (error) {
        const failure = toAppError(error)
        if (failure.retry && attempt < ATTEMPTS) await sleep(this.#options.delayMs * attempt)
        else return this.#options.onLost(failure, batch.length)
      }
    }
  }
}
