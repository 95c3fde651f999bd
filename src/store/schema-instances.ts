import type { Generated } from 'kysely'

export interface InstanceRow {
  readonly instanceId: string
  readonly workspaceId: string
  readonly userId: string
  readonly name: string
  readonly status: string
  readonly reasonCode: string
  readonly reasonMessage: string
  readonly accessibility: string
  readonly imageId: string
  readonly imageUrl: string
  /** As the catalogue calls the image, else the last part of its reference. */
  readonly imageName: string
  readonly imageAuthEncrypted: string | null
  readonly ecsSpec: string
  readonly acceleratorType: string
  readonly cpuMilli: number | null
  readonly memoryBytes: number | null
  readonly gpuCount: number
  readonly gpuType: string
  /** Of all its GPUs together; 0 where it has none, or where it is not known. */
  readonly gpuMemoryBytes: number
  readonly oversoldType: string
  readonly priority: number
  readonly paymentType: string
  /** The resource group of a subscription; empty: none. */
  readonly resourceId: string
  readonly accessTokenEncrypted: string | null
  readonly baseRepositoryLast: string | null
  readonly createdMs: number
  readonly modifiedMs: number
  readonly startedMs: number | null
  readonly accumulatedMs: number
  /** From one start to the stop or failure after it, counted from 1. */
  readonly session: number
  /** Grows when the container has to be made anew; `madeGeneration` is the one that the container was made for. */
  readonly generation: number
  readonly madeGeneration: number
  /** Steps that failed in a row, and when to try again. */
  readonly attempts: number
  readonly retryMs: number
  /** Grows with each change: an update names the one that it read. */
  readonly version: number
  /** What a worker must reach: run, stop, delete … */
  readonly wanted: string
  readonly owner: string | null
  readonly leaseExpiresMs: number
  readonly fence: number
  /** JSON: the runtime's handle. */
  readonly handle: string | null
  /** JSON: the request that made it, without secrets. */
  readonly spec: string
}

/** Labels and tags: the contract has both. */
export interface InstanceLabelRow {
  readonly instanceId: string
  readonly kind: 'label' | 'tag'
  readonly key: string
  readonly value: string
}

/** How many instances there are, kept by triggers: counting 100 000 rows for each list would be its dearest part. */
export interface InstanceCountRow {
  readonly workspaceId: string
  readonly paymentType: string
  readonly accessibility: string
  readonly userId: string
  readonly total: number
}

export interface LifecycleTable {
  readonly id: Generated<number>
  readonly instanceId: string
  readonly session: number
  readonly status: string
  readonly reasonCode: string
  readonly reasonMessage: string
  readonly startMs: number
  readonly endMs: number | null
}

export interface InstanceEventTable {
  readonly id: Generated<number>
  readonly instanceId: string
  readonly timeMs: number
  readonly level: string
  readonly text: string
}

export interface MetricsRow {
  readonly instanceId: string
  readonly timeMs: number
  readonly cpuPct: number
  readonly memoryPct: number
  readonly gpuPct: number | null
  readonly gpuMemoryPct: number | null
  readonly netIn: number
  readonly netOut: number
  readonly diskRead: number
  readonly diskWrite: number
}

export interface CullerRow {
  readonly instanceId: string
  readonly cpuPct: number
  readonly gpuPct: number
  readonly maxIdleMinutes: number
  readonly idleSinceMs: number | null
}

export interface TimerRow {
  readonly instanceId: string
  readonly dueMs: number
  readonly createdMs: number
  readonly modifiedMs: number
}

export interface TempFileRow {
  readonly tempFileId: string
  readonly instanceId: string
  readonly userId: string
  readonly taskId: string
  readonly name: string
  readonly prefix: string
  readonly status: string
  readonly capacity: number
  readonly createdMs: number
  readonly modifiedMs: number
  readonly expiresMs: number
}

export interface TempFileTaskRow {
  readonly taskId: string
  readonly instanceId: string
  readonly userId: string
  readonly createdMs: number
  readonly modifiedMs: number
  readonly expiresMs: number
}

export interface SanityCheckRow {
  readonly taskId: string
  readonly instanceId: string
  readonly checkType: string
  readonly status: string
  readonly startMs: number
  readonly endMs: number | null
  /** JSON: what was found. */
  readonly details: string
}
