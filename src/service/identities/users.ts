import type { UserRow } from '#store/schema-identities.ts'
import type { Tables } from '#store/tables.ts'
import { alreadyExists, inUse, limitReached, notFound } from './failures.ts'
import { newUserId } from './generate.ts'
import { pageOf, type IdentityParts, type Page, type PageRequest } from './parts.ts'

const MAX_USERS = 1_000 // RAM's own default

export interface UserFields {
  readonly name: string
  readonly displayName?: string | undefined
  readonly comments?: string | undefined
  readonly email?: string | undefined
  readonly mobilePhone?: string | undefined
}

/** RAM's operations on users. Names are those of RAM's documentation; so are the `wireCode`s of what is thrown. */
export interface Users {
  /** Throws `EntityAlreadyExists.User`, `LimitExceeded.User`. */
  create(user: UserFields): Promise<UserRow>
  /** Throws `EntityNotExist.User`, as all that follow do. */
  get(name: string): Promise<UserRow>
  /** What is not given stays. */
  update(name: string, changes: Partial<UserFields>): Promise<UserRow>
  list(page: PageRequest): Promise<Page<UserRow>>
  /** Throws `DeleteConflict.User.AccessKey`, `DeleteConflict.User.Policy`. */
  remove(name: string): Promise<void>
}

/** The user of this name. Throws `EntityNotExist.User`. */
export async function requireUser({ users }: Pick<Tables, 'users'>, name: string): Promise<UserRow> {
  const user = await users.findByName(name)
  if (user === undefined) throw notFound('User', `The user ${name}`)
  return user
}

export function usersService({ store, change }: IdentityParts): Users {
  return {
    create: (fields) =>
      change(async ({ users }, nowMs) => {
        const { name, displayName = '', comments = '', email = '', mobilePhone = '' } = fields
        if ((await users.count()) >= MAX_USERS) throw limitReached('User', `There are ${MAX_USERS} users`)
        const times = { createdMs: nowMs, updatedMs: nowMs }
        const user = { userId: newUserId(), name, displayName, comments, email, mobilePhone, ...times }
        if (!(await users.insert(user))) throw alreadyExists('User', `The user ${name}`)
        return user
      }),
    get: (name) => requireUser(store, name),
    update: (name, changes) =>
      change(async (tables, nowMs) => {
        const user = await requireUser(tables, name)
        const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
        const taken = () => alreadyExists('User', `The user ${changes.name}`)
        if (changes.name !== undefined && changes.name !== name && (await tables.users.findByName(changes.name)))
          throw taken()
        if (!(await tables.users.update(user.userId, { ...given, updatedMs: nowMs }))) throw taken()
        return await requireUser(tables, changes.name ?? name)
      }),
    list: async ({ after, limit }) =>
      pageOf(await store.users.list({ after, limit: limit + 1 }), limit, (user) => user.name),
    remove: (name) =>
      change(async (tables) => {
        const { userId } = await requireUser(tables, name)
        if ((await tables.accessKeys.ofUser(userId)).length > 0)
          throw inUse('User.AccessKey', `The user ${name}`, 'delete its access keys')
        if ((await tables.attachments.ofPrincipal({ principalKind: 'user', principalId: userId })).length > 0)
          throw inUse('User.Policy', `The user ${name}`, 'detach its policies')
        await tables.users.remove(userId)
      }),
  }
}
