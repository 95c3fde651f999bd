import type { Kysely } from 'kysely'
import type {
  AccessKeyRow,
  AttachmentRow,
  AuditTable,
  LeaseRow,
  NonceRow,
  PolicyRow,
  PolicyVersionRow,
  RoleRow,
  SettingsRow,
  UserRow,
} from './schema-identities.ts'
import type {
  CullerRow,
  InstanceCountRow,
  InstanceEventTable,
  InstanceLabelRow,
  InstanceRow,
  LifecycleTable,
  MetricsRow,
  SanityCheckRow,
  TempFileRow,
  TempFileTaskRow,
  TimerRow,
} from './schema-instances.ts'
import type {
  ImageLabelRow,
  ImageRow,
  RegistryRow,
  ScheduleRow,
  SnapshotCountRow,
  SnapshotRow,
} from './schema-snapshots.ts'

/**
 * What the tables hold, as the code sees it: names in camelCase (in the database they are in snake_case), times in
 * milliseconds since 1970, booleans as 0 and 1, lists and records as JSON text. What stands in a column named
 * `…Encrypted` was made by `secrets.ts`. `migrations/` makes the tables; whoever changes one changes both.
 */
export interface Schema {
  readonly settings: SettingsRow
  readonly users: UserRow
  readonly accessKeys: AccessKeyRow
  readonly policies: PolicyRow
  readonly policyVersions: PolicyVersionRow
  readonly attachments: AttachmentRow
  readonly roles: RoleRow
  readonly nonces: NonceRow
  readonly audit: AuditTable
  readonly leases: LeaseRow
  readonly instances: InstanceRow
  readonly instanceLabels: InstanceLabelRow
  readonly instanceCounts: InstanceCountRow
  readonly lifecycle: LifecycleTable
  readonly instanceEvents: InstanceEventTable
  readonly metrics: MetricsRow
  readonly cullers: CullerRow
  readonly timers: TimerRow
  readonly snapshots: SnapshotRow
  readonly snapshotCounts: SnapshotCountRow
  readonly images: ImageRow
  readonly imageLabels: ImageLabelRow
  readonly registries: RegistryRow
  readonly schedules: ScheduleRow
  readonly tempFiles: TempFileRow
  readonly tempFileTasks: TempFileTaskRow
  readonly sanityChecks: SanityCheckRow
}

/** A connection to either database, or a transaction on it: what a table file gets. */
export type Db = Kysely<Schema>
