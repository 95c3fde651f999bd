import type { AttachmentRow, RoleRow, UserRow } from '#store/schema-identities.ts'
import type { Tables } from '#store/tables.ts'
import { alreadyExists, limitReached, notFound } from './failures.ts'
import type { IdentityParts } from './parts.ts'
import { requirePolicy, type PolicyName } from './policies.ts'
import { requireRole } from './roles.ts'
import { SYSTEM_POLICIES } from './system-policies.ts'
import { requireUser } from './users.ts'

const MAX_ATTACHED = 20 // RAM's own limit, for each type of policy; each request is checked against all of them

/** Who has a policy: a user or a role, by name. */
export type Principal = { readonly user: string } | { readonly role: string }

export interface AttachedPolicy extends PolicyName {
  readonly description: string
  readonly defaultVersion: string
  readonly attachedMs: number
}

export interface Holders {
  readonly users: readonly (UserRow & { readonly attachedMs: number })[]
  readonly roles: readonly (RoleRow & { readonly attachedMs: number })[]
}

/** Throws `EntityNotExist.User`, `.Role` and `.Policy` for what is not there. */
export interface Attachments {
  /** Throws `EntityAlreadyExists.User.Policy` or `….Role.Policy`, and `LimitExceeded` of the same. */
  attach(policy: PolicyName, principal: Principal): Promise<void>
  /** Throws `EntityNotExist.User.Policy` or `….Role.Policy` when it is not attached. */
  detach(policy: PolicyName, principal: Principal): Promise<void>
  ofPrincipal(principal: Principal): Promise<readonly AttachedPolicy[]>
  ofPolicy(policy: PolicyName): Promise<Holders>
}

type Named = Pick<AttachmentRow, 'principalKind' | 'principalId'> & { readonly what: string }

async function resolve(tables: Tables, principal: Principal): Promise<Named> {
  if ('user' in principal) {
    const { userId } = await requireUser(tables, principal.user)
    return { principalKind: 'user', principalId: userId, what: `the user ${principal.user}` }
  }
  const { roleId } = await requireRole(tables, principal.role)
  return { principalKind: 'role', principalId: roleId, what: `the role ${principal.role}` }
}

const entityOf = ({ principalKind }: Named) => (principalKind === 'user' ? 'User.Policy' : 'Role.Policy')

async function attach(tables: Tables, policy: PolicyName, principal: Principal, nowMs: number): Promise<void> {
  const who = await resolve(tables, principal)
  await requirePolicy(tables, policy)
  const { principalKind, principalId, what } = who
  const attached = await tables.attachments.ofPrincipal(who)
  const ofType = attached.filter(({ policyType }) => policyType === policy.type)
  if (ofType.some(({ policyName }) => policyName === policy.name))
    throw alreadyExists(entityOf(who), `The policy ${policy.name} of ${what}`)
  if (ofType.length >= MAX_ATTACHED)
    throw limitReached(entityOf(who), `Attached to ${what} are ${MAX_ATTACHED} ${policy.type.toLowerCase()} policies`)
  const ref = { policyType: policy.type, policyName: policy.name }
  await tables.attachments.insert({ principalKind, principalId, ...ref, attachedMs: nowMs })
}

export function attachmentsService({ store, change }: IdentityParts): Attachments {
  return {
    attach: (policy, principal) => change((tables, nowMs) => attach(tables, policy, principal, nowMs)),
    detach: (policy, principal) =>
      change(async (tables) => {
        const who = await resolve(tables, principal)
        await requirePolicy(tables, policy)
        const { principalKind, principalId, what } = who
        const ref = { policyType: policy.type, policyName: policy.name }
        if (!(await tables.attachments.remove({ principalKind, principalId, ...ref })))
          throw notFound(entityOf(who), `The policy ${policy.name} of ${what}`)
      }),
    async ofPrincipal(principal) {
      const attachments = await store.attachments.ofPrincipal(await resolve(store, principal))
      const found = attachments.map(async ({ policyType: type, policyName: name, attachedMs }) => {
        const { description, defaultVersion } = await requirePolicy(store, { type, name })
        return { type, name, description, defaultVersion, attachedMs }
      })
      return await Promise.all(found)
    },
    async ofPolicy(policy) {
      await requirePolicy(store, policy)
      const rows = await store.attachments.ofPolicy({ policyType: policy.type, policyName: policy.name })
      const ids = (kind: AttachmentRow['principalKind']) =>
        rows.filter(({ principalKind }) => principalKind === kind).map(({ principalId }) => principalId)
      const attachedMs = new Map(rows.map((row) => [`${row.principalKind} ${row.principalId}`, row.attachedMs]))
      const users = await store.users.findAll(ids('user'))
      const roles = await store.roles.findAll(ids('role'))
      return {
        users: users.map((user) => ({ ...user, attachedMs: attachedMs.get(`user ${user.userId}`) ?? 0 })),
        roles: roles.map((role) => ({ ...role, attachedMs: attachedMs.get(`role ${role.roleId}`) ?? 0 })),
      }
    },
  }
}

/** The documents that count for a user or a role, by its id. */
export async function documentsOf(
  { attachments, policies }: Tables,
  principal: Pick<AttachmentRow, 'principalKind' | 'principalId'>,
): Promise<readonly string[]> {
  const attached = await attachments.ofPrincipal(principal)
  const names = (type: AttachmentRow['policyType']) =>
    attached.filter(({ policyType }) => policyType === type).map(({ policyName }) => policyName)
  const ofSystem = names('System').flatMap((name) => SYSTEM_POLICIES.get(name)?.document ?? [])
  return [...ofSystem, ...(await policies.defaultDocuments(names('Custom')))]
}
