type Flag = 0 | 1

export interface SnapshotRow {
  readonly snapshotId: string
  readonly instanceId: string
  readonly workspaceId: string
  readonly userId: string
  readonly name: string
  readonly description: string
  readonly imageUrl: string
  readonly overwrite: Flag
  readonly excludePaths: string
  readonly labels: string
  readonly status: string
  readonly reasonCode: string
  readonly reasonMessage: string
  readonly imageId: string
  readonly createdMs: number
  readonly modifiedMs: number
  /** The instance's id while the snapshot is unfinished, else null: unique, so that there is one at a time. */
  readonly unfinishedOf: string | null
  /** The reference while a server works on it, else null: unique, so that two captures never write one tag at a time. */
  readonly runningReference: string | null
  readonly origin: 'api' | 'stop' | 'schedule'
  readonly scheduleId: string | null
  readonly cancelRequested: Flag
  readonly owner: string | null
  readonly leaseExpiresMs: number
  readonly fence: number
  readonly attempts: number
  readonly instanceGone: Flag
  readonly manifestDigest: string | null
  readonly progress: string | null
  readonly result: string | null
  readonly manifest: string | null
}

/** How many snapshots an instance has, kept by triggers. */
export interface SnapshotCountRow {
  readonly instanceId: string
  readonly total: number
}

export interface ImageRow {
  readonly imageId: string
  readonly workspaceId: string
  readonly userId: string
  readonly name: string
  readonly description: string
  readonly uri: string
  readonly accessibility: string
  readonly sizeBytes: number
  readonly sourceType: string
  readonly sourceId: string
  readonly fromSnapshot: Flag
  readonly createdMs: number
  readonly modifiedMs: number
}

export interface ImageLabelRow {
  readonly imageId: string
  readonly key: string
  readonly value: string
}

export interface RegistryRow {
  readonly host: string
  readonly plainHttp: Flag
  readonly userNameEncrypted: string | null
  readonly passwordEncrypted: string | null
  readonly createdMs: number
  readonly modifiedMs: number
}

export interface ScheduleRow {
  readonly scheduleId: string
  readonly instanceId: string
  readonly userId: string
  readonly cron: string
  readonly timeZone: string
  readonly repository: string
  readonly excludePaths: string
  readonly keepLast: number | null
  readonly keepDays: number | null
  readonly enabled: Flag
  readonly nextMs: number
  readonly lastSnapshotId: string | null
  readonly createdMs: number
  readonly modifiedMs: number
}
