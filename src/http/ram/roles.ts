import { roleArn } from '#access/arn.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import type { Identities } from '#service/identities/identities.ts'
import type { RoleRow } from '#store/schema-identities.ts'
import { roleResource } from './resources.ts'
import { readMarker, writeMarker } from './wire.ts'

function rolesOf(accountId: string) {
  const writeListed = (role: RoleRow) => ({
    RoleId: role.roleId,
    RoleName: role.name,
    Arn: roleArn(accountId, role.name),
    Description: role.description,
    MaxSessionDuration: role.maxSessionS,
    AllowConsoleLogin: false,
    CreateDate: wireTime(role.createdMs),
  })
  const writeRole = (role: RoleRow) => ({ ...writeListed(role), AssumeRolePolicyDocument: role.trustPolicy })
  const writeUpdated = (role: RoleRow) => ({ ...writeRole(role), UpdateDate: wireTime(role.updatedMs) })
  return { writeListed, writeRole, writeUpdated }
}

/** RAM 2015-05-01: roles. Nobody logs on to a console as a role here, so that is never allowed. */
export function roleRoutes({ roles, accountId }: Identities): readonly AnyRoute[] {
  const { writeRole, writeUpdated, writeListed } = rolesOf(accountId)
  return [
    route({
      action: 'CreateRole',
      resource: ({ caller, query }) => roleResource(caller, query.RoleName),
      async handle({ query }) {
        const { RoleName: name, AssumeRolePolicyDocument: trustPolicy, Description: description } = query
        const role = await roles.create({ name, trustPolicy, description, maxSessionS: query.MaxSessionDuration })
        return { Role: writeRole(role) }
      },
    }),
    route({
      action: 'GetRole',
      resource: ({ caller, query }) => roleResource(caller, query.RoleName),
      async handle({ query }) {
        const role = await roles.get(query.RoleName)
        return { Role: { ...writeUpdated(role), IsServiceLinkedRole: false } }
      },
    }),
    route({
      action: 'UpdateRole',
      resource: ({ caller, query }) => roleResource(caller, query.RoleName),
      async handle({ query }) {
        const role = await roles.update(query.RoleName, {
          ...(query.NewAssumeRolePolicyDocument !== undefined && { trustPolicy: query.NewAssumeRolePolicyDocument }),
          description: query.NewDescription,
          maxSessionS: query.NewMaxSessionDuration,
        })
        return { Role: writeUpdated(role) }
      },
    }),
    route({
      action: 'ListRoles',
      resource: ({ caller }) => roleResource(caller, '*'),
      async handle({ query }) {
        const page = await roles.list(readMarker(query))
        const Role = page.items.map((role) => ({
          ...writeListed(role),
          UpdateDate: wireTime(role.updatedMs),
          Tags: { Tag: [] },
        }))
        return { ...writeMarker(page), Roles: { Role } }
      },
    }),
    route({
      action: 'DeleteRole',
      resource: ({ caller, query }) => roleResource(caller, query.RoleName),
      async handle({ query }) {
        await roles.remove(query.RoleName)
        return {}
      },
    }),
  ]
}
