import { sleep } from '#base/abort.ts'
import { toAppError } from '#base/errors.ts'
import type { SnapshotDetail } from '#store/snapshot-record.ts'
import type { CaptureParts } from './capture.ts'
import { runSnapshot } from './run.ts'
import { Tenure } from './tenure.ts'

interface Running {
  readonly tenure: Tenure
  readonly done: Promise<void>
}

/**
 * One server's share of the work: it claims what is unfinished, as many at once as the configuration says, also what
 * another server has lost. Closing it gives everything back, thawed, for the next server to go on with.
 */
export class SnapshotWorker implements AsyncDisposable {
  readonly #parts: CaptureParts
  readonly #running = new Map<string, Running>()
  readonly #stopping = new AbortController()
  #knock = Promise.withResolvers<void>()
  #looping: Promise<void> | undefined

  constructor(parts: CaptureParts) {
    this.#parts = parts
  }

  /** Begin to claim. */
  start(): void {
    this.#looping ??= this.#loop()
  }

  /** Snapshots that this server works on now. */
  get size(): number {
    return this.#running.size
  }

  /** There may be something to do. */
  wake(): void {
    this.#knock.resolve()
  }

  /** Stop it here and now, if this server works on it; if nobody does, end it as cancelled. */
  async cancel(snapshotId: string): Promise<void> {
    const running = this.#running.get(snapshotId)
    if (running) return running.tenure.cancel()
    const waiting = await this.#parts.store.snapshotQueue.claimToEnd(snapshotId, this.#claim())
    if (waiting) this.#start(waiting)
  }

  /** Whether this server works on it. */
  has(snapshotId: string): boolean {
    return this.#running.has(snapshotId)
  }

  /** Its record is gone. Resolves when this server does nothing for it any more. */
  async abandon(snapshotId: string): Promise<void> {
    const running = this.#running.get(snapshotId)
    running?.tenure.abandon()
    await running?.done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    this.wake()
    await this.#looping
    for (const { tenure } of this.#running.values()) tenure.release()
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }

  async #loop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#knock = Promise.withResolvers()
      await this.#fill().catch((error: unknown) => this.#report('The queue of snapshots cannot be read.', error))
      await Promise.race([this.#knock.promise, pause(this.#parts.times.pollMs, this.#stopping.signal)])
    }
  }

  async #fill(): Promise<void> {
    const { store, maxSnapshots } = this.#parts
    while (this.#running.size < maxSnapshots && !this.#stopping.signal.aborted) {
      const claimed = await store.snapshotQueue.claimNext(this.#claim())
      if (claimed === undefined) return
      await this.#endLost(claimed.snapshotId)
      this.#start(claimed)
    }
  }

  /** After a suspend, or a step of the clock, a server may take over from itself: what it had begun ends first. */
  async #endLost(snapshotId: string): Promise<void> {
    const lost = this.#running.get(snapshotId)
    lost?.tenure.abandon()
    await lost?.done
  }

  #claim() {
    const { owner, clock, times } = this.#parts
    return { owner, nowMs: clock.wallMs(), leaseMs: times.leaseMs }
  }

  #start(snapshot: SnapshotDetail): void {
    const { store, clock, times, board } = this.#parts
    const { snapshotId, fence } = snapshot
    const tenure = new Tenure({
      claim: { snapshotId, fence },
      queue: store.snapshotQueue,
      clock,
      times,
      progress: () => {
        const progress = board.get(snapshotId)
        return progress && JSON.stringify(progress)
      },
    })
    const done = this.#work(snapshot, tenure).finally(() => {
      if (this.#running.get(snapshotId)?.tenure === tenure) this.#running.delete(snapshotId)
      board.forget(snapshotId)
      this.wake()
    })
    this.#running.set(snapshotId, { tenure, done })
  }

  async #work(snapshot: SnapshotDetail, tenure: Tenure): Promise<void> {
    try {
      await using held = tenure
      await runSnapshot(snapshot, held, this.#parts)
    } catch (error) {
      this.#report('A snapshot could not be worked on; it is taken up again.', error, snapshot.snapshotId)
    }
  }

  #report(sentence: string, error: unknown, snapshotId = ''): void {
    this.#parts.log(sentence, { snapshotId, message: toAppError(error).message })
  }
}

/** Resolves after the time, or at once when the signal fires. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, signal).catch(() => {})
}
