import type { AppError } from '#base/errors.ts'
import { TRIES } from './retry.ts'

/** The ways to push a blob: see upload.ts. */
export type Strategy = 'stream' | 'chunked' | 'monolithic'

/** What has been learnt of a host; it changes while uploads run. */
export interface HostMemory {
  strategy: Strategy
  chunkBytes: number
  /** ECR answers 500 to an empty PUT after several chunks: the last one goes with it. */
  isLastChunkInFinish: boolean
}

const CHUNK_BYTES = 8 * 1024 * 1024 // ECR's parts are 5 to 20 MiB; GHCR takes 4 MiB, and is found out

export function freshMemory(): HostMemory {
  return { strategy: 'stream', chunkBytes: CHUNK_BYTES, isLastChunkInFinish: false }
}

/** How an attempt ended, if it did not end in an error that stands. */
export type Outcome =
  | { readonly kind: 'done' }
  /** The same again, after a wait; in the same session if that is worth trying. */
  | { readonly kind: 'again'; readonly error: AppError; readonly waitMs?: number; readonly keepSession: boolean }
  /** This host wants it done in another way. */
  | { readonly kind: 'unsuited'; readonly error: AppError; readonly status: number }

const PATIENCE = 2 // then something on the way does not like it this way

/** How to go on after an attempt; undefined: there is no other way. `failures`: by this strategy, one after the other. */
export function nextStrategy(
  strategy: Strategy,
  outcome: Exclude<Outcome, { kind: 'done' }>,
  failures: number,
): Strategy | undefined {
  if (outcome.kind === 'again') {
    const { status } = outcome.error.details
    const isCut = status === undefined || status === 500 // else it is busy, whichever way we come
    const isMixedUp = status === 400 || status === 416 // what has arrived is not what was sent
    if (failures >= PATIENCE && strategy === 'stream' && (isCut || isMixedUp)) return 'chunked'
    if (failures >= PATIENCE && strategy === 'chunked' && isMixedUp) return 'monolithic'
    return failures < TRIES ? strategy : undefined
  }
  const hasNoPatch = outcome.status === 405 || outcome.status === 501
  if (strategy === 'stream') return hasNoPatch ? 'monolithic' : 'chunked'
  return strategy === 'chunked' ? 'monolithic' : undefined
}
