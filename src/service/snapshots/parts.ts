import type { Clock } from '#base/clock.ts'
import type { Repository } from '#registry/repository.ts'
import type { RegistryAccess, Runtime } from '#runtime/runtime.ts'
import type { Reference } from '#oci/reference.ts'
import type { InstanceFacts, SavingOutcome } from '#service/saving.ts'
import type { Store } from '#store/open-store.ts'
import type { Tables } from '#store/tables.ts'

/** What snapshots ask of the instances. Each call may come again after a crash, with the same effect. */
export interface SnapshotInstances {
  find(instanceId: string): Promise<InstanceFacts | undefined>
  /** `Running` → `Saving`. True as well when it is `Saving` already; false in any other state. */
  setSaving(instanceId: string, snapshotId: string): Promise<boolean>
  /** Back to `Running`: the container is thawed, the rest goes on behind it. Nothing happens unless it is `Saving`. */
  endCommitting(instanceId: string, snapshotId: string): Promise<void>
  /**
   * Write `Saved` or `SaveFailed` into the lifecycle; back to `Running` if it is still `Saving`. Fine when it is gone. The
   * transaction is the caller's, who calls `wake` after it.
   */
  endSaving(tables: Tables, instanceId: string, snapshotId: string, outcome: SavingOutcome): Promise<void>
  /** Have it looked after now: something is wanted of it. */
  wake(instanceId: string): void
  /** Whether an instance that exists was made from this image. */
  usesImage(image: { readonly uri: string; readonly digest: string; readonly imageId: string }): Promise<boolean>
}

/** Where the server may push, and with what. */
export interface SnapshotRegistries {
  /** How to speak to the registry of `host`. Throws `registry_not_allowed`. */
  accessTo(host: string): Promise<RegistryAccess>
  /** Every registry that may be spoken to. */
  all(): Promise<readonly RegistryAccess[]>
  /** Throws `registry_not_allowed`. */
  open(reference: Reference): Promise<Repository>
  /** Take the tag away, if it stands for this image. Throws `registry_refused` where the registry does not delete. */
  deleteTag(reference: Reference & { readonly tag: string }, digest: string, signal: AbortSignal): Promise<boolean>
}

export type SnapshotStore = Pick<Store, 'snapshots' | 'snapshotQueue' | 'images' | 'imageUses' | 'transaction'>

export interface SnapshotParts {
  readonly store: SnapshotStore
  readonly instances: SnapshotInstances
  readonly registries: SnapshotRegistries
  readonly runtime: Pick<Runtime, 'startCapture' | 'preview'>
  readonly clock: Clock
  readonly log: (sentence: string, details: Readonly<Record<string, string | number>>) => void
  /** TINTYPE_MAX_SNAPSHOTS. */
  readonly maxSnapshots: number
  /** TINTYPE_DEFAULT_REPOSITORY. */
  readonly defaultRepository?: string
  /** Of one running server, never used again. */
  readonly owner: string
  readonly times?: Partial<SnapshotTimes>
}

/** How often and how long; a test makes them short. */
export interface SnapshotTimes {
  /** How often the queue is looked at when nobody knocks: snapshots of other servers, and of those that were lost. */
  readonly pollMs: number
  /** Progress into the row, proof of life, and a look for a cancel. */
  readonly beatMs: number
  /** A server that is silent for so long has lost its snapshots to another one. */
  readonly leaseMs: number
  /** Between tries while another process saves the same container. */
  readonly retryMs: number
  /** Before the second try of a capture whose failure may pass; before the third it is six times that. */
  readonly againMs: number
}

export const TIMES: SnapshotTimes = { pollMs: 1_000, beatMs: 1_000, leaseMs: 15_000, retryMs: 1_000, againMs: 5_000 }
