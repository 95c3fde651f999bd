import type { Caller } from '#access/caller.ts'
import { sleep } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { authenticate } from './authenticate.ts'
import type { AuthenticationParts } from './authenticate.ts'
import { PAGE } from './page.ts'
import type { Received } from './received.ts'
import type { Session } from './session.ts'

/** How long a probe waits for the database and the engine. */
const READY_WITHIN_MS = 1_000

/** An answer that no operation of the contract gives. */
export interface PlainAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface OpenPathParts extends AuthenticationParts {
  /** Throws when the server cannot work now. */
  readonly ready: () => Promise<void>
  /** The OpenAPI document, as text. */
  readonly openApi: () => string
}

type Handler = (received: Received, requestId: string) => PlainAnswer | Promise<PlainAnswer>

/** The paths outside the contract, by method and path: all that is reachable without a signature, and the session. */
export function openPaths(parts: OpenPathParts): ReadonlyMap<string, Handler> {
  return new Map<string, Handler>([
    ['GET /', () => answer(200, PAGE, 'text/html; charset=utf-8')],
    ['GET /healthz', () => json(200, { alive: true })],
    ['GET /readyz', () => ready(parts)],
    ['GET /openapi.json', () => answer(200, parts.openApi(), 'application/json; charset=utf-8')],
    ['POST /session', (received, requestId) => startSession(received, requestId, parts)],
    ['GET /session', (received, requestId) => describeSession(received, requestId, parts)],
    ['DELETE /session', (received, requestId) => endSession(received, requestId, parts)],
  ])
}

function answer(status: number, body: string, type: string): PlainAnswer {
  return { status, headers: { 'content-type': type }, body }
}

function json(status: number, body: object, headers: Readonly<Record<string, string>> = {}): PlainAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  }
}

async function ready(parts: OpenPathParts): Promise<PlainAnswer> {
  const tooLate = new AbortController()
  const late = sleep(READY_WITHIN_MS, tooLate.signal).then(() => {
    throw new AppError('store_unavailable', 'The server does not become ready in time.')
  })
  try {
    await Promise.race([parts.ready(), late])
    return json(200, { ready: true })
  } catch (error) {
    const reason = error instanceof AppError ? error.message : 'Something is wrong inside the server: see its log.'
    return json(503, { ready: false, reason })
  } finally {
    late.catch(() => {})
    tooLate.abort()
  }
}

async function startSession(received: Received, requestId: string, parts: OpenPathParts): Promise<PlainAnswer> {
  const { caller, session } = await authenticate(received, { isChange: true }, parts)
  if (session !== undefined || caller.kind === 'AssumedRoleUser')
    throw new AppError(
      'session_invalid',
      'A session starts with a signature of a lasting access key: sign POST /session.',
    )
  const started = parts.sessions.start(caller.accessKeyId)
  return json(200, describe(started.session, caller, requestId), { 'set-cookie': started.setCookie })
}

async function describeSession(received: Received, requestId: string, parts: OpenPathParts): Promise<PlainAnswer> {
  const { caller, session } = await inSession(received, false, parts)
  return json(200, describe(session, caller, requestId))
}

async function endSession(received: Received, requestId: string, parts: OpenPathParts): Promise<PlainAnswer> {
  const { session } = await inSession(received, true, parts)
  return json(200, { RequestId: requestId }, { 'set-cookie': await parts.sessions.end(session) })
}

async function inSession(received: Received, isChange: boolean, parts: OpenPathParts) {
  const { caller, session } = await authenticate(received, { isChange }, parts)
  if (session) return { caller, session }
  throw new AppError('session_invalid', 'A signed request has no session: this is for browsers that have one.')
}

function describe(session: Session, caller: Caller, requestId: string) {
  return {
    RequestId: requestId,
    CsrfToken: session.csrfToken,
    ExpireTime: new Date(session.expiresMs).toISOString(),
    Arn: caller.arn,
    AccountId: caller.accountId,
    IdentityType: caller.kind,
    DisplayName: caller.displayName,
  }
}
