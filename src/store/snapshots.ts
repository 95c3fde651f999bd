import { sql } from 'kysely'
import { findByKey, isPostgres, parameterOf } from './find-by-key.ts'
import type { Db } from './schema.ts'
import type { SnapshotOrigin, SnapshotDetail, SnapshotRecord, SnapshotSummary } from './snapshot-record.ts'
import type { Label } from './snapshot-record.ts'
import {
  RECORD_COLUMNS,
  SUMMARY_COLUMNS,
  parseSnapshotDetail,
  parseSnapshotRow,
  parseSummaries,
} from './snapshot-record.ts'

export interface NewSnapshot {
  readonly snapshotId: string
  readonly instanceId: string
  readonly workspaceId: string
  readonly userId: string
  readonly name: string
  readonly description: string
  readonly imageUrl: string
  readonly overwrite: boolean
  readonly excludePaths: readonly string[]
  readonly labels: readonly Label[]
  readonly origin: SnapshotOrigin
  readonly scheduleId?: string
}

export interface SnapshotPage {
  readonly descending: boolean
  readonly offset: number
  readonly limit: number
}

export interface SnapshotsTable {
  /** Begin a snapshot. False: the instance has one that is not finished. */
  insert(snapshot: NewSnapshot, nowMs: number): Promise<boolean>
  find(snapshotId: string): Promise<SnapshotDetail | undefined>
  /** The record without its long texts. */
  findRecord(snapshotId: string): Promise<SnapshotRecord | undefined>
  unfinishedOf(instanceId: string): Promise<SnapshotRecord | undefined>
  /** By time of creation, and how many there are. */
  list(instanceId: string, page: SnapshotPage): Promise<{ records: readonly SnapshotRecord[]; total: number }>
  /** The last `limit` of each instance, the newest first. */
  latestOf(
    instanceIds: readonly string[],
    options: { readonly limit: number },
  ): Promise<ReadonlyMap<string, readonly SnapshotSummary[]>>
  /** The reference under which one of these users has saved the instance last. */
  lastSavedBy(userIds: readonly string[], instanceId: string): Promise<string | undefined>
  /** The saved ones that a schedule made, the newest first. */
  savedBySchedule(scheduleId: string): Promise<readonly SavedSnapshot[]>
  /** The manifest of the newest that was saved under this reference. */
  digestSavedAs(imageUrl: string): Promise<string | undefined>
  /** Any replica may have it cancelled: its owner sees this within a second. False: there is no unfinished one. */
  requestCancel(snapshotId: string): Promise<boolean>
  /** Its records stay when an instance goes. */
  markInstanceGone(instanceId: string): Promise<void>
  /** False: there is none, or it is (not) unfinished otherwise than given. A server that works on it finds out by its fence. */
  remove(snapshotId: string, options?: { readonly isUnfinished: boolean }): Promise<boolean>
}

/** So much of a snapshot as its schedule has to know. */
export type SavedSnapshot = Pick<SnapshotRecord, 'instanceId' | 'snapshotId' | 'createdMs'>

/** The snapshots as callers see them; how servers share the work on them is in snapshot-queue.ts. */
export function snapshotsTable(db: Db): SnapshotsTable {
  const findRecordRow = findByKey(db, (id) => records(db).where('snapshotId', '=', id))
  return {
    insert: (snapshot, nowMs) => insert(db, snapshot, nowMs),
    async find(snapshotId) {
      const row = await db.selectFrom('snapshots').selectAll().where('snapshotId', '=', snapshotId).executeTakeFirst()
      return row && parseSnapshotDetail(row)
    },
    async findRecord(snapshotId) {
      const row = await findRecordRow(snapshotId)
      return row && parseSnapshotRow(row)
    },
    async unfinishedOf(instanceId) {
      const row = await records(db).where('unfinishedOf', '=', instanceId).executeTakeFirst()
      return row && parseSnapshotRow(row)
    },
    list: (instanceId, page) => list(db, instanceId, page),
    latestOf: (instanceIds, options) => latestOf(db, instanceIds, options),
    ...savedSnapshots(db),
    async requestCancel(snapshotId) {
      const changed = await db
        .updateTable('snapshots')
        .set({ cancelRequested: 1 })
        .where('snapshotId', '=', snapshotId)
        .where('unfinishedOf', 'is not', null)
        .executeTakeFirst()
      return changed.numUpdatedRows > 0n
    },
    async markInstanceGone(instanceId) {
      await db.updateTable('snapshots').set({ instanceGone: 1 }).where('instanceId', '=', instanceId).execute()
    },
    async remove(snapshotId, options) {
      let query = db.deleteFrom('snapshots').where('snapshotId', '=', snapshotId)
      if (options) query = query.where('unfinishedOf', options.isUnfinished ? 'is not' : 'is', null)
      const removed = await query.executeTakeFirst()
      return removed.numDeletedRows > 0n
    },
  }
}

/** What is asked of those that are saved. */
function savedSnapshots(db: Db): Pick<SnapshotsTable, 'lastSavedBy' | 'savedBySchedule' | 'digestSavedAs'> {
  return {
    async lastSavedBy(userIds, instanceId) {
      const row = await db
        .selectFrom('snapshots')
        .select('imageUrl')
        .where('instanceId', '=', instanceId)
        .where('status', '=', 'Saved')
        .where('userId', 'in', userIds)
        .orderBy('createdMs', 'desc')
        .orderBy('snapshotId', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row?.imageUrl
    },
    async savedBySchedule(scheduleId) {
      return db
        .selectFrom('snapshots')
        .select(['instanceId', 'snapshotId', 'createdMs'])
        .where('scheduleId', '=', scheduleId)
        .where('status', '=', 'Saved')
        .orderBy('createdMs', 'desc')
        .orderBy('snapshotId', 'desc')
        .execute()
    },
    async digestSavedAs(imageUrl) {
      const row = await db
        .selectFrom('snapshots')
        .select('manifestDigest')
        .where('imageUrl', '=', imageUrl)
        .where('status', '=', 'Saved')
        .orderBy('createdMs', 'desc')
        .orderBy('snapshotId', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row?.manifestDigest ?? undefined
    },
  }
}

const records = (db: Db) => db.selectFrom('snapshots').select(RECORD_COLUMNS)

async function insert(db: Db, snapshot: NewSnapshot, nowMs: number): Promise<boolean> {
  const { scheduleId, overwrite, excludePaths, labels, ...rest } = snapshot
  const inserted = await db
    .insertInto('snapshots')
    .values({
      ...rest,
      overwrite: overwrite ? 1 : 0,
      excludePaths: JSON.stringify(excludePaths),
      labels: JSON.stringify(labels),
      status: 'Committing',
      reasonCode: '',
      reasonMessage: '',
      imageId: '',
      createdMs: nowMs,
      modifiedMs: nowMs,
      unfinishedOf: snapshot.instanceId,
      runningReference: null,
      scheduleId: scheduleId ?? null,
      cancelRequested: 0,
      owner: null,
      leaseExpiresMs: 0,
      fence: 0,
      attempts: 0,
      instanceGone: 0,
      manifestDigest: null,
      progress: null,
      result: null,
      manifest: null,
    })
    .onConflict((conflict) => conflict.column('unfinishedOf').doNothing())
    .executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

async function list(db: Db, instanceId: string, { descending, offset, limit }: SnapshotPage) {
  const direction = descending ? 'desc' : 'asc'
  const [rows, count] = await Promise.all([
    records(db)
      .where('instanceId', '=', instanceId)
      .orderBy('createdMs', direction)
      .orderBy('snapshotId', direction)
      .limit(limit)
      .offset(offset)
      .execute(),
    db.selectFrom('snapshotCounts').select('total').where('instanceId', '=', instanceId).executeTakeFirst(),
  ])
  return { records: rows.map(parseSnapshotRow), total: count?.total ?? 0 }
}

/** The columns as one array. PostgreSQL looks up the type of each value of json_build_array, and of an array once. */
function summaryOf(db: Db) {
  const columns = SUMMARY_COLUMNS.map((column) => sql.ref(column))
  if (!isPostgres(db)) return sql`json_array(${sql.join(columns)})`
  return sql`array[${sql.join(columns.map((column) => sql`${column}::text`))}]`
}

async function latestOf(
  db: Db,
  instanceIds: readonly string[],
  { limit }: { readonly limit: number },
): Promise<ReadonlyMap<string, readonly SnapshotSummary[]>> {
  if (instanceIds.length === 0) return new Map()
  const list = parameterOf(db, instanceIds)
  const wanted = isPostgres(db)
    ? sql`select unnest(${list}::text[]) as id`
    : sql`select value as id from json_each(${list})`
  const arrayOfAll = sql.raw(isPostgres(db) ? 'json_agg' : 'json_group_array')
  const order = sql`order by created_ms desc, snapshot_id desc`
  // Instance by instance from the end of an index: how many snapshots an instance has does not matter. One text for each
  // instance: a page of a hundred has a thousand snapshots, and ten thousand values cost drivers more than JSON.parse.
  const newest = sql`select * from snapshots where instance_id = wanted.id ${order} limit ${limit}`
  const found = sql<{ instanceId: string; latest: string }>`(
    select id as instance_id, coalesce(cast((
      select ${arrayOfAll}(${summaryOf(db)} ${order}) from (${newest}) as newest
    ) as text), '[]') as latest
    from (${wanted}) as wanted)`.as('found')
  const rows = await db.selectFrom(found).selectAll().execute() // what is no select waits for the writer
  return new Map(rows.map(({ instanceId, latest }) => [instanceId, parseSummaries(latest)]))
}
