import type { Clock } from '#base/clock.ts'
import type { InstanceFacts } from '#service/saving.ts'
import type { Snapshots } from '#service/snapshots/snapshots.ts'
import type { Store } from '#store/open-store.ts'

export interface PushQuestion {
  readonly userId: string
  readonly instance: InstanceFacts
  /** `registry/repository` */
  readonly repository: string
}

export interface SchedulesParts {
  readonly store: Pick<Store, 'schedules' | 'snapshots' | 'leases'>
  readonly snapshots: Pick<Snapshots, 'create' | 'delete'>
  readonly findInstance: (instanceId: string) => Promise<InstanceFacts | undefined>
  /** Throws `registry_not_allowed`. */
  readonly checkRegistry: (host: string) => Promise<unknown>
  /** Whether the owner of a schedule still has the right to save there: asked again at each run. */
  readonly mayPush: (question: PushQuestion) => Promise<boolean>
  readonly clock: Clock
  readonly log: (sentence: string, details: Readonly<Record<string, string | number>>) => void
  /** Of one running server, never used again. */
  readonly owner: string
  readonly times?: Partial<ScheduleTimes>
}

export interface ScheduleTimes {
  /** How often it is looked for what is due. */
  readonly tickMs: number
  /** How often it is looked for what is kept too long. */
  readonly retainMs: number
  /** A server that is silent for so long has left the schedules to another one. */
  readonly leaseMs: number
}

export const TIMES: ScheduleTimes = { tickMs: 5_000, retainMs: 600_000, leaseMs: 30_000 }
