import { roleArn } from '#access/arn.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import type { AttachedPolicy } from '#service/identities/attachments.ts'
import type { Identities } from '#service/identities/identities.ts'
import type { PolicyName, PolicyType } from '#service/identities/policies.ts'
import { checkPolicy, policyResource, roleResource, userResource } from './resources.ts'

const policyOf = (query: { readonly PolicyName: string; readonly PolicyType: PolicyType }): PolicyName => ({
  name: query.PolicyName,
  type: query.PolicyType,
})
const writeAttached = (policies: readonly AttachedPolicy[]) => ({
  Policies: {
    Policy: policies.map((policy) => ({
      PolicyName: policy.name,
      PolicyType: policy.type,
      Description: policy.description,
      DefaultVersion: policy.defaultVersion,
      AttachDate: wireTime(policy.attachedMs),
    })),
  },
})

/** RAM 2015-05-01: which policies users and roles have. */
export function attachmentRoutes(identities: Identities): readonly AnyRoute[] {
  return [...ofUsers(identities), ...ofRoles(identities), ofPolicies(identities)]
}

function ofUsers({ attachments }: Identities): readonly AnyRoute[] {
  return [
    route({
      action: 'AttachPolicyToUser',
      resource: ({ caller, query }) => userResource(caller, query.UserName),
      async handle(call) {
        await checkPolicy(call)
        await attachments.attach(policyOf(call.query), { user: call.query.UserName })
        return {}
      },
    }),
    route({
      action: 'DetachPolicyFromUser',
      resource: ({ caller, query }) => userResource(caller, query.UserName),
      async handle(call) {
        await checkPolicy(call)
        await attachments.detach(policyOf(call.query), { user: call.query.UserName })
        return {}
      },
    }),
    route({
      action: 'ListPoliciesForUser',
      resource: ({ caller, query }) => userResource(caller, query.UserName),
      handle: async ({ query }) => writeAttached(await attachments.ofPrincipal({ user: query.UserName })),
    }),
  ]
}

function ofRoles({ attachments }: Identities): readonly AnyRoute[] {
  return [
    route({
      action: 'AttachPolicyToRole',
      resource: ({ caller, query }) => roleResource(caller, query.RoleName),
      async handle(call) {
        await checkPolicy(call)
        await attachments.attach(policyOf(call.query), { role: call.query.RoleName })
        return {}
      },
    }),
    route({
      action: 'DetachPolicyFromRole',
      resource: ({ caller, query }) => roleResource(caller, query.RoleName),
      async handle(call) {
        await checkPolicy(call)
        await attachments.detach(policyOf(call.query), { role: call.query.RoleName })
        return {}
      },
    }),
    route({
      action: 'ListPoliciesForRole',
      resource: ({ caller, query }) => roleResource(caller, query.RoleName),
      handle: async ({ query }) => writeAttached(await attachments.ofPrincipal({ role: query.RoleName })),
    }),
  ]
}

function ofPolicies({ attachments, accountId }: Identities): AnyRoute {
  return route({
    action: 'ListEntitiesForPolicy',
    resource: ({ caller, query }) => policyResource(caller, query),
    async handle({ query }) {
      const { users, roles } = await attachments.ofPolicy(policyOf(query))
      return {
        Groups: { Group: [] },
        Users: {
          User: users.map(({ userId, name, displayName, attachedMs }) => ({
            UserId: userId,
            UserName: name,
            DisplayName: displayName,
            AttachDate: wireTime(attachedMs),
          })),
        },
        Roles: {
          Role: roles.map(({ roleId, name, description, attachedMs }) => ({
            RoleId: roleId,
            RoleName: name,
            Description: description,
            Arn: roleArn(accountId, name),
            AttachDate: wireTime(attachedMs),
          })),
        },
      }
    },
  })
}
