import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import type { Identities } from '#service/identities/identities.ts'
import type { PolicyFacts, VersionFacts } from '#service/identities/policies.ts'
import { policyResource } from './resources.ts'
import { readMarker, writeMarker } from './wire.ts'

const writePolicy = (policy: PolicyFacts) => ({
  PolicyName: policy.name,
  PolicyType: policy.type,
  Description: policy.description,
  DefaultVersion: policy.defaultVersion,
  CreateDate: wireTime(policy.createdMs),
})
const writeListed = (policy: PolicyFacts) => ({
  ...writePolicy(policy),
  UpdateDate: wireTime(policy.updatedMs),
  AttachmentCount: policy.attachmentCount,
})
const writeVersion = ({ versionId, document, createdMs, isDefault }: VersionFacts) => ({
  VersionId: versionId,
  PolicyDocument: document,
  CreateDate: wireTime(createdMs),
  IsDefaultVersion: isDefault,
})

/** RAM 2015-05-01: policies. */
export function policyRoutes({ policies }: Identities): readonly AnyRoute[] {
  return [
    route({
      action: 'CreatePolicy',
      resource: ({ caller, query }) => policyResource(caller, { PolicyName: query.PolicyName }),
      async handle({ query }) {
        const { PolicyName: name, PolicyDocument: document, Description: description } = query
        return { Policy: writePolicy(await policies.create({ name, document, description })) }
      },
    }),
    route({
      action: 'GetPolicy',
      resource: ({ caller, query }) => policyResource(caller, query),
      async handle({ query }) {
        const { policy, version } = await policies.get({ name: query.PolicyName, type: query.PolicyType })
        return {
          Policy: { ...writeListed(policy), PolicyDocument: version.document },
          DefaultPolicyVersion: writeVersion(version),
        }
      },
    }),
    route({
      action: 'ListPolicies',
      resource: ({ caller }) => policyResource(caller, { PolicyName: '*' }),
      async handle({ query }) {
        const page = await policies.list({ ...readMarker(query), type: query.PolicyType })
        const Policy = page.items.map((policy) => ({ ...writeListed(policy), Tags: { Tag: [] } }))
        return { ...writeMarker(page), Policies: { Policy } }
      },
    }),
    route({
      action: 'DeletePolicy',
      resource: ({ caller, query }) => policyResource(caller, { PolicyName: query.PolicyName }),
      async handle({ query }) {
        await policies.remove(query.PolicyName, { versionsToo: query.CascadingDelete === true })
        return {}
      },
    }),
  ]
}

/** RAM 2015-05-01: versions of policies. */
export function policyVersionRoutes({ policies }: Identities): readonly AnyRoute[] {
  return [
    route({
      action: 'CreatePolicyVersion',
      resource: ({ caller, query }) => policyResource(caller, { PolicyName: query.PolicyName }),
      async handle({ query }) {
        const version = await policies.createVersion({
          name: query.PolicyName,
          document: query.PolicyDocument,
          isDefault: query.SetAsDefault === true,
          rotate: query.RotateStrategy === 'DeleteOldestNonDefaultVersionWhenLimitExceeded',
        })
        return { PolicyVersion: writeVersion(version) }
      },
    }),
    route({
      action: 'ListPolicyVersions',
      resource: ({ caller, query }) => policyResource(caller, query),
      async handle({ query }) {
        const versions = await policies.listVersions({ name: query.PolicyName, type: query.PolicyType })
        return { PolicyVersions: { PolicyVersion: versions.map(writeVersion) } }
      },
    }),
    route({
      action: 'GetPolicyVersion',
      resource: ({ caller, query }) => policyResource(caller, query),
      async handle({ query }) {
        const policy = { name: query.PolicyName, type: query.PolicyType }
        return { PolicyVersion: writeVersion(await policies.getVersion(policy, query.VersionId)) }
      },
    }),
    route({
      action: 'SetDefaultPolicyVersion',
      resource: ({ caller, query }) => policyResource(caller, { PolicyName: query.PolicyName }),
      async handle({ query }) {
        await policies.setDefaultVersion(query.PolicyName, query.VersionId)
        return {}
      },
    }),
    route({
      action: 'DeletePolicyVersion',
      resource: ({ caller, query }) => policyResource(caller, { PolicyName: query.PolicyName }),
      async handle({ query }) {
        await policies.removeVersion(query.PolicyName, query.VersionId)
        return {}
      },
    }),
  ]
}
