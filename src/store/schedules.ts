import type { Selectable } from 'kysely'
import type { Db } from './schema.ts'
import type { ScheduleRow } from './schema-snapshots.ts'

/** When an instance is saved by itself, where to, and how much of that is kept. */
export interface ScheduleRecord {
  readonly scheduleId: string
  readonly instanceId: string
  readonly userId: string
  readonly cron: string
  readonly timeZone: string
  /** `registry/repository`; each run makes up a tag. */
  readonly repository: string
  readonly excludePaths: readonly string[]
  /** Undefined: as many as there are. */
  readonly keepLast: number | undefined
  /** Undefined: for ever. */
  readonly keepDays: number | undefined
  readonly enabled: boolean
  /** When it is due next. */
  readonly nextMs: number
  readonly lastSnapshotId: string | undefined
  readonly createdMs: number
  readonly modifiedMs: number
}

export type ReadSchedule = Pick<ScheduleRecord, 'scheduleId' | 'nextMs' | 'modifiedMs'>
export type NewSchedule = Omit<ScheduleRecord, 'createdMs' | 'modifiedMs' | 'lastSnapshotId'>
export type ScheduleChange = Partial<Omit<NewSchedule, 'scheduleId' | 'instanceId' | 'userId'>>

export interface ScheduleFilter {
  readonly instanceId?: string
  readonly userId?: string
  readonly offset: number
  readonly limit: number
}

export interface SchedulesTable {
  insert(schedule: NewSchedule, nowMs: number): Promise<void>
  find(scheduleId: string): Promise<ScheduleRecord | undefined>
  /** Of one instance or of all, of one user or of all, by id; and how many there are. */
  list(filter: ScheduleFilter): Promise<{ schedules: readonly ScheduleRecord[]; total: number }>
  /** Enabled, and due at `nowMs`, the longest overdue first. */
  due(nowMs: number, limit: number): Promise<readonly ScheduleRecord[]>
  /** Those that delete what they made, in pages by id. */
  withRetention(after: string, limit: number): Promise<readonly ScheduleRecord[]>
  /** The change of a user. False: there is none. */
  update(scheduleId: string, change: ScheduleChange, nowMs: number): Promise<boolean>
  /** On to the next time, if it is as it was read: false when another server, or a user, was quicker. Without one it is off. */
  advance(read: ReadSchedule, nextMs: number | undefined): Promise<boolean>
  setLast(scheduleId: string, snapshotId: string): Promise<void>
  remove(scheduleId: string): Promise<boolean>
}

/** The schedules of all instances. */
export function schedulesTable(db: Db): SchedulesTable {
  return {
    async insert(schedule, nowMs) {
      await db
        .insertInto('schedules')
        .values({
          ...schedule,
          excludePaths: JSON.stringify(schedule.excludePaths),
          keepLast: schedule.keepLast ?? null,
          keepDays: schedule.keepDays ?? null,
          enabled: schedule.enabled ? 1 : 0,
          lastSnapshotId: null,
          createdMs: nowMs,
          modifiedMs: nowMs,
        })
        .execute()
    },
    async find(scheduleId) {
      const row = await schedules(db).where('scheduleId', '=', scheduleId).executeTakeFirst()
      return row && parseSchedule(row)
    },
    list: (filter) => list(db, filter),
    async due(nowMs, limit) {
      const found = schedules(db).where('enabled', '=', 1).where('nextMs', '<=', nowMs).orderBy('nextMs').limit(limit)
      return (await found.execute()).map(parseSchedule)
    },
    async withRetention(after, limit) {
      const found = schedules(db)
        .where((eb) => eb.or([eb('keepLast', 'is not', null), eb('keepDays', 'is not', null)]))
        .where('scheduleId', '>', after)
        .orderBy('scheduleId')
        .limit(limit)
      return (await found.execute()).map(parseSchedule)
    },
    update: (scheduleId, change, nowMs) => update(db, scheduleId, { ...change, nowMs }),
    async advance(read, nextMs) {
      const changed = await db
        .updateTable('schedules')
        .set(nextMs === undefined ? { enabled: 0 } : { nextMs })
        .where('scheduleId', '=', read.scheduleId)
        .where('enabled', '=', 1)
        .where('nextMs', '=', read.nextMs)
        .where('modifiedMs', '=', read.modifiedMs)
        .executeTakeFirst()
      return changed.numUpdatedRows > 0n
    },
    async setLast(scheduleId, lastSnapshotId) {
      await db.updateTable('schedules').set({ lastSnapshotId }).where('scheduleId', '=', scheduleId).execute()
    },
    async remove(scheduleId) {
      const removed = await db.deleteFrom('schedules').where('scheduleId', '=', scheduleId).executeTakeFirst()
      return removed.numDeletedRows > 0n
    },
  }
}

const schedules = (db: Db) => db.selectFrom('schedules').selectAll()

async function list(db: Db, { instanceId, userId, offset, limit }: ScheduleFilter) {
  const found = db
    .selectFrom('schedules')
    .$if(instanceId !== undefined, (query) => query.where('instanceId', '=', instanceId ?? ''))
    .$if(userId !== undefined, (query) => query.where('userId', '=', userId ?? ''))
  const [rows, count] = await Promise.all([
    found.selectAll().orderBy('scheduleId').limit(limit).offset(offset).execute(),
    found.select(({ fn }) => fn.countAll<number>().as('total')).executeTakeFirst(),
  ])
  return { schedules: rows.map(parseSchedule), total: count?.total ?? 0 }
}

async function update(db: Db, scheduleId: string, given: ScheduleChange & { readonly nowMs: number }) {
  const { nowMs, excludePaths, enabled, keepLast, keepDays, ...change } = given
  const changed = await db
    .updateTable('schedules')
    .set({
      ...change,
      ...(excludePaths !== undefined && { excludePaths: JSON.stringify(excludePaths) }),
      ...(enabled !== undefined && { enabled: enabled ? (1 as const) : (0 as const) }),
      ...('keepLast' in given && { keepLast: keepLast ?? null }),
      ...('keepDays' in given && { keepDays: keepDays ?? null }),
      modifiedMs: nowMs,
    })
    .where('scheduleId', '=', scheduleId)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}

/** A row as a record. What stands in its JSON column was written by this file. */
function parseSchedule(row: Selectable<ScheduleRow>): ScheduleRecord {
  return {
    ...row,
    excludePaths: JSON.parse(row.excludePaths) as string[],
    keepLast: row.keepLast ?? undefined,
    keepDays: row.keepDays ?? undefined,
    enabled: row.enabled === 1,
    lastSnapshotId: row.lastSnapshotId ?? undefined,
  }
}
