import { randomBytes } from 'node:crypto'
import { Check } from 'typebox/value'
import { percentEncode } from '#access/request.ts'
import { signAcs3 } from '#access/sign.ts'
import type { SigningKey } from '#access/sign.ts'
import type { Clock } from '#base/clock.ts'
import { AppError, systemCode } from '#base/errors.ts'
import type { Operation } from '#contract/operation.ts'
import { OPERATIONS } from '#contract/operations.ts'
import type { Action, BodyOf, ParamsOf, QueryOf, ResponseOf } from '#contract/operations.ts'
import { answerError, eventError, notUnderstood } from './answer-error.ts'
import { readEvents } from './server-events.ts'

/** What one call is made of, by the names of the contract. What has a default there may be left out. */
export interface RequestOf<A extends Action> {
  readonly params?: ParamsOf<A>
  readonly query?: Partial<QueryOf<A>>
  readonly body?: BodyOf<A>
}

/** The API of one server, for one key. */
export interface ApiClient {
  /** The whole answer, with its envelope. Throws what the server refuses, `server_unavailable`, `answer_invalid`. */
  call<A extends Action>(action: A, request?: RequestOf<A>): Promise<ResponseOf<A>>
  /** The data of each event of a stream, until the server ends it. Throws as `call`. */
  stream<A extends Action>(action: A, request: RequestOf<A>): AsyncIterable<ResponseOf<A>>
}

export interface ClientOptions {
  /** `https://HOST[:PORT]`, without a path. */
  readonly endpoint: string
  readonly key: SigningKey
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** The server answers within a second, or soon after; a stream says at least every 15 s that it lives. */
const ANSWER_LIMIT_MS = 60_000
const JSON_TYPE = 'application/json; charset=utf-8'

/** A client that signs each request with ACS3-HMAC-SHA256, as the official ones do. Connects with the first call. */
export function openClient(options: ClientOptions): ApiClient {
  return {
    async call(action, request = {}) {
      const response = await send(options, OPERATIONS[action], request)
      return parseAnswer(action, await textOf(response, options))
    },
    async *stream(action, request) {
      const response = await send(options, OPERATIONS[action], request)
      try {
        for await (const { event, data } of readEvents(response.body, options.signal)) {
          if (event === 'error') throw eventError(data)
          yield parseAnswer(action, data)
        }
      } catch (error) {
        throw explained(error, options)
      }
    },
  }
}

interface AnyRequest {
  readonly params?: object
  readonly query?: object
  readonly body?: unknown
}

/** The response of a request that the server has accepted. */
async function send(options: ClientOptions, operation: Operation, request: AnyRequest): Promise<Response> {
  const { endpoint, key, clock, signal } = options
  const rawPath = pathOf(operation, request.params ?? {})
  const rawQuery = queryOf(operation, request.query ?? {})
  const body = request.body === undefined ? undefined : JSON.stringify(request.body)
  const headers = signAcs3(
    {
      method: operation.method,
      host: new URL(endpoint).host,
      rawPath,
      rawQuery,
      action: operation.action,
      version: operation.version,
      ...(body !== undefined && { body, contentType: JSON_TYPE }),
    },
    key,
    { nonce: randomBytes(16).toString('hex'), date: new Date(clock.wallMs()) },
  )
  const url = `${endpoint}${rawPath}${rawQuery === '' ? '' : `?${rawQuery}`}`
  const started = operation.stream ? signal : AbortSignal.any([signal, AbortSignal.timeout(ANSWER_LIMIT_MS)])
  let response: Response
  try {
    // A redirect is no answer of ours, and would not be signed for where it leads.
    const init = { method: operation.method, headers, redirect: 'manual' as const, signal: started }
    response = await fetch(url, body === undefined ? init : { ...init, body })
  } catch (error) {
    throw explained(error, options)
  }
  if (response.ok) return response
  const own = response.headers.get('x-tintype-error') ?? undefined
  throw answerError({ status: response.status, text: await textOf(response, options), ...(own && { own }) })
}

async function textOf(response: Response, options: ClientOptions): Promise<string> {
  try {
    return await response.text()
  } catch (error) {
    throw explained(error, options)
  }
}

/** The path with its parameters in. Throws `usage_invalid` for an id that would be another path. */
function pathOf({ path }: Operation, params: object): string {
  const values = new Map<string, unknown>(Object.entries(params))
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(values.get(name) ?? '')
    // URLs have no segment of dots: it would be resolved away, however it is encoded.
    if (/^\.{0,2}$/.test(value))
      throw new AppError('usage_invalid', `${JSON.stringify(value)} is no ${name}: copy it from the list.`)
    return percentEncode(value)
  })
}

function queryOf({ jsonQuery }: Operation, query: object): string {
  return Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const text = jsonQuery.includes(name) ? JSON.stringify(value) : String(value)
      return `${percentEncode(name)}=${percentEncode(text)}`
    })
    .join('&')
}

/** The text as the answer that the contract describes. Throws `answer_invalid`. */
function parseAnswer<A extends Action>(action: A, text: string): ResponseOf<A> {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    throw notUnderstood('is no JSON')
  }
  if (!Check(OPERATIONS[action].response, answer)) throw notUnderstood(`is not one of ${action}`)
  return answer as ResponseOf<A>
}

/** Why there is no answer: it was cancelled, it took too long, or nobody is there. */
function explained(error: unknown, { endpoint, signal }: ClientOptions): unknown {
  if (error instanceof AppError) return error
  if (signal.aborted) return signal.reason
  const { host } = new URL(endpoint)
  const cause = error instanceof Error ? error.cause : undefined
  const isLate = error instanceof Error && error.name === 'TimeoutError'
  const why = isLate ? 'it does not answer' : (systemCode(cause) ?? (cause instanceof Error ? cause.message : ''))
  const remedy = 'check that it runs, and --endpoint'
  const message = `The server ${host} cannot be reached${why === '' ? '' : ` (${why})`}: ${remedy}.`
  return new AppError('server_unavailable', message, { cause: error, details: { endpoint } })
}
