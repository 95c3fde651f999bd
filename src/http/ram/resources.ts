import { encodeArn } from '#access/arn.ts'
import type { Caller } from '#access/caller.ts'
import type { Operation, RamAction } from '#contract/operation.ts'
import type { PolicyType } from '#service/identities/policies.ts'

type Owner = Pick<Caller, 'accountId'>
interface PolicyQuery {
  readonly PolicyName: string
  readonly PolicyType?: PolicyType
}

// Identities are of no region: policies write it empty or as `*`, and both match an empty one.
const ramArn = (accountId: string, relativeId: string) =>
  encodeArn({ service: 'ram', region: '', accountId, relativeId })

/** What RAM decides on when a call is about one user. */
export const userResource = ({ accountId }: Owner, name: string): string => ramArn(accountId, `user/${name}`)

/** The same of a role. */
export const roleResource = ({ accountId }: Owner, name: string): string => ramArn(accountId, `role/${name}`)

/** The same of a policy. Those of the system belong to no account. */
export const policyResource = ({ accountId }: Owner, { PolicyName: name, PolicyType: type }: PolicyQuery): string =>
  ramArn(type === 'System' ? 'system' : accountId, `policy/${name}`)

/** The user whose keys a call is about: the named one, else the caller. */
export function keyOwnerResource(caller: Caller, userName: string | undefined): string {
  const name = userName ?? (caller.kind === 'RAMUser' ? caller.name : undefined)
  return name === undefined ? ramArn(caller.accountId, '*') : userResource(caller, name)
}

/** What is needed of a call that attaches or detaches. */
interface AttachCall {
  readonly caller: Caller
  readonly query: PolicyQuery
  readonly operation: Pick<Operation, 'ram'>
  check(right: RamAction, resource: string): void
}

/**
 * Whoever attaches or detaches must be allowed to do it with the principal, which was asked, and with the policy too.
 * Throws `not_permitted`.
 */
export function checkPolicy({ caller, query, operation, check }: AttachCall): void {
  check(operation.ram, policyResource(caller, query))
}
