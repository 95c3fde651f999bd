import { sleep } from '#base/abort.ts'
import type { Clock } from '#base/clock.ts'
import { AppError, toAppError } from '#base/errors.ts'
import type { Claim, SnapshotChange, SnapshotEnd, SnapshotQueue } from '#store/snapshot-queue.ts'
import type { SnapshotTimes } from './parts.ts'

export interface TenureOptions {
  readonly claim: Claim
  readonly queue: SnapshotQueue
  readonly clock: Clock
  readonly times: SnapshotTimes
  /** The present progress as JSON, if there is any. */
  readonly progress: () => string | undefined
}

/**
 * One server's hold on one snapshot. It writes the progress and renews the lease once a beat; when it is cancelled, or
 * another server has taken it over, its signal fires (attacks.md B7: work stops at once).
 */
export class Tenure implements AsyncDisposable {
  readonly #options: TenureOptions
  readonly #controller = new AbortController()
  readonly #over = new AbortController()
  readonly #beating: Promise<void>
  #aliveMs: number
  #isLost = false
  #isReleased = false

  constructor(options: TenureOptions) {
    this.#options = options
    this.#aliveMs = options.clock.monotonicMs()
    this.#beating = this.#beat()
  }

  /** Fires with the reason: cancelled, lost, or the end of this server. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Another server has it, or it was removed: nothing may be written any more. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** Stopped for another server to go on with. */
  get isReleased(): boolean {
    return this.#isReleased
  }

  /** Throws when the hold is lost. */
  async change(change: SnapshotChange): Promise<void> {
    const { queue, claim } = this.#options
    const kept = await queue.renew(claim, this.#lease(), change)
    if (kept === undefined) throw this.#lose()
    this.#aliveMs = this.#options.clock.monotonicMs()
  }

  /** False when the hold was lost before. `end` may be a part of a transaction, which `queue` belongs to. */
  async end(end: SnapshotEnd, queue = this.#options.queue): Promise<boolean> {
    const isOurs = await queue.end(this.#options.claim, end, this.#options.clock.wallMs())
    if (!isOurs) this.#lose()
    return isOurs
  }

  /** The user's wish. */
  cancel(): void {
    this.#controller.abort(new AppError('cancelled', 'The snapshot was cancelled.'))
  }

  /** The record was removed: there is nothing to write to any more. */
  abandon(): void {
    this.#lose()
  }

  /** This server ends: the work stops, and another one takes it up. */
  release(): void {
    this.#isReleased = true
    this.#controller.abort(new AppError('cancelled', 'The server ends.'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    await this.#beating
    if (this.#isReleased && !this.#isLost) await this.#options.queue.release(this.#options.claim)
  }

  async #beat(): Promise<void> {
    const { times, clock, queue, claim } = this.#options
    let written: string | undefined
    while (await pause(times.beatMs, this.#over.signal)) {
      try {
        const progress = this.#options.progress()
        const isNew = progress !== undefined && progress !== written
        const kept = await queue.renew(claim, this.#lease(), isNew ? { progress } : {})
        if (this.#over.signal.aborted) return // it was ended meanwhile
        if (kept === undefined) return void this.#lose()
        written = progress
        this.#aliveMs = clock.monotonicMs()
        if (kept.cancelRequested) this.cancel()
      } catch (error) {
        // A store that is away for a moment is waited for, as long as nobody else can have taken it.
        if (clock.monotonicMs() - this.#aliveMs > times.leaseMs) return void this.#lose(error)
      }
    }
  }

  #lease() {
    return { nowMs: this.#options.clock.wallMs(), leaseMs: this.#options.times.leaseMs }
  }

  #lose(cause?: unknown): AppError {
    this.#isLost = true
    const lost = new AppError('snapshot_in_progress', 'Another server has taken this snapshot over.', {
      ...(cause !== undefined && { cause: toAppError(cause) }),
    })
    this.#controller.abort(lost)
    return lost
  }
}

/** False when the signal fired. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, signal).then(
    () => true,
    () => false,
  )
}
