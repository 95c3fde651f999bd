import { sql } from 'kysely'
import { AppError } from '#base/errors.ts'
import { findByKey } from './find-by-key.ts'
import { isVisible, listInstances } from './instance-list.ts'
import type { InstanceFilter, InstancePage } from './instance-list.ts'
import { encodePatch, parseInstance } from './instance-record.ts'
import type { InstancePatch, InstanceRecord } from './instance-record.ts'
import { workOnInstances } from './instance-work.ts'
import type { Db } from './schema.ts'

/** Who may write: whoever read this version, and where a worker writes, still holds the lease of this fence. */
export interface InstanceGuard {
  readonly instanceId: string
  readonly version: number
  readonly fence?: number
}

/** What an instance begins with; the store adds the counters of its own. */
export type NewInstance = Omit<InstanceRecord, 'version' | 'owner' | 'leaseExpiresMs' | 'fence'>

/** Whose an instance is, and who else may see it: what every request about it begins with. */
export type InstanceOwner = Pick<InstanceRecord, 'workspaceId' | 'userId' | 'accessibility'>

export type InstancesTable = ReturnType<typeof instancesTable>

function findings(db: Db) {
  const findRow = findByKey(db, (id) => db.selectFrom('instances').selectAll().where('instanceId', '=', id))
  const findOwnerRow = findByKey(db, (id) =>
    db.selectFrom('instances').select(['workspaceId', 'userId', 'accessibility']).where('instanceId', '=', id),
  )
  return {
    async find(instanceId: string): Promise<InstanceRecord | undefined> {
      const row = await findRow(instanceId)
      return row && parseInstance(row)
    },

    async findOwner(instanceId: string): Promise<InstanceOwner | undefined> {
      const row = await findOwnerRow(instanceId)
      return row && { ...row, accessibility: row.accessibility as InstanceRecord['accessibility'] }
    },
  }
}

/** The instances. A save pauses the worker: rows in `Saving` cannot be claimed. */
export function instancesTable(db: Db) {
  return {
    /** Throws `name_taken` when the workspace has an instance of this name. */
    async insert(instance: NewInstance): Promise<void> {
      const { spec, handle, ...plain } = instance
      const row = { ...plain, spec: JSON.stringify(spec), handle: handle === undefined ? null : JSON.stringify(handle) }
      const values = { ...row, version: 1, owner: null, leaseExpiresMs: 0, fence: 0 }
      const done = await db
        .insertInto('instances')
        .values(values)
        .onConflict((conflict) => conflict.columns(['workspaceId', 'name']).doNothing())
        .executeTakeFirst()
      if (done.numInsertedOrUpdatedRows === 0n) throw nameTaken(instance.name)
    },

    ...findings(db),

    /** False: someone else has changed it, or the lease is lost. Throws `name_taken`. */
    async update(guard: InstanceGuard, patch: InstancePatch): Promise<boolean> {
      if (patch.name !== undefined) await refuseTakenName(db, guard.instanceId, patch.name)
      const columns = { ...encodePatch(patch), version: guard.version + 1 }
      let query = db
        .updateTable('instances')
        .set(columns)
        .where('instanceId', '=', guard.instanceId)
        .where('version', '=', guard.version)
      if (guard.fence !== undefined) query = query.where('fence', '=', guard.fence)
      return (await query.executeTakeFirst()).numUpdatedRows > 0n
    },

    ...workOnInstances(db),

    /** The instances of one page, and how many there are on all pages. */
    list: (filter: InstanceFilter, page: InstancePage) => listInstances(db, filter, page),

    /** All in one of these states, for the loops that look after running instances. */
    async inStatus(statuses: readonly InstanceRecord['status'][]): Promise<readonly InstanceRecord[]> {
      if (statuses.length === 0) return []
      const rows = await db.selectFrom('instances').selectAll().where('status', 'in', statuses).execute()
      return rows.map(parseInstance)
    },

    /** With everything that belongs to it alone. False: someone else has changed it. */
    async remove(guard: InstanceGuard): Promise<boolean> {
      let query = db
        .deleteFrom('instances')
        .where('instanceId', '=', guard.instanceId)
        .where('version', '=', guard.version)
      if (guard.fence !== undefined) query = query.where('fence', '=', guard.fence)
      if ((await query.executeTakeFirst()).numDeletedRows === 0n) return false
      await db.deleteFrom('sanityChecks').where('instanceId', '=', guard.instanceId).execute()
      return true
    },
    ...sumsOfInstances(db),
  }
}

/** The states in which an instance has, or is about to have, what it was promised. */
const USING = ['EnvPreparing', 'Starting', 'Running', 'Saving', 'Stopping']
// In floating point: SQLite's own sums of memory may be more than a number here can hold, and are refused then.
const SUMS = [
  sql<number>`coalesce(sum(cast(cpu_milli as double precision)), 0)`.as('cpuMilli'),
  sql<number>`coalesce(sum(cast(memory_bytes as double precision)), 0)`.as('memoryBytes'),
  sql<number>`coalesce(sum(cast(gpu_count as double precision)), 0)`.as('gpuCount'),
] as const

interface Sums {
  readonly cpuMilli: number
  readonly memoryBytes: number
  readonly gpuCount: number
}

/** PostgreSQL's sums are of a wider type, and come as text. */
const numbersOf = ({ cpuMilli, memoryBytes, gpuCount }: Sums): Sums => ({
  cpuMilli: Number(cpuMilli),
  memoryBytes: Number(memoryBytes),
  gpuCount: Number(gpuCount),
})

/** Sums over many instances. */
function sumsOfInstances(db: Db) {
  return {
    /** How many instances each workspace has in each status. */
    statistics(workspaceIds: readonly string[], visibleTo?: string) {
      let query = db
        .selectFrom('instances')
        .select(['workspaceId', 'status', (part) => part.fn.countAll<number>().as('total')])
        .where('workspaceId', 'in', workspaceIds)
      if (visibleTo !== undefined) query = query.where((part) => isVisible(part, visibleTo))
      return query.groupBy(['workspaceId', 'status']).execute()
    },

    /** The workspaces that have instances. */
    async workspaces(): Promise<readonly string[]> {
      const rows = await db
        .selectFrom('instanceCounts')
        .select('workspaceId')
        .distinct()
        .where('total', '>', 0)
        .execute()
      return rows.map(({ workspaceId }) => workspaceId)
    },

    /** How many instances there are in each status that any has. */
    async countByStatus(): Promise<ReadonlyMap<string, number>> {
      const rows = await db
        .selectFrom('instances')
        .select(['status', (part) => part.fn.countAll<number>().as('total')])
        .groupBy('status')
        .execute()
      return new Map(rows.map(({ status, total }) => [status, Number(total)]))
    },

    /** What the instances of a resource group in a workspace have been promised, and how many they are. */
    async usedOf(resourceId: string, workspaceId: string, visibleTo?: string) {
      let query = db
        .selectFrom('instances')
        .select([(part) => part.fn.countAll<number>().as('instances'), ...SUMS])
        .where('resourceId', '=', resourceId)
        .where('workspaceId', '=', workspaceId)
        .where('status', 'in', USING)
      if (visibleTo !== undefined) query = query.where((part) => isVisible(part, visibleTo))
      const row = await query.executeTakeFirstOrThrow()
      return { instances: Number(row.instances), ...numbersOf(row) }
    },

    /** What running instances have been promised, in thousandths of a core, bytes and GPUs. */
    async used(): Promise<Sums> {
      const row = await db.selectFrom('instances').select(SUMS).where('status', 'in', USING).executeTakeFirstOrThrow()
      return numbersOf(row)
    },
  }
}

const nameTaken = (name: string) =>
  new AppError('name_taken', `InstanceName ${JSON.stringify(name)} is taken in this workspace: choose another name.`, {
    details: { field: 'InstanceName' },
  })

async function refuseTakenName(db: Db, instanceId: string, name: string): Promise<void> {
  const other = await db
    .selectFrom('instances as mine')
    .innerJoin('instances as other', 'other.workspaceId', 'mine.workspaceId')
    .select('other.instanceId')
    .where('mine.instanceId', '=', instanceId)
    .where('other.instanceId', '<>', instanceId)
    .where('other.name', '=', name)
    .executeTakeFirst()
  if (other) throw nameTaken(name)
}
