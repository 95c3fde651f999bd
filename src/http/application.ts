import { randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Clock } from '#base/clock.ts'
import { successEnvelope } from '#contract/envelope.ts'
import { departureOf } from './departure.ts'
import { errorOf, OWN_CODE_HEADER, toErrorAnswer } from './errors.ts'
import { sendEvents } from './events.ts'
import type { Metrics } from './metrics.ts'
import { openPaths } from './open-paths.ts'
import type { OpenPathParts } from './open-paths.ts'
import type { Journey, Outcome, Pipeline } from './pipeline.ts'
import { receive } from './received.ts'
import type { Handle, Refuse } from './server.ts'

export interface ApplicationParts extends OpenPathParts {
  readonly pipeline: Pipeline
  readonly metrics: Metrics
  readonly log: Logger
  readonly clock: Clock
  readonly isTls: boolean
  /** Fires when the server ends: streams are closed. */
  readonly ending: AbortSignal
}

const JSON_TYPE = 'application/json; charset=utf-8'
/** Nothing of ours is to be framed, guessed at, kept or sent on; the page has one style of its own and nothing else. */
const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}
const HSTS = { 'strict-transport-security': 'max-age=31536000' }
/** What no operation answered is counted under one name: a client must not be able to make up metrics. */
const NO_OPERATION = 'none'

/** Everything between the HTTP library and the operations: answers, errors, the log, the numbers. */
export class Application {
  readonly #parts: ApplicationParts
  readonly #open: ReturnType<typeof openPaths>
  readonly #headers: Readonly<Record<string, string>>

  constructor(parts: ApplicationParts) {
    this.#parts = parts
    this.#open = openPaths(parts)
    this.#headers = parts.isTls ? { ...SECURITY_HEADERS, ...HSTS } : SECURITY_HEADERS
  }

  /** Answers a request whose body is there; never rejects. */
  readonly handle: Handle = async (request, reply) => {
    const startedMs = this.#parts.clock.monotonicMs()
    const requestId = randomUUID().toUpperCase()
    let journey: Journey | undefined
    let failure: unknown
    try {
      const body = Buffer.isBuffer(request.body) ? request.body : undefined
      const received = receive(request.raw, body)
      const { isTls, ending } = this.#parts
      journey = { received, requestId, isTls, departure: departureOf(reply.raw, ending) }
      const plain = this.#openPathOf(journey)
      if (plain) {
        const { status, headers, body } = await plain(received, requestId)
        this.#send(reply, requestId, { status, headers, body })
      } else await this.#sendOutcome(reply, journey, await this.#parts.pipeline.run(journey))
    } catch (error) {
      failure = error
      this.#sendError(error, reply, requestId, journey)
    }
    this.#note(request, reply, { requestId, journey, failure, startedMs })
  }

  /** Answers what never became a request. */
  readonly refuse: Refuse = (error, request, reply) => {
    const startedMs = this.#parts.clock.monotonicMs()
    const requestId = randomUUID().toUpperCase()
    this.#sendError(error, reply, requestId)
    this.#note(request, reply, { requestId, journey: undefined, failure: error, startedMs })
  }

  /** `/` is the page for a browser, and RPC for whoever names an action. */
  #openPathOf({ received }: Journey) {
    const { method, rawPath, rawQuery, headers } = received
    if (rawPath === '/' && (headers['x-acs-action'] !== undefined || rawQuery !== '')) return undefined
    return this.#open.get(`${method} ${rawPath}`)
  }

  async #sendOutcome(reply: FastifyReply, journey: Journey, outcome: Outcome): Promise<void> {
    const { requestId } = journey
    if (outcome.kind === 'data') {
      const body = JSON.stringify(successEnvelope(outcome.operation, outcome.data, requestId))
      return this.#send(reply, requestId, { status: 200, headers: { 'content-type': JSON_TYPE }, body })
    }
    reply.hijack()
    this.#parts.metrics.streams(1)
    await sendEvents(reply.raw, outcome.events, {
      headers: { ...this.#headers, 'x-acs-request-id': requestId },
      signal: journey.departure.signal,
      describeFailure: (error) => {
        const { code, headers, body } = this.#describe(error, journey)
        const data = { Code: code, Message: body['Message'], RequestId: requestId, Error: headers[OWN_CODE_HEADER] }
        return { event: 'error', data }
      },
    })
    this.#parts.metrics.streams(-1)
  }

  #describe(error: unknown, { requestId, received, operation }: Journey) {
    return toErrorAnswer(error, { requestId, host: received.host, operation })
  }

  #sendError(error: unknown, reply: FastifyReply, requestId: string, journey?: Journey): void {
    if (reply.sent || reply.raw.headersSent) return
    const host = reply.request.headers.host ?? ''
    const { status, headers, body } = toErrorAnswer(error, { requestId, host, operation: journey?.operation })
    this.#send(reply, requestId, {
      status,
      headers: { ...headers, 'content-type': JSON_TYPE },
      body: JSON.stringify(body),
    })
  }

  #send(
    reply: FastifyReply,
    requestId: string,
    answer: { status: number; headers: Readonly<Record<string, string>>; body: string },
  ): void {
    reply.code(answer.status).headers(this.#headers).header('x-acs-request-id', requestId)
    reply.headers(answer.headers).send(answer.body)
  }

  #note(
    request: FastifyRequest,
    reply: FastifyReply,
    noted: { requestId: string; journey: Journey | undefined; failure: unknown; startedMs: number },
  ): void {
    const { requestId, journey, failure, startedMs } = noted
    const { metrics, log, clock } = this.#parts
    const durationMs = clock.monotonicMs() - startedMs
    const status = reply.raw.headersSent ? reply.raw.statusCode : reply.statusCode
    metrics.answered(journey?.operation?.action ?? NO_OPERATION, status, durationMs / 1000)
    if (failure === undefined && journey?.operation?.isChange !== true) return
    const line = {
      requestId,
      method: request.method,
      path: request.url.split('?')[0],
      action: journey?.operation?.action,
      principal: journey?.caller?.arn,
      sourceIp: journey?.received.sourceIp,
      status,
      durationMs: Math.round(durationMs),
    }
    if (failure === undefined) return log.info(line, 'changed')
    const { code, kind, message, stack, cause } = errorOf(failure)
    if (kind === 'internal') log.error({ ...line, code, error: message, stack, cause: String(cause ?? '') }, 'failed')
    else log.info({ ...line, code, error: message }, 'refused')
  }
}
