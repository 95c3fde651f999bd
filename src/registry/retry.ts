/** When to send something again, and how long to wait before. */
import { sleep, throwIfAborted } from '#base/abort.ts'
import { systemClock } from '#base/clock.ts'
import type { Clock } from '#base/clock.ts'
import { isTransient } from './failure.ts'
import type { HttpResponse } from './http.ts'

/** How often anything is tried before it fails. */
export const TRIES = 5
const FIRST_WAIT_MS = 1_000 // 1 + 2 + 4 + 8 s: a registry that restarts is back by then
const LONGEST_WAIT_MS = 120_000 // Docker Hub's limits last hours: nobody waits for that

/** What retries depend on; tests bring their own. */
export interface Pace {
  readonly clock: Clock
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>
  /** In [0, 1). */
  readonly random: () => number
}

export const systemPace: Pace = { clock: systemClock, sleep, random: Math.random }

/** The wait before try number `next` (2, 3, …): doubling, with jitter so that many clients do not come back at once. */
export function backoffMs(next: number, pace: Pace): number {
  return FIRST_WAIT_MS * 2 ** (next - 2) * (0.5 + pace.random())
}

/** Whether the status means: later, not never. */
export function isBusy(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505 && status !== 524)
}

/** What `Retry-After` asks for in ms (RFC 9110 § 10.2.3: seconds or a date), or undefined when it says nothing. */
export function retryAfterMs(response: Pick<HttpResponse, 'headers'>, pace: Pace): number | undefined {
  const value = response.headers['retry-after']?.trim() ?? ''
  if (/^\d+$/.test(value)) return Number(value) * 1000
  const at = /^[A-Za-z]{3}/.test(value) ? Date.parse(value) : Number.NaN // else "-3" would be a year
  return Number.isNaN(at) ? undefined : Math.max(0, at - pace.clock.wallMs())
}

/** The wait before try number `next` after a busy answer, or undefined when there is no use in waiting. */
export function waitMs(response: Pick<HttpResponse, 'headers'>, next: number, pace: Pace): number | undefined {
  if (next > TRIES) return undefined
  const asked = retryAfterMs(response, pace)
  if (asked !== undefined && asked > LONGEST_WAIT_MS) return undefined
  // Never earlier than asked, and not all at once.
  return asked === undefined ? backoffMs(next, pace) : asked + pace.random() * FIRST_WAIT_MS
}

export interface RetryOptions {
  readonly pace: Pace
  readonly signal?: AbortSignal | undefined
  /** Whether this failure of try number `tries` may pass by itself; by default what isTransient says. */
  readonly mayPass?: (error: unknown, tries: number) => boolean
  /** Asked after each wait, before it is sent again; what it throws ends it. */
  readonly beforeRetry?: (() => Promise<void>) | undefined
}

/** Send until there is an answer that is not "busy", at most five times; the last answer or error stands. */
export async function sendWithRetries(
  send: () => Promise<HttpResponse>,
  { pace, signal, mayPass = isTransient, beforeRetry }: RetryOptions,
): Promise<HttpResponse> {
  for (let tries = 1; ; tries++) {
    throwIfAborted(signal)
    let wait: number | undefined
    try {
      const response = await send()
      wait = isBusy(response.status) ? waitMs(response, tries + 1, pace) : undefined
      if (wait === undefined) return response
      await response.discard()
    } catch (error) {
      if (tries >= TRIES || !mayPass(error, tries)) throw error
      wait = backoffMs(tries + 1, pace)
    }
    await pace.sleep(wait, signal)
    await beforeRetry?.()
  }
}
