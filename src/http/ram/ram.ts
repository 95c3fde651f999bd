import type { AnyRoute } from '#http/route.ts'
import type { Identities } from '#service/identities/identities.ts'
import { attachmentRoutes } from './attachments.ts'
import { policyRoutes, policyVersionRoutes } from './policies.ts'
import { roleRoutes } from './roles.ts'
import { accessKeyRoutes, userRoutes } from './users.ts'

/** The operations of RAM, version 2015-05-01. */
export function ramRoutes(identities: Identities): readonly AnyRoute[] {
  return [
    ...userRoutes(identities),
    ...accessKeyRoutes(identities),
    ...policyRoutes(identities),
    ...policyVersionRoutes(identities),
    ...attachmentRoutes(identities),
    ...roleRoutes(identities),
  ]
}
