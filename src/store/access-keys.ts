import type { Db } from './schema.ts'
import type { AccessKeyRow } from './schema-identities.ts'

export interface AccessKeysTable {
  insert(key: AccessKeyRow): Promise<void>
  find(id: string): Promise<AccessKeyRow | undefined>
  /** Oldest first; '' for the account's own. */
  ofUser(userId: string): Promise<readonly AccessKeyRow[]>
  /** False: there is no such key of this user. */
  setStatus(key: Pick<AccessKeyRow, 'id' | 'userId' | 'status'>): Promise<boolean>
  remove(key: Pick<AccessKeyRow, 'id' | 'userId'>): Promise<boolean>
}

export function accessKeysTable(db: Db): AccessKeysTable {
  const keys = db.selectFrom('accessKeys').selectAll()
  return {
    insert: async (key) => void (await db.insertInto('accessKeys').values(key).execute()),
    find: (id) => keys.where('id', '=', id).executeTakeFirst(),
    ofUser: (userId) => keys.where('userId', '=', userId).orderBy('createdMs').orderBy('id').execute(),
    async setStatus({ id, userId, status }) {
      const update = db.updateTable('accessKeys').set({ status }).where('id', '=', id).where('userId', '=', userId)
      return (await update.executeTakeFirst()).numUpdatedRows > 0n
    },
    async remove({ id, userId }) {
      const remove = db.deleteFrom('accessKeys').where('id', '=', id).where('userId', '=', userId)
      return (await remove.executeTakeFirst()).numDeletedRows > 0n
    },
  }
}
