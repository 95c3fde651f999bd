import {
  answeredTags,
  marker,
  maxItems,
  policyDocument,
  policyName,
  policyType,
  ram,
  roleName,
  tags,
  truncated,
  userName,
  versionId,
} from './ram-shapes.ts'
import { fields, flag, int32, listed, oneOf, said, text } from './schema.ts'
import { id } from './shapes.ts'

const named = () => ({ PolicyName: policyName() })
const namedAndTyped = () => fields({}, { PolicyName: policyName(), PolicyType: policyType() })
const policy = () => ({
  CreateDate: said(),
  DefaultVersion: said(),
  Description: said(),
  PolicyName: said(),
  PolicyType: said(),
})
const version = () =>
  fields({ CreateDate: said(), IsDefaultVersion: flag(), PolicyDocument: said(), VersionId: said() })
const attachedPolicies = () =>
  fields({
    Policies: fields({
      Policy: listed(
        fields({
          AttachDate: said(),
          DefaultVersion: said(),
          Description: said(),
          PolicyName: said(),
          PolicyType: said(),
        }),
      ),
    }),
  })
const toUser = () =>
  fields({ ResourceGroupId: id() }, { PolicyName: policyName(), PolicyType: policyType(), UserName: userName() })
const toRole = () =>
  fields({ ResourceGroupId: id() }, { PolicyName: policyName(), PolicyType: policyType(), RoleName: roleName() })

/** Policies, their versions, and whom they are attached to. */
export const policyOperations = {
  CreatePolicy: ram('CreatePolicy', {
    summary: 'Makes a policy.',
    query: fields(
      { Description: text({ max: 1024 }), Tag: tags() },
      { PolicyName: policyName(), PolicyDocument: policyDocument() },
    ),
    jsonQuery: ['Tag'],
    response: fields({ Policy: fields(policy()) }),
  }),
  GetPolicy: ram('GetPolicy', {
    summary: 'One policy and its default version.',
    query: namedAndTyped(),
    response: fields({
      DefaultPolicyVersion: version(),
      Policy: fields({ ...policy(), AttachmentCount: int32(), PolicyDocument: said(), UpdateDate: said() }),
    }),
  }),
  ListPolicies: ram('ListPolicies', {
    summary: 'The policies of the account.',
    query: fields({ ...marker(), PolicyType: policyType(), Tag: tags() }, maxItems()),
    jsonQuery: ['Tag'],
    response: fields({
      ...truncated(),
      Policies: fields({
        Policy: listed(fields({ ...policy(), AttachmentCount: int32(), Tags: answeredTags(), UpdateDate: said() })),
      }),
    }),
  }),
  DeletePolicy: ram('DeletePolicy', {
    summary: 'Deletes a policy that is attached to nobody.',
    query: fields({ CascadingDelete: flag() }, named()),
  }),
  CreatePolicyVersion: ram('CreatePolicyVersion', {
    summary: 'Gives a policy a new version; it has five at most.',
    query: fields(
      { RotateStrategy: oneOf('None', 'DeleteOldestNonDefaultVersionWhenLimitExceeded'), SetAsDefault: flag() },
      { ...named(), PolicyDocument: policyDocument() },
    ),
    response: fields({ PolicyVersion: version() }),
  }),
  ListPolicyVersions: ram('ListPolicyVersions', {
    summary: 'The versions of a policy.',
    query: namedAndTyped(),
    response: fields({ PolicyVersions: fields({ PolicyVersion: listed(version()) }) }),
  }),
  GetPolicyVersion: ram('GetPolicyVersion', {
    summary: 'One version of a policy.',
    query: fields({}, { ...named(), PolicyType: policyType(), VersionId: versionId() }),
    response: fields({ PolicyVersion: version() }),
  }),
  SetDefaultPolicyVersion: ram('SetDefaultPolicyVersion', {
    summary: 'Makes a version of a policy the one that counts.',
    query: fields({}, { ...named(), VersionId: versionId() }),
  }),
  DeletePolicyVersion: ram('DeletePolicyVersion', {
    summary: 'Deletes a version of a policy that is not its default.',
    query: fields({}, { ...named(), VersionId: versionId() }),
  }),
  AttachPolicyToUser: ram('AttachPolicyToUser', { summary: 'Gives a user the rights of a policy.', query: toUser() }),
  DetachPolicyFromUser: ram('DetachPolicyFromUser', {
    summary: 'Takes the rights of a policy from a user.',
    query: toUser(),
  }),
  ListPoliciesForUser: ram('ListPoliciesForUser', {
    summary: 'The policies of a user.',
    query: fields({}, { UserName: userName() }),
    response: attachedPolicies(),
  }),
  AttachPolicyToRole: ram('AttachPolicyToRole', { summary: 'Gives a role the rights of a policy.', query: toRole() }),
  DetachPolicyFromRole: ram('DetachPolicyFromRole', {
    summary: 'Takes the rights of a policy from a role.',
    query: toRole(),
  }),
  ListPoliciesForRole: ram('ListPoliciesForRole', {
    summary: 'The policies of a role.',
    query: fields({}, { RoleName: roleName() }),
    response: attachedPolicies(),
  }),
  ListEntitiesForPolicy: ram('ListEntitiesForPolicy', {
    summary: 'The users and roles that a policy is attached to.',
    query: namedAndTyped(),
    response: fields({
      Groups: fields({ Group: listed(fields({ AttachDate: said(), Comments: said(), GroupName: said() })) }),
      Roles: fields({
        Role: listed(
          fields({ Arn: said(), AttachDate: said(), Description: said(), RoleId: said(), RoleName: said() }),
        ),
      }),
      Users: fields({
        User: listed(fields({ AttachDate: said(), DisplayName: said(), UserId: said(), UserName: said() })),
      }),
    }),
  }),
} as const
