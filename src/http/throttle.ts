import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'

/** Operations that a console asks every second or so are documented with eight times the rate of the others (800/s to 100/s). */
const FREQUENT: ReadonlySet<string> = new Set(['GetInstanceMetrics', 'GetMetrics'])
const FREQUENT_FACTOR = 8

interface Bucket {
  tokens: number
  filledMs: number
}

export interface ThrottleOptions {
  /** Calls per second of one account and operation; 0: no limit. */
  readonly perSecond: number
  readonly clock: Clock
}

/**
 * Counts calls per account and operation, as token buckets that hold one second's calls (dsw-api §1.1).
 * Each replica counts for itself.
 */
export class Throttle {
  readonly #options: ThrottleOptions
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: ThrottleOptions) {
    this.#options = options
  }

  /** Count one call. Throws `rate_exceeded`, with the milliseconds to wait in its details. */
  take(accountId: string, action: string): void {
    const { perSecond: usual, clock } = this.#options
    if (usual === 0) return
    const perSecond = FREQUENT.has(action) ? usual * FREQUENT_FACTOR : usual
    const key = `${accountId} ${action}`
    const nowMs = clock.monotonicMs()
    const bucket = this.#buckets.get(key) ?? { tokens: perSecond, filledMs: nowMs }
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((nowMs - bucket.filledMs) * perSecond) / 1000)
    bucket.filledMs = nowMs
    this.#buckets.set(key, bucket)
    if (bucket.tokens < 1) throw exceeded(action, perSecond, Math.ceil(((1 - bucket.tokens) * 1000) / perSecond))
    bucket.tokens -= 1
  }
}

function exceeded(action: string, limit: number, timeLeftMs: number): AppError {
  return new AppError(
    'rate_exceeded',
    `${action} is called more than ${limit} times a second: try again in ${timeLeftMs} ms.`,
    { details: { wireCode: 'Throttling.User', limit, timeLeftMs } },
  )
}
