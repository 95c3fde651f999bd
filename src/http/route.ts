import type { Caller } from '#access/caller.ts'
import type { Operation, RamAction } from '#contract/operation.ts'
import type { Action, BodyOf, ParamsOf, QueryOf, ResponseOf } from '#contract/operations.ts'

/** One request, after it was found to be whole: who asks, what for, with parameters that fit the contract. */
export interface Call<A extends Action> {
  readonly operation: Operation
  readonly params: ParamsOf<A>
  readonly query: QueryOf<A>
  readonly body: BodyOf<A>
  readonly caller: Caller
  readonly requestId: string
  readonly sourceIp: string
  /** Fires when the client has gone, or the server ends. */
  readonly signal: AbortSignal
  /** Whether the caller has a right on `resource` as well, under any of its names: for batches and lists. Answers; never throws. */
  may(right: RamAction, resource: string, context?: ConditionContext): boolean
  /** The same for what the whole request depends on. Throws `not_permitted`, with the fields of AccessDeniedDetail. */
  check(right: RamAction, resource: string, context?: ConditionContext): void
  /** The condition keys that every request has (dsw-api §4). */
  readonly globalKeys: ConditionContext
}

/** Condition keys beside the global ones, each with the values that the request has for it. */
export type ConditionContext = Readonly<Record<string, readonly string[]>>

/** One event of an answer that goes on. `data` is sent as JSON. */
export interface ServerSentEvent {
  readonly event: string
  readonly data: unknown
  readonly id?: string
}

/** What one operation does over HTTP: what RAM decides on, and the answer. */
export interface Route<A extends Action> {
  readonly action: A
  /**
   * The ARN that RAM decides on. Throws a `not_found` for what the caller must not even see.
   * Absent: everything of the product in the account, `acs:<ram code>:<region>:<account>:*`.
   */
  resource?(call: Call<A>): string | Promise<string>
  /**
   * Condition keys of the product, such as `tintype:Repository`, before anything is done: from the request, or where that
   * leaves it open, from what is stored. Throws a `not_found` where that is not there.
   */
  context?(call: Call<A>): ConditionContext | Promise<ConditionContext>
  /** The answer without its envelope, or a stream of events. A promise settles within a second: work goes on behind it. */
  handle(call: Call<A>): Promise<ResponseOf<A>> | AsyncIterable<ServerSentEvent>
}

/** A route of whatever operation, for the table of all. */
export type AnyRoute = Route<Action>

/** A route for the table: its parts are checked against the types of its own operation. */
export function route<A extends Action>(definition: Route<A>): AnyRoute {
  return definition
}
