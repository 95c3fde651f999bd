import type { Selectable } from 'kysely'
import type { Db } from './schema.ts'
import type { RegistryRow } from './schema-snapshots.ts'

/** A registry that was registered over the API; user name and password as `secrets.ts` sealed them. */
export interface RegistryRecord {
  readonly host: string
  readonly plainHttp: boolean
  readonly userNameEncrypted: string | null
  readonly passwordEncrypted: string | null
  readonly createdMs: number
  readonly modifiedMs: number
}

export type NewRegistry = Omit<RegistryRecord, 'createdMs' | 'modifiedMs'>

export interface RegistriesTable {
  /** False: there is one of this host. */
  insert(registry: NewRegistry, nowMs: number): Promise<boolean>
  find(host: string): Promise<RegistryRecord | undefined>
  /** By host. */
  list(): Promise<readonly RegistryRecord[]>
  /** False: there is none. */
  update(host: string, change: Partial<Omit<NewRegistry, 'host'>>, nowMs: number): Promise<boolean>
  remove(host: string): Promise<boolean>
}

/** Registries beside those of the configuration, and the credentials for pushing to them. */
export function registriesTable(db: Db): RegistriesTable {
  return {
    async insert(registry, nowMs) {
      const inserted = await db
        .insertInto('registries')
        .values({ ...registry, plainHttp: flag(registry.plainHttp), createdMs: nowMs, modifiedMs: nowMs })
        .onConflict((conflict) => conflict.column('host').doNothing())
        .executeTakeFirst()
      return inserted.numInsertedOrUpdatedRows === 1n
    },
    async find(host) {
      const row = await db.selectFrom('registries').selectAll().where('host', '=', host).executeTakeFirst()
      return row && parseRegistry(row)
    },
    async list() {
      return (await db.selectFrom('registries').selectAll().orderBy('host').execute()).map(parseRegistry)
    },
    async update(host, { plainHttp, ...change }, nowMs) {
      const changed = await db
        .updateTable('registries')
        .set({
          ...change,
          ...(plainHttp !== undefined && { plainHttp: flag(plainHttp) }),
          modifiedMs: nowMs,
        })
        .where('host', '=', host)
        .executeTakeFirst()
      return changed.numUpdatedRows > 0n
    },
    async remove(host) {
      const removed = await db.deleteFrom('registries').where('host', '=', host).executeTakeFirst()
      return removed.numDeletedRows > 0n
    },
  }
}

const flag = (value: boolean): 0 | 1 => (value ? 1 : 0)

const parseRegistry = (row: Selectable<RegistryRow>): RegistryRecord => ({ ...row, plainHttp: row.plainHttp === 1 })
