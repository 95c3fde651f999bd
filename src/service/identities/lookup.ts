import { accountArn, userArn } from '#access/arn.ts'
import type { Caller } from '#access/caller.ts'
import type { PolicySet } from '#access/evaluate.ts'
import { parsePolicy, type Policy } from '#access/policy.ts'
import { AppError } from '#base/errors.ts'
import type { Store } from '#store/open-store.ts'
import { KEY_PURPOSE } from './access-keys.ts'
import type { RootKey } from './account.ts'
import { documentsOf } from './attachments.ts'
import { checkSession, isTemporary, readSession, type RoleSession } from './sessions.ts'
import { TimedCache } from './timed-cache.ts'

/** How long another replica's change may go unseen. */
const TTL_MS = 1_000
const MAX_ENTRIES = 10_000

export interface KeyFacts {
  readonly secret: string
  readonly isActive: boolean
  readonly caller: Caller
}

export interface LookupParts {
  readonly store: Store
  readonly accountId: string
  /** The key of the configuration, which is in no table. */
  readonly rootAccessKey?: RootKey | undefined
}

/**
 * Who signs, and what binds them: for every request, so out of memory. What this process changes counts at once
 * (`forget`), what another replica changes after a second.
 */
export class Lookup {
  readonly #parts: LookupParts
  readonly #keys: TimedCache<KeyFacts | undefined>
  readonly #policies: TimedCache<readonly Policy[] | undefined>
  /** By token: opening and parsing one is dearer than the rest of a lookup. */
  readonly #sessions: TimedCache<RoleSession>

  constructor(parts: LookupParts) {
    const { store, accountId } = parts
    const options = { ttlMs: TTL_MS, maxEntries: MAX_ENTRIES, clock: store.clock }
    this.#parts = parts
    this.#keys = new TimedCache((id) => this.#loadKey(id), options)
    this.#policies = new TimedCache((principal) => this.#loadPolicies(principal), options)
    this.#sessions = new TimedCache(async (token) => readSession(store.secrets, accountId, token), options)
  }

  forget(): void {
    this.#keys.clear()
    this.#policies.clear()
  }

  /** Undefined: there is no such key. Throws the codes of security tokens. */
  async findKey(accessKeyId: string, securityToken?: string): Promise<KeyFacts | undefined> {
    if (isTemporary(accessKeyId)) return await this.#findTemporary(accessKeyId, securityToken)
    if (securityToken !== undefined)
      throw new AppError('security_token_mismatched', 'A lasting access key has no security token: leave it out.')
    return await this.#keys.get(accessKeyId)
  }

  /** What binds a caller that `findKey` gave. Each set must allow a request; the account itself is bound by none. */
  async policiesOf(caller: Caller): Promise<readonly PolicySet[]> {
    if (caller.kind === 'Account') return []
    const session = this.#sessionOf.get(caller)
    if (caller.kind === 'AssumedRoleUser' && session === undefined)
      throw new AppError('internal', 'A caller with a role came without its session.')
    const principal = session === undefined ? `user ${caller.id}` : `role ${session.roleId}`
    const policies = (await this.#policies.get(principal)) ?? []
    const own: PolicySet = { type: 'AccountLevelIdentityBasedPolicy', policies }
    return session?.policy === undefined ? [own] : [own, { type: 'SessionPolicy', policies: [session.policy] }]
  }

  /** The session of each caller that was handed out: a caller is plain data, and its policy is not for others to see. */
  readonly #sessionOf = new WeakMap<Caller, RoleSession>()

  async #findTemporary(accessKeyId: string, token: string | undefined): Promise<KeyFacts> {
    if (token === undefined)
      throw new AppError('security_token_missing', `The temporary key ${accessKeyId} came without its security token.`)
    const session = await this.#sessions.get(token)
    checkSession(session, accessKeyId, this.#parts.store.clock.wallMs())
    if ((await this.#policies.get(`role ${session.roleId}`)) === undefined)
      throw new AppError('security_token_expired', 'The role of the security token is not there any more.')
    this.#sessionOf.set(session.caller, session)
    return { secret: session.secret, isActive: true, caller: session.caller }
  }

  async #loadKey(accessKeyId: string): Promise<KeyFacts | undefined> {
    const { store, rootAccessKey } = this.#parts
    if (rootAccessKey?.id === accessKeyId)
      return { secret: rootAccessKey.secret, isActive: true, caller: this.#account(accessKeyId) }
    const key = await store.accessKeys.find(accessKeyId)
    const caller = key && (key.userId === '' ? this.#account(accessKeyId) : await this.#user(key.userId, accessKeyId))
    if (key === undefined || caller === undefined) return undefined
    const secret = store.secrets.unseal(key.secretEncrypted, KEY_PURPOSE)
    return { secret, isActive: key.status === 'Active', caller }
  }

  #account(accessKeyId: string): Caller {
    const { accountId } = this.#parts
    const arn = accountArn(accountId)
    return {
      accountId,
      kind: 'Account',
      id: accountId,
      ownerId: accountId,
      name: accountId,
      arn,
      accessKeyId,
      displayName: accountId,
    }
  }

  async #user(userId: string, accessKeyId: string): Promise<Caller | undefined> {
    const { store, accountId } = this.#parts
    const user = await store.users.find(userId)
    if (user === undefined) return undefined
    const { name, displayName } = user
    const who = { kind: 'RAMUser', id: userId, ownerId: userId, name, arn: userArn(accountId, name) } as const
    return { accountId, ...who, accessKeyId, displayName: displayName === '' ? name : displayName }
  }

  /** Undefined: the user or the role is not there any more. */
  async #loadPolicies(principal: string): Promise<readonly Policy[] | undefined> {
    const { store } = this.#parts
    const [kind, id = ''] = principal.split(' ')
    const isThere = kind === 'role' ? await store.roles.find(id) : await store.users.find(id)
    if (isThere === undefined) return undefined
    const principalKind = kind === 'role' ? 'role' : 'user'
    return (await documentsOf(store, { principalKind, principalId: id })).map(parsePolicy)
  }
}
