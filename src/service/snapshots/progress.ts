import { EventEmitter, once } from 'node:events'
import type { Clock } from '#base/clock.ts'
import type { Progress } from '#snapshot/result.ts'

/** How far a snapshot is, as callers see it. */
export interface SnapshotProgress extends Progress {
  /** Of what the present phase counts: bytes read, or bytes sent. Absent while there is no telling. */
  readonly bytesPerSecond?: number
  /** Until the bytes of this phase are through. */
  readonly secondsLeft?: number
}

const WINDOW_MS = 5_000 // the rate is of the last seconds, so that it follows what happens

interface Sample {
  readonly timeMs: number
  readonly phase: Progress['phase']
  readonly bytes: number
}

/** The present progress of the snapshots that this server works on, and who waits for news of them. */
export class ProgressBoard {
  readonly #clock: Clock
  readonly #latest = new Map<string, SnapshotProgress>()
  readonly #samples = new Map<string, Sample[]>()
  readonly #news = new EventEmitter().setMaxListeners(0)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  set(snapshotId: string, progress: Progress): void {
    const rate = this.#rateOf(snapshotId, progress)
    // How much there is to send is known when it is sent: then nothing is promised.
    const left =
      progress.bytesTotal === undefined || isSending(progress) ? undefined : progress.bytesTotal - progress.bytes
    this.#latest.set(snapshotId, {
      ...progress,
      ...(rate !== undefined && { bytesPerSecond: Math.round(rate) }),
      ...(rate !== undefined && rate > 0 && left !== undefined && { secondsLeft: Math.ceil(left / rate) }),
    })
    this.#news.emit(snapshotId)
  }

  get(snapshotId: string): SnapshotProgress | undefined {
    return this.#latest.get(snapshotId)
  }

  /** Something else than the bytes has changed: the status, or it is gone. */
  tell(snapshotId: string): void {
    this.#news.emit(snapshotId)
  }

  forget(snapshotId: string): void {
    this.#latest.delete(snapshotId)
    this.#samples.delete(snapshotId)
    this.#news.emit(snapshotId)
  }

  /** Resolves at the next news of this snapshot, or when the signal fires. */
  async waitForNews(snapshotId: string, signal: AbortSignal): Promise<void> {
    await once(this.#news, snapshotId, { signal }).catch(() => {})
  }

  #rateOf(snapshotId: string, { phase, bytes, uploadedBytes }: Progress): number | undefined {
    const timeMs = this.#clock.monotonicMs()
    const now = { timeMs, phase, bytes: isSending({ phase }) ? uploadedBytes : bytes }
    const before = this.#samples.get(snapshotId) ?? []
    const samples = before.filter((sample) => sample.phase === phase && timeMs - sample.timeMs <= WINDOW_MS)
    const [first] = samples
    this.#samples.set(snapshotId, [...samples, now])
    if (first === undefined || timeMs - first.timeMs < 100 || now.bytes < first.bytes) return undefined
    return ((now.bytes - first.bytes) / (timeMs - first.timeMs)) * 1_000
  }
}

const isSending = ({ phase }: Pick<Progress, 'phase'>) => phase === 'uploading' || phase === 'finishing'
