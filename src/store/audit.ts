import type { Db } from './schema.ts'
import type { AuditTable as AuditColumns } from './schema-identities.ts'

/** One call: who did what, and how it ended. Never a secret. */
export type AuditEntry = Omit<AuditColumns, 'id'>
export type AuditRecord = AuditEntry & { readonly id: number }

export interface AuditPage {
  /** Only what is older than this entry. */
  readonly beforeId?: number | undefined
  readonly limit: number
}

export interface AuditTable {
  insert(entries: readonly AuditEntry[]): Promise<void>
  /** Latest first. */
  list(page: AuditPage): Promise<readonly AuditRecord[]>
  /** Forget what happened before `beforeMs`; how many entries. */
  sweep(beforeMs: number): Promise<number>
}

export function auditTable(db: Db): AuditTable {
  return {
    async insert(entries) {
      if (entries.length > 0) await db.insertInto('audit').values(entries).execute()
    },
    list({ beforeId, limit }) {
      const latest = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit)
      return (beforeId === undefined ? latest : latest.where('id', '<', beforeId)).execute()
    },
    async sweep(beforeMs) {
      const done = await db.deleteFrom('audit').where('timeMs', '<', beforeMs).executeTakeFirst()
      return Number(done.numDeletedRows)
    },
  }
}
