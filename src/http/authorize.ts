import type { Caller } from '#access/caller.ts'
import { accessDeniedDetail } from '#access/denied.ts'
import { evaluate } from '#access/evaluate.ts'
import type { AccessRequest, Decision, PolicySet } from '#access/evaluate.ts'
import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { RamAction } from '#contract/operation.ts'
import type { ConditionContext } from './route.ts'

export interface AuthorizerParts {
  /** All policies that bind a caller: of its identity, and of its session. Not asked for the account itself. */
  readonly policiesOf: (caller: Caller) => Promise<readonly PolicySet[]>
  /** Bytes that only this server can read: for EncodedDiagnosticMessage. */
  readonly seal: (text: string) => Uint8Array
  readonly region: string
  readonly clock: Clock
}

/** What is known of a request before anything in it is read. */
export interface Origin {
  readonly sourceIp: string
  readonly isTls: boolean
}

export interface Question extends RamAction {
  readonly resource: string
  readonly context?: ConditionContext | undefined
}

/** One caller with one request: what it may do. */
export interface Asker {
  /** Throws `not_permitted` when no policy allows the action on anything: then not even a mistake in the request is told. */
  checkAny(action: RamAction): void
  /** Throws `not_permitted`, with the fields of AccessDeniedDetail in its details. */
  check(question: Question): void
  may(question: Question): boolean
  /** Everything that an action can be about: what RAM decides on where there is no single resource. */
  everything(action: string): string
  /** The condition keys that every request of the caller has (dsw-api §4). */
  readonly globalKeys: ConditionContext
}

/** Decides by RAM policies what a caller may do. The account itself is not bound by any. */
export class Authorizer {
  readonly #parts: AuthorizerParts

  constructor(parts: AuthorizerParts) {
    this.#parts = parts
  }

  async of(caller: Caller, origin: Origin): Promise<Asker> {
    const everything = (action: string) =>
      `acs:${action.slice(0, action.indexOf(':'))}:${this.#parts.region}:${caller.accountId}:*`
    const globalKeys = this.#globalKeys(caller, origin)
    if (caller.kind === 'Account') return { ...UNBOUND, everything, globalKeys }
    const policies = await this.#parts.policiesOf(caller)
    const ask = (question: Question) => {
      const request = { ...question, context: { ...question.context, ...globalKeys } }
      return { request, decision: decide(policies, request) }
    }
    const denied = (request: AccessRequest, decision: Decision) => this.#denied(caller, request, decision)
    return {
      everything,
      globalKeys,
      may: (question) => ask(question).decision.decision === 'Allow',
      check(question) {
        const { request, decision } = ask(question)
        if (decision.decision !== 'Allow') throw denied(request, decision)
      },
      checkAny(ram) {
        if (ram.defaultAllow === true || isSpokenOf(policies, ram)) return
        const request = { action: ram.action, resource: everything(ram.action), context: globalKeys }
        throw denied(request, { decision: 'ImplicitDeny', policyType: silentType(policies, ram) })
      },
    }
  }

  /** There is no MFA for access keys, so its key is absent. */
  #globalKeys({ arn }: Caller, { sourceIp, isTls }: Origin): ConditionContext {
    return {
      'acs:CurrentTime': [new Date(this.#parts.clock.wallMs()).toISOString()],
      'acs:SourceIp': [sourceIp],
      'acs:SecureTransport': [String(isTls)],
      'acs:PrincipalARN': [arn],
    }
  }

  #denied(caller: Caller, request: AccessRequest, decision: Decision): AppError {
    const detail = accessDeniedDetail(caller, request, decision, { seal: this.#parts.seal })
    const why =
      decision.decision === 'ExplicitDeny' ? 'a policy denies it' : 'no policy allows it: ask for one that does'
    return new AppError(
      'not_permitted',
      `No permission ${request.action} for resource: ${request.resource} (${why}).`,
      {
        details: { ...detail },
      },
    )
  }
}

const UNBOUND = { checkAny: () => {}, check: () => {}, may: () => true } as const

function decide(policies: readonly PolicySet[], question: AccessRequest & Pick<RamAction, 'defaultAllow'>): Decision {
  const decision = evaluate(policies, question)
  return question.defaultAllow === true && decision.decision === 'ImplicitDeny' ? { decision: 'Allow' } : decision
}

const namesOf = ({ action, aliases = [] }: RamAction) => [action, ...aliases].map((name) => name.toLowerCase())

/** Whether each set has an Allow for the action on something, under some condition. */
function isSpokenOf(sets: readonly PolicySet[], ram: RamAction): boolean {
  return sets.length > 0 && sets.every((set) => allowsSomething(set, ram))
}

function allowsSomething({ policies }: PolicySet, ram: RamAction): boolean {
  const names = namesOf(ram)
  return policies.some(({ statements }) =>
    statements.some(
      ({ effect, coversAction, isNotAction }) => effect === 'Allow' && names.some(coversAction) !== isNotAction,
    ),
  )
}

function silentType(sets: readonly PolicySet[], ram: RamAction): PolicySet['type'] {
  return sets.find((set) => !allowsSomething(set, ram))?.type ?? 'AccountLevelIdentityBasedPolicy'
}
