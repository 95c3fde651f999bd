import type { Caller } from '#access/caller.ts'
import { decodeQuery, headerOf } from '#access/request.ts'
import { AppError } from '#base/errors.ts'
import { OPERATIONS } from '#contract/operations.ts'
import type { Action, ResponseOf } from '#contract/operations.ts'
import type { Audit, Audited } from './audit.ts'
import { authenticate } from './authenticate.ts'
import type { AuthenticationParts } from './authenticate.ts'
import type { Authorizer } from './authorize.ts'
import type { Departure } from './departure.ts'
import { toErrorAnswer } from './errors.ts'
import { readCall } from './read-call.ts'
import type { AnyOperation } from './read-call.ts'
import { rpcParameters } from './received.ts'
import type { Received } from './received.ts'
import type { AnyRoute, Call, ServerSentEvent } from './route.ts'
import { openRouter } from './router.ts'
import type { Found, Router } from './router.ts'
import type { Throttle } from './throttle.ts'

export interface PipelineParts extends AuthenticationParts {
  readonly routes: readonly AnyRoute[]
  readonly authorizer: Authorizer
  readonly throttle: Throttle
  readonly audit: Audit
}

/** A request on its way through; `operation` is there once it was found, for the log and the metrics. */
export interface Journey {
  readonly received: Received
  readonly requestId: string
  readonly isTls: boolean
  readonly departure: Departure
  operation?: AnyOperation
  caller?: Caller
}

export type Outcome =
  | { readonly kind: 'data'; readonly operation: AnyOperation; readonly data: ResponseOf<Action> }
  | { readonly kind: 'events'; readonly events: AsyncIterable<ServerSentEvent> }

/**
 * What every request of the contract goes through, in this order:
 *
 *     route → signature or session → nonce → throttle → (denied in any case?) → validation → RAM decision → handle → audit
 */
export class Pipeline {
  readonly #parts: PipelineParts
  readonly #router: Router<AnyOperation>
  readonly #routes: ReadonlyMap<string, AnyRoute>

  constructor(parts: PipelineParts) {
    this.#parts = parts
    this.#routes = new Map(parts.routes.map((route) => [route.action, route]))
    this.#router = openRouter(parts.routes.map(({ action }) => OPERATIONS[action]))
  }

  /** The answer to one request, without its envelope. Throws what went wrong. */
  async run(journey: Journey): Promise<Outcome> {
    const found = this.#find(journey.received)
    const { operation } = found
    journey.operation = operation
    const { caller } = await authenticate(journey.received, operation, this.#parts)
    journey.caller = caller
    this.#parts.throttle.take(caller.accountId, operation.action)
    const audited: Audited & { resource: string } = {
      requestId: journey.requestId,
      sourceIp: journey.received.sourceIp,
      caller,
      action: operation.ram.action,
      resource: '',
      isChange: operation.isChange,
    }
    try {
      const outcome = await this.#answer(found, caller, journey, audited)
      await this.#parts.audit.done(audited)
      return outcome
    } catch (error) {
      const { code } = toErrorAnswer(error, { requestId: journey.requestId, host: '', operation })
      await this.#parts.audit.failed(audited, error, code)
      throw error
    }
  }

  #find(received: Received): Found<AnyOperation> {
    const { method, rawPath: path, headers } = received
    const action = headerOf(headers, 'x-acs-action')
    const version = headerOf(headers, 'x-acs-version')
    if (path !== '/' || action !== undefined) return this.#router.find({ method, path, action, version })
    const named = new Map(decodeQuery(rpcParameters(received)))
    return this.#router.find({ method, path, action: named.get('Action'), version: version ?? named.get('Version') })
  }

  async #answer(
    found: Found<AnyOperation>,
    caller: Caller,
    journey: Journey,
    audited: { resource: string },
  ): Promise<Outcome> {
    const { operation } = found
    const route = this.#routes.get(operation.action)
    if (route === undefined) throw new AppError('internal', `${operation.action} has no route.`)
    const { received, requestId, isTls } = journey
    const asker = await this.#parts.authorizer.of(caller, { sourceIp: received.sourceIp, isTls })
    asker.checkAny(operation.ram)
    const call: Call<Action> = {
      ...readCall(found, received),
      operation,
      caller,
      requestId,
      sourceIp: received.sourceIp,
      get signal() {
        return journey.departure.signal
      },
      may: (right, resource, context) => asker.may({ ...right, resource, context }),
      check: (right, resource, context) => asker.check({ ...right, resource, context }),
      globalKeys: asker.globalKeys,
    }
    const context = await route.context?.(call)
    const resource = (await route.resource?.(call)) ?? asker.everything(operation.ram.action)
    audited.resource = resource
    asker.check({ ...operation.ram, resource, context })
    const answer = route.handle(call)
    return answer instanceof Promise
      ? { kind: 'data', operation, data: await answer }
      : { kind: 'events', events: answer }
  }
}
