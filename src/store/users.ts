import type { Insertable } from 'kysely'
import { findByKeys, isOneOf } from './find-by-key.ts'
import type { Db } from './schema.ts'
import type { UserRow } from './schema-identities.ts'
import { isUniqueViolation } from './unique-violation.ts'

export type UserPatch = Partial<Omit<UserRow, 'userId' | 'createdMs'>>

/** One page of a list that is ordered by name: what comes after `after`, `limit` rows at most. */
export interface NamePage {
  readonly after?: string | undefined
  readonly limit: number
}

export interface UsersTable {
  /** False: the name is taken. */
  insert(user: Insertable<UserRow>): Promise<boolean>
  findByName(name: string): Promise<UserRow | undefined>
  find(userId: string): Promise<UserRow | undefined>
  findAll(userIds: readonly string[]): Promise<readonly UserRow[]>
  /** The names of those who may own something, users and roles: the account and who is gone have none. */
  ownerNames(userIds: readonly string[]): Promise<readonly Pick<UserRow, 'userId' | 'name'>[]>
  list(page: NamePage): Promise<readonly UserRow[]>
  count(): Promise<number>
  /** False: the new name is taken. */
  update(userId: string, patch: UserPatch): Promise<boolean>
  remove(userId: string): Promise<boolean>
}

export function usersTable(db: Db): UsersTable {
  const users = db.selectFrom('users').selectAll()
  return {
    async insert(user) {
      const insert = db.insertInto('users').values(user)
      const done = await insert.onConflict((conflict) => conflict.column('name').doNothing()).executeTakeFirst()
      return (done.numInsertedOrUpdatedRows ?? 0n) > 0n
    },
    findByName: (name) => users.where('name', '=', name).executeTakeFirst(),
    find: (userId) => users.where('userId', '=', userId).executeTakeFirst(),
    findAll: findByKeys(db, (userIds) => users.where(isOneOf(db, 'userId', userIds))),
    ownerNames: findByKeys(db, (ids) => {
      const ofUsers = db
        .selectFrom('users')
        .select(['userId', 'name'])
        .where(isOneOf(db, 'userId', ids))
      const ofRoles = db
        .selectFrom('roles')
        .select(['roleId as userId', 'name'])
        .where(isOneOf(db, 'roleId', ids))
      return ofUsers.unionAll(ofRoles)
    }),
    list: ({ after = '', limit }) => users.where('name', '>', after).orderBy('name').limit(limit).execute(),
    async count() {
      const row = await db
        .selectFrom('users')
        .select((part) => part.fn.countAll<number>().as('n'))
        .executeTakeFirst()
      return Number(row?.n ?? 0)
    },
    async update(userId, patch) {
      try {
        await db.updateTable('users').set(patch).where('userId', '=', userId).execute()
        return true
      } catch (error) {
        if (isUniqueViolation(error)) return false
        throw error
      }
    },
    async remove(userId) {
      const done = await db.deleteFrom('users').where('userId', '=', userId).executeTakeFirst()
      return done.numDeletedRows > 0n
    },
  }
}
