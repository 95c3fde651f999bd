import { sleep } from '#base/abort.ts'
import type { Clock } from '#base/clock.ts'
import { toAppError } from '#base/errors.ts'
import { sweepSpools } from '#snapshot/spool.ts'
import type { Store } from '#store/open-store.ts'

const EVERY_MS = 10 * 60_000
/** Long enough to be asked about last quarter, short enough for a disk. */
const AUDIT_DAYS = 180
const DAY_MS = 24 * 3600 * 1000

export interface HousekeepingParts {
  /** TINTYPE_HOME */
  readonly home: string
  readonly store: { readonly nonces: Pick<Store['nonces'], 'sweep'>; readonly audit: Pick<Store['audit'], 'sweep'> }
  readonly clock: Clock
  readonly log: (sentence: string, details: Readonly<Record<string, string | number>>) => void
  readonly everyMs?: number
}

/**
 * Forget what is of no use any more: what captures that were killed have left in the spool (attacks.md B8), nonces whose
 * time is over, and rows of the audit log after half a year. Every replica does it: what one has removed the other does
 * not find. Returns when the signal fires; never rejects.
 */
export async function keepHouse(parts: HousekeepingParts, signal: AbortSignal): Promise<void> {
  const { home, store, clock, log, everyMs = EVERY_MS } = parts
  while (!signal.aborted) {
    try {
      await sweepSpools(home)
      await store.nonces.sweep(clock.wallMs())
      await store.audit.sweep(clock.wallMs() - AUDIT_DAYS * DAY_MS)
    } catch (error) {
      log('What is too old could not be removed; it is tried again.', { error: toAppError(error).message })
    }
    await sleep(everyMs, signal).catch(() => {}) // the loop ends by its condition
  }
}
