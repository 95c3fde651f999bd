import type { Selectable } from 'kysely'
import type { SnapshotRow } from './schema-snapshots.ts'

export type SnapshotStatus = 'Committing' | 'Pushing' | 'Saved' | 'Failed'
/** Who asked for it: a call, a stop that saves, or a schedule. */
export type SnapshotOrigin = 'api' | 'stop' | 'schedule'

export interface Label {
  readonly key: string
  readonly value: string
}

/** What lists show: everything but the long texts. */
export interface SnapshotRecord {
  readonly snapshotId: string
  readonly instanceId: string
  readonly workspaceId: string
  readonly userId: string
  readonly name: string
  readonly description: string
  /** The reference in full, with its tag. */
  readonly imageUrl: string
  readonly overwrite: boolean
  readonly excludePaths: readonly string[]
  readonly labels: readonly Label[]
  readonly status: SnapshotStatus
  readonly reasonCode: string
  readonly reasonMessage: string
  /** Empty until it is saved. */
  readonly imageId: string
  readonly createdMs: number
  readonly modifiedMs: number
  readonly isUnfinished: boolean
  readonly origin: SnapshotOrigin
  readonly scheduleId: string | undefined
  readonly cancelRequested: boolean
  readonly owner: string | undefined
  readonly leaseExpiresMs: number
  /** Grows with each claim: a change names the one that it was claimed with. */
  readonly fence: number
  readonly attempts: number
  readonly instanceGone: boolean
  readonly manifestDigest: string | undefined
}

/** A record with its long texts. */
export interface SnapshotDetail extends SnapshotRecord {
  /** JSON: how far it is. */
  readonly progress: string | undefined
  /** JSON: what the capture gave. */
  readonly result: string | undefined
  /** The exact bytes of the image's manifest, as text: stored before they are put (attacks.md B7). */
  readonly manifest: string | undefined
}

/** The columns of a `SnapshotRecord`. */
export const RECORD_COLUMNS = [
  'snapshotId',
  'instanceId',
  'workspaceId',
  'userId',
  'name',
  'description',
  'imageUrl',
  'overwrite',
  'excludePaths',
  'labels',
  'status',
  'reasonCode',
  'reasonMessage',
  'imageId',
  'createdMs',
  'modifiedMs',
  'unfinishedOf',
  'origin',
  'scheduleId',
  'cancelRequested',
  'owner',
  'leaseExpiresMs',
  'fence',
  'attempts',
  'instanceGone',
  'manifestDigest',
] as const

/** What a list of instances shows of each snapshot. */
export const SUMMARY_COLUMNS = [
  'name',
  'imageUrl',
  'imageId',
  'status',
  'reasonCode',
  'reasonMessage',
  'createdMs',
  'modifiedMs',
] as const

export type SnapshotSummary = Pick<SnapshotRecord, (typeof SUMMARY_COLUMNS)[number]>

export type RecordRow = Pick<Selectable<SnapshotRow>, (typeof RECORD_COLUMNS)[number]>

/** A row as a record. What stands in its JSON columns was written by this room. */
export function parseSnapshotRow(row: RecordRow): SnapshotRecord {
  const { unfinishedOf, ...rest } = row
  return {
    ...rest,
    overwrite: row.overwrite === 1,
    excludePaths: JSON.parse(row.excludePaths) as string[],
    labels: JSON.parse(row.labels) as Label[],
    status: row.status as SnapshotStatus,
    isUnfinished: unfinishedOf !== null,
    scheduleId: row.scheduleId ?? undefined,
    cancelRequested: row.cancelRequested === 1,
    owner: row.owner ?? undefined,
    instanceGone: row.instanceGone === 1,
    manifestDigest: row.manifestDigest ?? undefined,
  }
}

/** A number, or its text where a database makes an array of texts. */
type Time = number | string

/** Several summaries, from JSON: an array of arrays of their columns. */
export function parseSummaries(json: string): readonly SnapshotSummary[] {
  // The query has put SUMMARY_COLUMNS there, in their order. Field by field: a page of instances has a thousand of them.
  const rows = JSON.parse(json) as readonly (readonly [
    string,
    string,
    string,
    SnapshotStatus,
    string,
    string,
    Time,
    Time,
  ])[]
  return rows.map((row) => ({
    name: row[0],
    imageUrl: row[1],
    imageId: row[2],
    status: row[3],
    reasonCode: row[4],
    reasonMessage: row[5],
    createdMs: Number(row[6]),
    modifiedMs: Number(row[7]),
  }))
}

/** A whole row as a record with its long texts. */
export function parseSnapshotDetail(row: Selectable<SnapshotRow>): SnapshotDetail {
  const { progress, result, manifest, runningReference: _, ...short } = row
  return {
    ...parseSnapshotRow(short),
    progress: progress ?? undefined,
    result: result ?? undefined,
    manifest: manifest ?? undefined,
  }
}
