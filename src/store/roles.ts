import type { Db } from './schema.ts'
import type { RoleRow } from './schema-identities.ts'
import type { NamePage } from './users.ts'

export interface RolesTable {
  /** False: the name is taken. */
  insert(role: RoleRow): Promise<boolean>
  findByName(name: string): Promise<RoleRow | undefined>
  find(roleId: string): Promise<RoleRow | undefined>
  findAll(roleIds: readonly string[]): Promise<readonly RoleRow[]>
  list(page: NamePage): Promise<readonly RoleRow[]>
  count(): Promise<number>
  update(roleId: string, patch: Partial<Omit<RoleRow, 'roleId' | 'name' | 'createdMs'>>): Promise<void>
  remove(roleId: string): Promise<boolean>
}

export function rolesTable(db: Db): RolesTable {
  const roles = db.selectFrom('roles').selectAll()
  return {
    async insert(role) {
      const insert = db.insertInto('roles').values(role)
      const done = await insert.onConflict((conflict) => conflict.column('name').doNothing()).executeTakeFirst()
      return (done.numInsertedOrUpdatedRows ?? 0n) > 0n
    },
    findByName: (name) => roles.where('name', '=', name).executeTakeFirst(),
    find: (roleId) => roles.where('roleId', '=', roleId).executeTakeFirst(),
    findAll: async (roleIds) => (roleIds.length === 0 ? [] : await roles.where('roleId', 'in', roleIds).execute()),
    list: ({ after = '', limit }) => roles.where('name', '>', after).orderBy('name').limit(limit).execute(),
    async count() {
      const row = await db
        .selectFrom('roles')
        .select((part) => part.fn.countAll<number>().as('n'))
        .executeTakeFirst()
      return Number(row?.n ?? 0)
    },
    update: async (roleId, patch) =>
      void (await db.updateTable('roles').set(patch).where('roleId', '=', roleId).execute()),
    async remove(roleId) {
      const done = await db.deleteFrom('roles').where('roleId', '=', roleId).executeTakeFirst()
      return done.numDeletedRows > 0n
    },
  }
}
