import type { SanityCheckRow } from './schema-instances.ts'
import type { Db } from './schema.ts'

export type SanityChecksTable = ReturnType<typeof sanityChecksTable>

/** Checks of instances, and what they found. */
export function sanityChecksTable(db: Db) {
  return {
    async insert(check: SanityCheckRow): Promise<void> {
      await db.insertInto('sanityChecks').values(check).execute()
    },

    find(taskId: string): Promise<SanityCheckRow | undefined> {
      return db.selectFrom('sanityChecks').selectAll().where('taskId', '=', taskId).executeTakeFirst()
    },

    /** False: there is none. */
    async finish(taskId: string, result: Pick<SanityCheckRow, 'status' | 'endMs' | 'details'>): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('sanityChecks')
        .set(result)
        .where('taskId', '=', taskId)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /** What began before `beforeMs`. */
    async prune(beforeMs: number): Promise<void> {
      await db.deleteFrom('sanityChecks').where('startMs', '<', beforeMs).execute()
    },
  }
}
