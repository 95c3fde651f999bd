import {
  answeredTags,
  marker,
  maxItems,
  policyDocument,
  ram,
  roleName,
  sessionDuration,
  tags,
  truncated,
} from './ram-shapes.ts'
import { fields, flag, int64, listed, said, text } from './schema.ts'

const named = () => ({ RoleName: roleName() })
const listedRole = () => ({
  AllowConsoleLogin: flag(),
  Arn: said(),
  CreateDate: said(),
  Description: said(),
  MaxSessionDuration: int64(),
  RoleId: said(),
  RoleName: said(),
})
const role = () => ({ ...listedRole(), AssumeRolePolicyDocument: said() })

/** Roles: identities without keys, which users take on for a time. */
export const roleOperations = {
  CreateRole: ram('CreateRole', {
    summary: 'Makes a role. Its trust policy says who may assume it.',
    query: fields(
      {
        AllowConsoleLogin: flag(),
        Description: text({ max: 1024 }),
        MaxSessionDuration: sessionDuration(),
        Tag: tags(),
      },
      { AssumeRolePolicyDocument: policyDocument(), RoleName: roleName() },
    ),
    jsonQuery: ['Tag'],
    response: fields({ Role: fields(role()) }),
  }),
  GetRole: ram('GetRole', {
    summary: 'One role.',
    query: fields({}, named()),
    response: fields({
      Role: fields({
        ...role(),
        IsServiceLinkedRole: flag(),
        LatestDeletionTask: fields({ CreateDate: said(), DeletionTaskId: said() }),
        RolePrincipalName: said(),
        UpdateDate: said(),
      }),
    }),
  }),
  UpdateRole: ram('UpdateRole', {
    summary: 'Changes a role.',
    query: fields(
      {
        NewAllowConsoleLogin: flag(),
        NewAssumeRolePolicyDocument: policyDocument(),
        NewDescription: text({ max: 1024 }),
        NewMaxSessionDuration: sessionDuration(),
      },
      named(),
    ),
    response: fields({ Role: fields({ ...role(), UpdateDate: said() }) }),
  }),
  ListRoles: ram('ListRoles', {
    summary: 'The roles of the account.',
    query: fields({ ...marker(), Tag: tags() }, maxItems()),
    jsonQuery: ['Tag'],
    response: fields({
      ...truncated(),
      Roles: fields({ Role: listed(fields({ ...listedRole(), Tags: answeredTags(), UpdateDate: said() })) }),
    }),
  }),
  DeleteRole: ram('DeleteRole', { summary: 'Deletes a role that has no policies.', query: fields({}, named()) }),
} as const
