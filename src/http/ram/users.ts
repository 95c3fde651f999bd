import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import type { KeyFacts } from '#service/identities/access-keys.ts'
import type { Identities } from '#service/identities/identities.ts'
import type { UserRow } from '#store/schema-identities.ts'
import { keyOwnerResource, userResource } from './resources.ts'
import { readMarker, writeMarker } from './wire.ts'

const writeUser = (user: UserRow) => ({
  UserId: user.userId,
  UserName: user.name,
  DisplayName: user.displayName,
  Comments: user.comments,
  Email: user.email,
  MobilePhone: user.mobilePhone,
  CreateDate: wireTime(user.createdMs),
})
const writeUpdated = (user: UserRow) => ({ ...writeUser(user), UpdateDate: wireTime(user.updatedMs) })
const writeKey = ({ id, status, createdMs }: KeyFacts) => ({
  AccessKeyId: id,
  Status: status,
  CreateDate: wireTime(createdMs),
})

/** RAM 2015-05-01: users. */
export function userRoutes({ users }: Identities): readonly AnyRoute[] {
  return [
    route({
      action: 'CreateUser',
      resource: ({ caller, query }) => userResource(caller, query.UserName),
      async handle({ query }) {
        const { UserName: name, DisplayName: displayName, Comments: comments, Email: email } = query
        const user = await users.create({ name, displayName, comments, email, mobilePhone: query.MobilePhone })
        return { User: writeUser(user) }
      },
    }),
    route({
      action: 'GetUser',
      resource: ({ caller, query }) => userResource(caller, query.UserName),
      // No one logs on here by a password: the time of the last one is as empty as for a user who never did.
      handle: async ({ query }) => ({ User: { ...writeUpdated(await users.get(query.UserName)), LastLoginDate: '' } }),
    }),
    route({
      action: 'UpdateUser',
      resource: ({ caller, query }) => userResource(caller, query.UserName),
      async handle({ caller, query, operation, check }) {
        const { NewUserName: next } = query // a name is what policies know a user by: both must be the caller's to give
        if (next !== undefined) check(operation.ram, userResource(caller, next))
        const user = await users.update(query.UserName, {
          ...(next !== undefined && { name: next }),
          displayName: query.NewDisplayName,
          comments: query.NewComments,
          email: query.NewEmail,
          mobilePhone: query.NewMobilePhone,
        })
        return { User: writeUpdated(user) }
      },
    }),
    route({
      action: 'ListUsers',
      resource: ({ caller }) => userResource(caller, '*'),
      async handle({ query }) {
        const page = await users.list(readMarker(query))
        return { ...writeMarker(page), Users: { User: page.items.map(writeUpdated) } }
      },
    }),
    route({
      action: 'DeleteUser',
      resource: ({ caller, query }) => userResource(caller, query.UserName),
      async handle({ query }) {
        await users.remove(query.UserName)
        return {}
      },
    }),
  ]
}

/** RAM 2015-05-01: access keys. */
export function accessKeyRoutes({ accessKeys }: Identities): readonly AnyRoute[] {
  return [
    route({
      action: 'CreateAccessKey',
      resource: ({ caller, query }) => keyOwnerResource(caller, query.UserName),
      async handle({ caller, query }) {
        const key = await accessKeys.create({ caller, userName: query.UserName })
        return { AccessKey: { ...writeKey(key), AccessKeySecret: key.secret } }
      },
    }),
    route({
      action: 'UpdateAccessKey',
      resource: ({ caller, query }) => keyOwnerResource(caller, query.UserName),
      async handle({ caller, query }) {
        await accessKeys.setStatus({ caller, userName: query.UserName }, query.UserAccessKeyId, query.Status)
        return {}
      },
    }),
    route({
      action: 'ListAccessKeys',
      resource: ({ caller, query }) => keyOwnerResource(caller, query.UserName),
      async handle({ caller, query }) {
        const keys = await accessKeys.list({ caller, userName: query.UserName })
        return { AccessKeys: { AccessKey: keys.map(writeKey) } }
      },
    }),
    route({
      action: 'DeleteAccessKey',
      resource: ({ caller, query }) => keyOwnerResource(caller, query.UserName),
      async handle({ caller, query }) {
        await accessKeys.remove({ caller, userName: query.UserName }, query.UserAccessKeyId)
        return {}
      },
    }),
  ]
}
