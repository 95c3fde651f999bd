import type { Caller } from '#access/caller.ts'
import type { PolicySet } from '#access/evaluate.ts'
import { accessKeysService, type AccessKeys } from './access-keys.ts'
import { openAccount, type AccountOptions } from './account.ts'
import { attachmentsService, type Attachments } from './attachments.ts'
import { Lookup, type KeyFacts } from './lookup.ts'
import type { IdentityParts } from './parts.ts'
import { policiesService, type Policies } from './policies.ts'
import { rolesService, type Roles } from './roles.ts'
import { assumeRole, type AssumeRoleRequest, type TemporaryCredentials } from './sessions.ts'
import { usersService, type Users } from './users.ts'

/** Who may call, with which keys and which rights. One account, its users and its roles. */
export interface Identities {
  readonly accountId: string
  readonly users: Users
  readonly accessKeys: AccessKeys
  readonly policies: Policies
  readonly attachments: Attachments
  readonly roles: Roles
  /** See `assumeRole` of sessions.ts. */
  assumeRole(caller: Caller, request: AssumeRoleRequest): Promise<TemporaryCredentials>
  /** For the request path: see `Lookup`. */
  findKey(accessKeyId: string, securityToken?: string): Promise<KeyFacts | undefined>
  policiesOf(caller: Caller): Promise<readonly PolicySet[]>
}

/**
 * Open the identities of an installation: on its first start the account gets an id and a key.
 * Throws `config_invalid` when the account's id is not that of the database, or the credentials file is damaged.
 */
export async function openIdentities(options: AccountOptions): Promise<Identities> {
  const { store, rootAccessKey } = options
  const accountId = await openAccount(options)
  const lookup = new Lookup({ store, accountId, rootAccessKey })
  const parts: IdentityParts = {
    store,
    accountId,
    async change(work) {
      try {
        return await store.transaction((tables) => work(tables, store.clock.wallMs()))
      } finally {
        lookup.forget()
      }
    },
  }
  return {
    accountId,
    users: usersService(parts),
    accessKeys: accessKeysService(parts),
    policies: policiesService(parts),
    attachments: attachmentsService(parts),
    roles: rolesService(parts),
    assumeRole: (caller, request) => assumeRole(parts, caller, request),
    findKey: (accessKeyId, securityToken) => lookup.findKey(accessKeyId, securityToken),
    policiesOf: (caller) => lookup.policiesOf(caller),
  }
}
