import { parseInstance } from './instance-record.ts'
import type { InstanceRecord } from './instance-record.ts'
import type { Db } from './schema.ts'

export interface ClaimOptions {
  readonly owner: string
  readonly nowMs: number
  readonly expiresMs: number
}

/** How workers of all replicas share what there is to do: by leases with fences. */
export function workOnInstances(db: Db) {
  return {
    /** What waits for a worker now, longest first: ids and the fences to claim them with. */
    claimable(
      nowMs: number,
      { limit, onlyEnds }: { readonly limit: number; readonly onlyEnds: boolean },
    ): Promise<readonly { instanceId: string; fence: number }[]> {
      return db
        .selectFrom('instances')
        .select(['instanceId', 'fence'])
        .where((where) => (onlyEnds ? where('wanted', 'in', ['stop', 'delete']) : where('wanted', '<>', '')))
        .where('status', '<>', 'Saving')
        .where('leaseExpiresMs', '<=', nowMs)
        .where('retryMs', '<=', nowMs)
        .orderBy('retryMs')
        .orderBy('instanceId')
        .limit(limit)
        .execute()
    },

    /** Take the lease of one that `claimable` named. Undefined: another worker was faster, or nothing is left to do. */
    async claim(instanceId: string, fence: number, options: ClaimOptions): Promise<InstanceRecord | undefined> {
      const { numUpdatedRows } = await db
        .updateTable('instances')
        .set({ owner: options.owner, leaseExpiresMs: options.expiresMs, fence: fence + 1 })
        .where('instanceId', '=', instanceId)
        .where('fence', '=', fence)
        .where('leaseExpiresMs', '<=', options.nowMs)
        .where('wanted', '<>', '')
        .where('status', '<>', 'Saving')
        .executeTakeFirst()
      const row =
        numUpdatedRows > 0n
          ? await db.selectFrom('instances').selectAll().where('instanceId', '=', instanceId).executeTakeFirst()
          : undefined
      return row?.fence === fence + 1 ? parseInstance(row) : undefined
    },

    /** Keep the lease, until `expiresMs`; with 0 it is given back. False: it is lost. */
    async renew(instanceId: string, fence: number, expiresMs: number): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('instances')
        .set({ leaseExpiresMs: expiresMs, ...(expiresMs === 0 && { owner: null }) })
        .where('instanceId', '=', instanceId)
        .where('fence', '=', fence)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },
  }
}
