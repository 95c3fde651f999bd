import type { Caller } from '#access/caller.ts'
import type { AccessKeyRow } from '#store/schema-identities.ts'
import type { Tables } from '#store/tables.ts'
import { invalid, limitReached, notFound } from './failures.ts'
import { newAccessKeyId, newSecret } from './generate.ts'
import type { IdentityParts } from './parts.ts'
import { requireUser } from './users.ts'

/** What the secrets of access keys are sealed for. */
export const KEY_PURPOSE = 'access-key'
const MAX_KEYS = 2 // RAM: enough to change from one to the next

export type KeyFacts = Pick<AccessKeyRow, 'id' | 'status' | 'createdMs'>
export type NewKey = KeyFacts & { readonly secret: string }
/** Whose keys: the named user's; without a name, the caller's own. */
export interface Owner {
  readonly userName?: string | undefined
  readonly caller: Caller
}

export interface AccessKeys {
  /** The secret is in this answer and nowhere else. Throws `EntityNotExist.User`, `LimitExceeded.User.AccessKey`. */
  create(owner: Owner): Promise<NewKey>
  list(owner: Owner): Promise<readonly KeyFacts[]>
  /** Throws `EntityNotExist.User.AccessKey`, as `remove` does. */
  setStatus(owner: Owner, id: string, status: AccessKeyRow['status']): Promise<void>
  remove(owner: Owner, id: string): Promise<void>
}

/** The user's id; '' for the account. A role has no keys: they come with each session. */
async function ownerId(tables: Pick<Tables, 'users'>, { userName, caller }: Owner): Promise<string> {
  if (userName !== undefined) return (await requireUser(tables, userName)).userId
  if (caller.kind === 'AssumedRoleUser') throw invalid('UserName', 'given, as a role has no access keys of its own')
  return caller.kind === 'Account' ? '' : caller.id
}

export function accessKeysService({ store, change }: IdentityParts): AccessKeys {
  const missing = (id: string) => notFound('User.AccessKey', `The access key ${id} of this user`)
  return {
    create: (owner) =>
      change(async (tables, createdMs) => {
        const userId = await ownerId(tables, owner)
        if ((await tables.accessKeys.ofUser(userId)).length >= MAX_KEYS)
          throw limitReached('User.AccessKey', `There are ${MAX_KEYS} access keys already, as many as a user may have`)
        const [id, secret] = [newAccessKeyId(), newSecret()]
        const key = { id, status: 'Active', createdMs } as const
        const secretEncrypted = store.secrets.seal(secret, KEY_PURPOSE)
        await tables.accessKeys.insert({ ...key, userId, secretEncrypted })
        return { ...key, secret }
      }),
    async list(owner) {
      const keys = await store.accessKeys.ofUser(await ownerId(store, owner))
      return keys.map(({ id, status, createdMs }) => ({ id, status, createdMs }))
    },
    setStatus: (owner, id, status) =>
      change(async (tables) => {
        const userId = await ownerId(tables, owner)
        if (!(await tables.accessKeys.setStatus({ id, userId, status }))) throw missing(id)
      }),
    remove: (owner, id) =>
      change(async (tables) => {
        if (!(await tables.accessKeys.remove({ id, userId: await ownerId(tables, owner) }))) throw missing(id)
      }),
  }
}
