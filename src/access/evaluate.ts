/** Whether policies allow a request: a Deny wins, then an Allow is needed, and what nobody speaks of is denied. */
import { accountArn, parseArn, roleArn } from './arn.ts'
import type { Arn } from './arn.ts'
import type { Caller } from './caller.ts'
import { contextOf } from './policy-conditions.ts'
import type { Condition, Context, ContextValues } from './policy-conditions.ts'
import type { Effect, Policy, Statement, TrustPolicy } from './policy.ts'

/** As AccessDeniedDetail names them. */
export type PolicyType = 'AccountLevelIdentityBasedPolicy' | 'SessionPolicy' | 'AssumeRolePolicy'

/** Policies that are pooled: all of an identity (its own and its groups'), or the one of a session. */
export interface PolicySet {
  readonly type: PolicyType
  readonly policies: readonly Policy[]
}

export interface AccessRequest {
  /** `SERVICE:NAME`, in any case. */
  readonly action: string
  /** Other names of the same right (`paidsw:UpdatePostPaidInstance` for UpdateInstance): a policy may use any of them. */
  readonly aliases?: readonly string[]
  /** An ARN, or `*` where the action is about no resource: then only policies for `*` speak of it. */
  readonly resource: string
  readonly context: ContextValues
}

export interface Decision {
  readonly decision: 'Allow' | 'ExplicitDeny' | 'ImplicitDeny'
  /** Of the policies that did not allow it. */
  readonly policyType?: PolicyType
}

/** A request with all the names under which a policy may speak of it. */
interface Question {
  /** In lower case. */
  readonly actions: readonly string[]
  readonly resources: readonly (Arn | '*')[]
  readonly context: Context
}

/**
 * Decide a request. Each set must allow it by itself, so that a session's policy only takes away; a Deny in any of them
 * is final. Without any set nothing is allowed. Policies do not bind the account itself: do not ask for it.
 * Throws `arn_invalid` for a resource that is none.
 */
export function evaluate(policies: readonly PolicySet[], request: AccessRequest): Decision {
  const question: Question = {
    actions: [request.action, ...(request.aliases ?? [])].map((name) => name.toLowerCase()),
    resources: formsOf(request.resource),
    context: contextOf(request.context),
  }
  const outcomes = policies.map(({ type, policies: pooled }) => {
    const speaking = pooled.flatMap(({ statements }) => statements.filter((one) => speaksOf(one, question)))
    return { type, decision: outcomeOf(speaking.map(({ effect }) => effect)) }
  })
  for (const decision of ['ExplicitDeny', 'ImplicitDeny'] as const) {
    const found = outcomes.find((outcome) => outcome.decision === decision)
    if (found) return { decision, policyType: found.type }
  }
  if (outcomes.length === 0) return { decision: 'ImplicitDeny', policyType: 'AccountLevelIdentityBasedPolicy' }
  return { decision: 'Allow' }
}

/** Resources stand in a workspace; the permission tables of the hosted service also name them without it. */
function formsOf(resource: string): readonly (Arn | '*')[] {
  if (resource === '*') return ['*']
  const arn = parseArn(resource)
  if (arn.service === 'paiimage') return [arn, { ...arn, service: 'pai' }] // older pages, as for the actions' names
  const inWorkspace = /^workspace\/[^/]+\/(.+)$/s.exec(arn.relativeId)?.[1]
  return inWorkspace === undefined ? [arn] : [arn, { ...arn, relativeId: inWorkspace }]
}

function speaksOf(statement: Statement, { actions, resources, context }: Question): boolean {
  // With NotAction no name of the action may be excepted: the exception is what was meant.
  const covers = actions.some(statement.coversAction) !== statement.isNotAction
  return covers && resources.some(statement.coversResource) && hold(statement.conditions, context)
}

function hold(conditions: readonly Condition[], context: Context): boolean {
  return conditions.every((holds) => holds(context))
}

function outcomeOf(effects: readonly Effect[]): Decision['decision'] {
  if (effects.includes('Deny')) return 'ExplicitDeny'
  return effects.includes('Allow') ? 'Allow' : 'ImplicitDeny'
}

/**
 * Whether a role's trust policy lets `caller` do `action` (`sts:AssumeRole`). The caller's own policies must allow it
 * too, unless it is the account itself.
 */
export function evaluateTrust(
  trust: TrustPolicy,
  caller: Pick<Caller, 'accountId' | 'arn'>,
  { action, context }: Pick<AccessRequest, 'action' | 'context'>,
): Decision {
  const name = action.toLowerCase()
  const known = contextOf(context)
  const names = principalsOf(caller)
  const speaking = trust.statements.filter(
    ({ principals, coversAction, conditions }) =>
      principals.some((principal) => names.includes(principal)) && coversAction(name) && hold(conditions, known),
  )
  const decision = outcomeOf(speaking.map(({ effect }) => effect))
  return decision === 'Allow' ? { decision } : { decision, policyType: 'AssumeRolePolicy' }
}

/** The names under which a trust policy may mean a caller: its account, itself, and the role that it plays. */
function principalsOf({ accountId, arn }: Pick<Caller, 'accountId' | 'arn'>): readonly string[] {
  const role = /^assumed-role\/([^/]+)\//.exec(parseArn(arn).relativeId)?.[1]
  return [accountArn(accountId), role === undefined ? arn : roleArn(accountId, role)]
}
