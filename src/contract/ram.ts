import { policyOperations } from './ram-policies.ts'
import { roleOperations } from './ram-roles.ts'
import { keyId, marker, maxItems, ram, truncated, userName } from './ram-shapes.ts'
import { fields, listed, oneOf, said, text } from './schema.ts'

const named = () => ({ UserName: userName() })
const user = () => ({
  Comments: said(),
  CreateDate: said(),
  DisplayName: said(),
  Email: said(),
  MobilePhone: said(),
  UserId: said(),
  UserName: said(),
})
const note = () => text({ max: 128 })
const address = () => text({ max: 256 })
const keyStatus = () => oneOf('Active', 'Inactive')

/** Users and their access keys. Without UserName, the key operations mean the caller's own keys. */
const userOperations = {
  CreateUser: ram('CreateUser', {
    summary: 'Makes a user.',
    query: fields({ Comments: note(), DisplayName: note(), Email: address(), MobilePhone: address() }, named()),
    response: fields({ User: fields(user()) }),
  }),
  GetUser: ram('GetUser', {
    summary: 'One user.',
    query: fields({}, named()),
    response: fields({ User: fields({ ...user(), LastLoginDate: said(), UpdateDate: said() }) }),
  }),
  UpdateUser: ram('UpdateUser', {
    summary: 'Changes a user.',
    query: fields(
      {
        NewComments: note(),
        NewDisplayName: note(),
        NewEmail: address(),
        NewMobilePhone: address(),
        NewUserName: userName(),
      },
      named(),
    ),
    response: fields({ User: fields({ ...user(), UpdateDate: said() }) }),
  }),
  ListUsers: ram('ListUsers', {
    summary: 'The users of the account.',
    query: fields(marker(), maxItems()),
    response: fields({ ...truncated(), Users: fields({ User: listed(fields({ ...user(), UpdateDate: said() })) }) }),
  }),
  DeleteUser: ram('DeleteUser', {
    summary: 'Deletes a user that has no keys and no policies.',
    query: fields({}, named()),
  }),
  CreateAccessKey: ram('CreateAccessKey', {
    summary: 'Makes an access key. Its secret is in this answer only.',
    query: fields(named()),
    response: fields({
      AccessKey: fields({ AccessKeyId: said(), AccessKeySecret: said(), CreateDate: said(), Status: keyStatus() }),
    }),
  }),
  UpdateAccessKey: ram('UpdateAccessKey', {
    summary: 'Activates or deactivates an access key.',
    query: fields(named(), { Status: keyStatus(), UserAccessKeyId: keyId() }),
  }),
  ListAccessKeys: ram('ListAccessKeys', {
    summary: 'The access keys of a user, without their secrets.',
    query: fields(named()),
    response: fields({
      AccessKeys: fields({
        AccessKey: listed(fields({ AccessKeyId: said(), CreateDate: said(), Status: keyStatus() })),
      }),
    }),
  }),
  DeleteAccessKey: ram('DeleteAccessKey', {
    summary: 'Deletes an access key.',
    query: fields(named(), { UserAccessKeyId: keyId() }),
  }),
} as const

/** Who may do what: users, keys, policies, roles. */
export const ramOperations = { ...userOperations, ...policyOperations, ...roleOperations } as const
