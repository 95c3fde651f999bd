import {
  instanceEventsTable,
  lifecycleTable,
  type InstanceEventsTable,
  type LifecycleTable,
} from './instance-history.ts'
import { instanceLabelsTable, type InstanceLabelsTable } from './instance-labels.ts'
import { metricsTable, type MetricsTable } from './instance-metrics.ts'
import { cullersTable, timersTable, type CullersTable, type TimersTable } from './instance-shutdown.ts'
import { imageUses, type ImageUses } from './image-uses.ts'
import { imagesTable, type ImagesTable } from './images.ts'
import { instancesTable, type InstancesTable } from './instances.ts'
import { registriesTable, type RegistriesTable } from './registries.ts'
import { schedulesTable, type SchedulesTable } from './schedules.ts'
import { sanityChecksTable, type SanityChecksTable } from './sanity-checks.ts'
import { tempFilesTable, tempFileTasksTable, type TempFilesTable, type TempFileTasksTable } from './temp-files.ts'
import type { Db } from './schema.ts'
import { accessKeysTable, type AccessKeysTable } from './access-keys.ts'
import { attachmentsTable, type AttachmentsTable } from './attachments.ts'
import { auditTable, type AuditTable } from './audit.ts'
import { leasesTable, type LeasesTable } from './leases.ts'
import { noncesTable, type NoncesTable } from './nonces.ts'
import { policiesTable, type PoliciesTable } from './policies.ts'
import { rolesTable, type RolesTable } from './roles.ts'
import { usersTable, type UsersTable } from './users.ts'
import { settingsTable, type SettingsTable } from './settings.ts'
import { snapshotQueue, type SnapshotQueue } from './snapshot-queue.ts'
import { snapshotsTable, type SnapshotsTable } from './snapshots.ts'

/** The functions of every table: of the whole database, or inside one transaction. */
export interface Tables {
  readonly settings: SettingsTable
  readonly users: UsersTable
  readonly accessKeys: AccessKeysTable
  readonly policies: PoliciesTable
  readonly attachments: AttachmentsTable
  readonly roles: RolesTable
  readonly nonces: NoncesTable
  readonly audit: AuditTable
  readonly leases: LeasesTable
  readonly instances: InstancesTable
  readonly instanceLabels: InstanceLabelsTable
  readonly lifecycle: LifecycleTable
  readonly instanceEvents: InstanceEventsTable
  readonly metrics: MetricsTable
  readonly cullers: CullersTable
  readonly timers: TimersTable
  readonly tempFiles: TempFilesTable
  readonly tempFileTasks: TempFileTasksTable
  readonly sanityChecks: SanityChecksTable
  readonly snapshots: SnapshotsTable
  readonly snapshotQueue: SnapshotQueue
  readonly images: ImagesTable
  readonly imageUses: ImageUses
  readonly registries: RegistriesTable
  readonly schedules: SchedulesTable
}

export function tablesOf(db: Db): Tables {
  return {
    settings: settingsTable(db),
    users: usersTable(db),
    accessKeys: accessKeysTable(db),
    policies: policiesTable(db),
    attachments: attachmentsTable(db),
    roles: rolesTable(db),
    nonces: noncesTable(db),
    audit: auditTable(db),
    leases: leasesTable(db),
    instances: instancesTable(db),
    instanceLabels: instanceLabelsTable(db),
    lifecycle: lifecycleTable(db),
    instanceEvents: instanceEventsTable(db),
    metrics: metricsTable(db),
    cullers: cullersTable(db),
    timers: timersTable(db),
    tempFiles: tempFilesTable(db),
    tempFileTasks: tempFileTasksTable(db),
    sanityChecks: sanityChecksTable(db),
    snapshots: snapshotsTable(db),
    snapshotQueue: snapshotQueue(db),
    images: imagesTable(db),
    imageUses: imageUses(db),
    registries: registriesTable(db),
    schedules: schedulesTable(db),
  }
}
