import type { Db } from './schema.ts'
import type { PolicyRow, PolicyVersionRow } from './schema-identities.ts'
import type { NamePage } from './users.ts'

/** The custom policies and their versions. What the program brings with it is in no table. */
export interface PoliciesTable {
  /** False: the name is taken. */
  insert(policy: PolicyRow): Promise<boolean>
  find(name: string): Promise<PolicyRow | undefined>
  list(page: NamePage): Promise<readonly PolicyRow[]>
  count(): Promise<number>
  update(name: string, patch: Partial<Omit<PolicyRow, 'name' | 'createdMs'>>): Promise<void>
  /** With its versions. */
  remove(name: string): Promise<boolean>
  insertVersion(version: PolicyVersionRow): Promise<void>
  findVersion(name: string, versionId: string): Promise<PolicyVersionRow | undefined>
  /** Oldest first. */
  versionsOf(name: string): Promise<readonly PolicyVersionRow[]>
  removeVersion(name: string, versionId: string): Promise<boolean>
  /** The documents that count, of several policies. */
  defaultDocuments(names: readonly string[]): Promise<readonly string[]>
}

export function policiesTable(db: Db): PoliciesTable {
  const policies = db.selectFrom('policies').selectAll()
  const versions = db.selectFrom('policyVersions').selectAll()
  return {
    async insert(policy) {
      const insert = db.insertInto('policies').values(policy)
      const done = await insert.onConflict((conflict) => conflict.column('name').doNothing()).executeTakeFirst()
      return (done.numInsertedOrUpdatedRows ?? 0n) > 0n
    },
    find: (name) => policies.where('name', '=', name).executeTakeFirst(),
    list: ({ after = '', limit }) => policies.where('name', '>', after).orderBy('name').limit(limit).execute(),
    async count() {
      const count = db.selectFrom('policies').select((part) => part.fn.countAll<number>().as('n'))
      return Number((await count.executeTakeFirst())?.n ?? 0)
    },
    update: async (name, patch) =>
      void (await db.updateTable('policies').set(patch).where('name', '=', name).execute()),
    async remove(name) {
      const done = await db.deleteFrom('policies').where('name', '=', name).executeTakeFirst()
      return done.numDeletedRows > 0n
    },
    insertVersion: async (version) => void (await db.insertInto('policyVersions').values(version).execute()),
    findVersion: (name, versionId) =>
      versions.where('policyName', '=', name).where('versionId', '=', versionId).executeTakeFirst(),
    versionsOf: (name) => versions.where('policyName', '=', name).orderBy('createdMs').orderBy('versionId').execute(),
    async removeVersion(name, versionId) {
      const remove = db.deleteFrom('policyVersions').where('policyName', '=', name).where('versionId', '=', versionId)
      return (await remove.executeTakeFirst()).numDeletedRows > 0n
    },
    async defaultDocuments(names) {
      if (names.length === 0) return []
      const rows = await db
        .selectFrom('policies')
        .innerJoin('policyVersions', (join) =>
          join.onRef('policyName', '=', 'name').onRef('versionId', '=', 'defaultVersion'),
        )
        .select('document')
        .where('name', 'in', names)
        .orderBy('name')
        .execute()
      return rows.map(({ document }) => document)
    },
  }
}
