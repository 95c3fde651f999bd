import type { Db } from './schema.ts'

export interface LeaseRequest {
  readonly name: string
  /** Unique for each process and start. */
  readonly owner: string
  readonly nowMs: number
  readonly expiresMs: number
}

export interface HeldLease {
  readonly name: string
  readonly owner: string
  readonly fence: number
}

/**
 * Who does what only one may do. A lease that is not renewed ends by itself, and its next owner has a higher fence: what
 * an owner writes, it writes under the condition that its fence still counts (attacks.md B7). Replicas compare times of
 * their own clocks, which signatures keep within minutes of each other: a lease must last longer than they differ.
 */
export interface LeasesTable {
  /** Undefined: somebody else has it. Whoever has it already gets it anew, with a new fence. */
  acquire(request: LeaseRequest): Promise<HeldLease | undefined>
  /** False: it is lost. */
  renew(lease: HeldLease, expiresMs: number): Promise<boolean>
  /** It may be taken at once. The fence stays, so that it only grows. */
  release(lease: HeldLease): Promise<void>
}

export function leasesTable(db: Db): LeasesTable {
  const change = ({ name, owner, fence }: HeldLease) =>
    db.updateTable('leases').where('name', '=', name).where('owner', '=', owner).where('fence', '=', fence)
  return {
    async acquire({ name, owner, nowMs, expiresMs }) {
      const row = await db
        .insertInto('leases')
        .values({ name, owner, expiresMs, fence: 1 })
        .onConflict((conflict) =>
          conflict
            .column('name')
            .doUpdateSet((part) => ({ owner, expiresMs, fence: part('leases.fence', '+', 1) }))
            .where((part) => part.or([part('leases.expiresMs', '<=', nowMs), part('leases.owner', '=', owner)])),
        )
        .returning('fence')
        .executeTakeFirst()
      return row && { name, owner, fence: row.fence }
    },
    renew: async (lease, expiresMs) => (await change(lease).set({ expiresMs }).executeTakeFirst()).numUpdatedRows > 0n,
    release: async (lease) => void (await change(lease).set({ expiresMs: 0 }).execute()),
  }
}
