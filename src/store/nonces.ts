import { AppError } from '#base/errors.ts'
import type { Db } from './schema.ts'
import type { NonceRow } from './schema-identities.ts'

/** Nonces of requests that change something: kept for as long as the time window lets their request in again. */
export interface NoncesTable {
  /** Durable when it resolves. Throws `nonce_used` when the key has sent it before, to any replica. */
  use(nonce: NonceRow): Promise<void>
  /** Whether `use` was called with it before. */
  isUsed(nonce: Pick<NonceRow, 'accessKeyId' | 'nonce'>): Promise<boolean>
  /** Forget those that expired before `nowMs`; how many. */
  sweep(nowMs: number): Promise<number>
}

export function noncesTable(db: Db): NoncesTable {
  return {
    async use(nonce) {
      const insert = db.insertInto('nonces').values(nonce)
      const done = await insert.onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
      if ((done.numInsertedOrUpdatedRows ?? 0n) === 0n)
        throw new AppError('nonce_used', 'Specified signature nonce was used already: make a new one for each request.')
    },
    async isUsed({ accessKeyId, nonce }) {
      const wanted = db.selectFrom('nonces').select('expiresMs').where('accessKeyId', '=', accessKeyId)
      return (await wanted.where('nonce', '=', nonce).executeTakeFirst()) !== undefined
    },
    async sweep(nowMs) {
      const done = await db.deleteFrom('nonces').where('expiresMs', '<', nowMs).executeTakeFirst()
      return Number(done.numDeletedRows)
    },
  }
}
