import type { RuntimeHandle } from '#runtime/runtime.ts'

/** What a snapshot needs to know of an instance. */
export interface InstanceFacts {
  readonly instanceId: string
  readonly workspaceId: string
  readonly userId: string
  readonly accessibility: 'PRIVATE' | 'PUBLIC'
  /** As the API shows it: `Running`, `Saving`, `Stopped` … */
  readonly status: string
  /** Of the catalogue; empty when the instance was made from a reference. */
  readonly imageId: string
  /** Since when it runs; null: it does not. */
  readonly startedMs: number | null
  /** Absent while there is no container. */
  readonly handle: RuntimeHandle | undefined
  /** Where something is mounted: never saved. */
  readonly mountPaths: readonly string[]
}

export interface SavingOutcome {
  readonly outcome: 'Saved' | 'SaveFailed'
  readonly reasonCode: string
  readonly reasonMessage: string
  /** `stop`: the instance was saved in order to be stopped, and is stopped now if it was saved. */
  readonly then: 'run' | 'stop'
}
