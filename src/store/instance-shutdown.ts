import { findByKeys, isOneOf } from './find-by-key.ts'
import type { CullerRow, TimerRow } from './schema-instances.ts'
import type { Db } from './schema.ts'

export type CullersTable = ReturnType<typeof cullersTable>

/** When an instance that does nothing is stopped. One for each instance. */
export function cullersTable(db: Db) {
  return {
    /** False: the instance has one. */
    async insert(culler: Omit<CullerRow, 'idleSinceMs'>): Promise<boolean> {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('cullers')
        .values({ ...culler, idleSinceMs: null })
        .onConflict((conflict) => conflict.column('instanceId').doNothing())
        .executeTakeFirst()
      return numInsertedOrUpdatedRows === 1n
    },

    of: findByKeys<CullerRow>(db, (instanceIds) =>
      db
        .selectFrom('cullers')
        .selectAll()
        .where(isOneOf(db, 'instanceId', instanceIds)),
    ),

    /** Null: it works. */
    async setIdleSince(instanceId: string, idleSinceMs: number | null): Promise<void> {
      await db.updateTable('cullers').set({ idleSinceMs }).where('instanceId', '=', instanceId).execute()
    },

    /** False: there was none. */
    async remove(instanceId: string): Promise<boolean> {
      const { numDeletedRows } = await db.deleteFrom('cullers').where('instanceId', '=', instanceId).executeTakeFirst()
      return numDeletedRows > 0n
    },
  }
}

export type TimersTable = ReturnType<typeof timersTable>

/** When an instance is stopped in any case. One for each instance. */
export function timersTable(db: Db) {
  return {
    /** A second one takes the place of the first; the time of creation stays. */
    async put(instanceId: string, dueMs: number, nowMs: number): Promise<void> {
      await db
        .insertInto('timers')
        .values({ instanceId, dueMs, createdMs: nowMs, modifiedMs: nowMs })
        .onConflict((conflict) => conflict.column('instanceId').doUpdateSet({ dueMs, modifiedMs: nowMs }))
        .execute()
    },

    of: findByKeys<TimerRow>(db, (instanceIds) =>
      db
        .selectFrom('timers')
        .selectAll()
        .where(isOneOf(db, 'instanceId', instanceIds)),
    ),

    /** Those whose time has come. */
    due(nowMs: number): Promise<readonly TimerRow[]> {
      return db.selectFrom('timers').selectAll().where('dueMs', '<=', nowMs).orderBy('dueMs').execute()
    },

    /** Only the one that is due at `dueMs`, when given. False: there was none. */
    async remove(instanceId: string, dueMs?: number): Promise<boolean> {
      let query = db.deleteFrom('timers').where('instanceId', '=', instanceId)
      if (dueMs !== undefined) query = query.where('dueMs', '=', dueMs)
      return (await query.executeTakeFirst()).numDeletedRows > 0n
    },
  }
}
