import type { Caller } from '#access/caller.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import type { Identities } from '#service/identities/identities.ts'

interface TrustQuery {
  readonly ExternalId?: string
  readonly SourceIdentity?: string
}

/** The keys that a trust policy may ask for beside the global ones. */
const keysOf = ({ ExternalId: externalId, SourceIdentity: source }: TrustQuery) => ({
  ...(externalId !== undefined && { 'sts:ExternalId': [externalId] }),
  ...(source !== undefined && { 'sts:SourceIdentity': [source] }),
})

/** The operations of STS, version 2015-04-01. */
export function stsRoutes(identities: Identities): readonly AnyRoute[] {
  return [
    route({
      action: 'AssumeRole',
      resource: ({ query }) => query.RoleArn,
      context: ({ query }) => keysOf(query),
      async handle({ query, caller, globalKeys }) {
        const credentials = await identities.assumeRole(caller, {
          roleArn: query.RoleArn,
          sessionName: query.RoleSessionName,
          durationS: query.DurationSeconds,
          policy: query.Policy,
          context: { ...keysOf(query), ...globalKeys },
        })
        return {
          AssumedRoleUser: { Arn: credentials.arn, AssumedRoleId: credentials.assumedRoleId },
          Credentials: {
            AccessKeyId: credentials.accessKeyId,
            AccessKeySecret: credentials.accessKeySecret,
            SecurityToken: credentials.securityToken,
            Expiration: wireTime(credentials.expiresMs),
          },
          ...(query.SourceIdentity !== undefined && { SourceIdentity: query.SourceIdentity }),
        }
      },
    }),
    route({ action: 'GetCallerIdentity', handle: async ({ caller }) => describe(caller) }),
  ]
}

function describe({ accountId, kind, id, arn }: Caller) {
  const who = { AccountId: accountId, Arn: arn, IdentityType: kind, PrincipalId: id }
  if (kind === 'AssumedRoleUser') return { ...who, RoleId: id.slice(0, id.indexOf(':')) }
  return { ...who, UserId: id }
}
