import { parseTrustPolicy } from '#access/policy.ts'
import type { RoleRow } from '#store/schema-identities.ts'
import type { Tables } from '#store/tables.ts'
import { alreadyExists, inUse, limitReached, notFound } from './failures.ts'
import { newRoleId } from './generate.ts'
import { pageOf, type IdentityParts, type Page, type PageRequest } from './parts.ts'

const MAX_ROLES = 1_000 // RAM's own default
const SESSION_S = 3_600

export interface RoleFields {
  readonly name: string
  readonly trustPolicy: string
  readonly description?: string | undefined
  /** The longest that one session of it may last, in seconds. */
  readonly maxSessionS?: number | undefined
}

/** RAM's operations on roles. */
export interface Roles {
  /** Throws `policy_invalid` for the trust policy, `EntityAlreadyExists.Role`, `LimitExceeded.Role`. */
  create(role: RoleFields): Promise<RoleRow>
  /** Throws `EntityNotExist.Role`, as all that follow do. */
  get(name: string): Promise<RoleRow>
  /** What is not given stays. Throws `policy_invalid`. */
  update(name: string, changes: Partial<Omit<RoleFields, 'name'>>): Promise<RoleRow>
  list(page: PageRequest): Promise<Page<RoleRow>>
  /** Its sessions end at once. Throws `DeleteConflict.Role.Policy`. */
  remove(name: string): Promise<void>
}

/** The role of this name. Throws `EntityNotExist.Role`. */
export async function requireRole({ roles }: Pick<Tables, 'roles'>, name: string): Promise<RoleRow> {
  const role = await roles.findByName(name)
  if (role === undefined) throw notFound('Role', `The role ${name}`)
  return role
}

export function rolesService({ store, change }: IdentityParts): Roles {
  return {
    async create({ name, trustPolicy, description = '', maxSessionS = SESSION_S }) {
      parseTrustPolicy(trustPolicy)
      return await change(async ({ roles }, nowMs) => {
        if ((await roles.count()) >= MAX_ROLES) throw limitReached('Role', `There are ${MAX_ROLES} roles`)
        const times = { createdMs: nowMs, updatedMs: nowMs }
        const role = { roleId: newRoleId(), name, description, trustPolicy, maxSessionS, ...times }
        if (!(await roles.insert(role))) throw alreadyExists('Role', `The role ${name}`)
        return role
      })
    },
    get: (name) => requireRole(store, name),
    async update(name, changes) {
      if (changes.trustPolicy !== undefined) parseTrustPolicy(changes.trustPolicy)
      const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
      return await change(async (tables, updatedMs) => {
        const { roleId } = await requireRole(tables, name)
        await tables.roles.update(roleId, { ...given, updatedMs })
        return await requireRole(tables, name)
      })
    },
    list: async ({ after, limit }) =>
      pageOf(await store.roles.list({ after, limit: limit + 1 }), limit, (role) => role.name),
    remove: (name) =>
      change(async (tables) => {
        const { roleId } = await requireRole(tables, name)
        if ((await tables.attachments.ofPrincipal({ principalKind: 'role', principalId: roleId })).length > 0)
          throw inUse('Role.Policy', `The role ${name}`, 'detach its policies')
        await tables.roles.remove(roleId)
      }),
  }
}
