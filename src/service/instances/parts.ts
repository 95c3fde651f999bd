import type { Clock } from '#base/clock.ts'
import type { Runtime } from '#runtime/runtime.ts'
import type { Store } from '#store/open-store.ts'
import type { ImageCatalogue } from './image-choice.ts'

/** Who asks. */
export interface Viewer {
  readonly userId: string
  /** Also the private instances of others. */
  readonly seesAll: boolean
  /** Whether policies let it open what it may see, and see what is kept in there. Absent: they do. */
  readonly mayOpen?: (instance: { readonly workspaceId: string; readonly instanceId: string }) => boolean
}

export interface SaveThenStop {
  readonly instanceId: string
  readonly userId: string
  readonly repository: string
}

/** What instances ask of the snapshots. */
export interface InstanceSnapshots {
  /** Begin to save to `registry/repository`; once it is saved the instance is stopped. Throws as CreateInstanceSnapshot. */
  saveThenStop(request: SaveThenStop): Promise<void>
}

export type InstanceRuntime = Pick<
  Runtime,
  | 'prepare'
  | 'create'
  | 'start'
  | 'update'
  | 'stop'
  | 'remove'
  | 'inspect'
  | 'find'
  | 'running'
  | 'watch'
  | 'stats'
  | 'logs'
  | 'host'
>

export interface InstanceParts {
  readonly store: Store
  readonly runtime: InstanceRuntime
  readonly snapshots: InstanceSnapshots
  readonly images: ImageCatalogue
  readonly clock: Clock
  readonly log: (sentence: string, details: Readonly<Record<string, string | number>>) => void
  /** TINTYPE_DATASET_PATHS */
  readonly datasetPaths: readonly string[]
  /** Of one running server, never used again. */
  readonly owner: string
  readonly times?: Partial<InstanceTimes>
}

/** How often and how long, in milliseconds; a test makes them short. */
export interface InstanceTimes {
  /** How often the store is looked at for work that nobody knocked for: of other servers, and of those that were lost. */
  readonly pollMs: number
  /** Proof of life of a worker, and a look for another wish. */
  readonly beatMs: number
  /** A worker that is silent for so long has lost its instance to another one. */
  readonly leaseMs: number
  /** How long an engine may take to say how busy an instance is. */
  readonly statsMs: number
  /** The first wait after a failure that may pass; it doubles each time. */
  readonly retryMs: number
  readonly maxRetryMs: number
  /** How often all running instances are compared with what the engine says. */
  readonly sweepMs: number
  /** How often timers are looked at. */
  readonly timerMs: number
  /** How often readings are taken. */
  readonly readingMs: number
  /** How long an instance may be `Saving` without a snapshot before it counts as running again. */
  readonly savingMs: number
}

export const TIMES: InstanceTimes = {
  pollMs: 1_000,
  beatMs: 2_000,
  leaseMs: 15_000,
  statsMs: 5_000,
  retryMs: 2_000,
  maxRetryMs: 60_000,
  sweepMs: 30_000,
  timerMs: 5_000,
  readingMs: 15_000,
  savingMs: 60_000,
}
