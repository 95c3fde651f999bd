import { encodeArn, userArn } from '#access/arn.ts'
import { evaluate } from '#access/evaluate.ts'
import type { Clock } from '#base/clock.ts'
import { canSee } from '#service/instances/find.ts'
import type { Identities } from '#service/identities/identities.ts'
import type { Store } from '#store/open-store.ts'
import type { PushQuestion } from './parts.ts'

export interface PermissionParts {
  readonly store: Pick<Store, 'users'>
  readonly identities: Pick<Identities, 'accountId' | 'policiesOf'>
  readonly region: string
  readonly clock: Clock
}

/**
 * Whether the owner of a schedule may still see the instance and save there: the account always, a user as the policies
 * say now, and nobody who is not there any more. What only a request has, such as an address, is absent: policies that ask for it say no.
 */
export async function mayPush(
  { userId, instance, repository }: PushQuestion,
  parts: PermissionParts,
): Promise<boolean> {
  const { store, identities, region, clock } = parts
  const { accountId } = identities
  if (userId === accountId) return true
  const user = await store.users.find(userId)
  if (user === undefined) return false
  const { name } = user
  const arn = userArn(accountId, name)
  const who = {
    accountId,
    kind: 'RAMUser',
    id: userId,
    ownerId: userId,
    name,
    arn,
    accessKeyId: '',
    displayName: name,
  } as const
  const policies = await identities.policiesOf(who)
  const context = { 'acs:PrincipalARN': arn, 'acs:CurrentTime': new Date(clock.wallMs()).toISOString() }
  const may = (action: string, path: string, more: Readonly<Record<string, string>> = {}) => {
    const relativeId = `workspace/${instance.workspaceId}/dswinstance/${path}`
    const resource = encodeArn({ service: 'paidsw', region, accountId, relativeId })
    return evaluate(policies, { action, resource, context: { ...context, ...more } }).decision === 'Allow'
  }
  // Its owner may have made it private since.
  if (!canSee(instance, { userId, seesAll: may('paidsw:ListAllInstances', '*') })) return false
  const pushed = { 'tintype:Repository': repository }
  return may('paidsw:CreateInstanceSnapshot', `${instance.instanceId}/snapshot/*`, pushed)
}
