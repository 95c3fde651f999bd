import { checkDate, parseAuthorization, TIME_WINDOW_MS, verifySignature } from '#access/acs3.ts'
import type { Authorization } from '#access/authorization.ts'
import type { Caller } from '#access/caller.ts'
import { headerOf } from '#access/request.ts'
import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { Received } from './received.ts'
import type { RecentNonces } from './recent-nonces.ts'
import { checkCsrf, CSRF_HEADER } from './session.ts'
import type { Session, Sessions } from './session.ts'

export interface KeyFacts {
  readonly secret: string
  readonly isActive: boolean
  readonly caller: Caller
}

/** Looks keys up. A temporary key is in its security token. Throws for a token that is malformed, expired or of another key. */
export interface KeyFinder {
  findKey(accessKeyId: string, securityToken?: string): Promise<KeyFacts | undefined>
}

/** Nonces of changes, for all replicas and across restarts. */
export interface DurableNonces {
  /** Throws `nonce_used` when the key has sent it before. */
  use(nonce: { readonly accessKeyId: string; readonly nonce: string; readonly expiresMs: number }): Promise<void>
}

export interface AuthenticationParts {
  readonly keys: KeyFinder
  readonly nonces: DurableNonces
  readonly recent: RecentNonces
  readonly sessions: Sessions
  readonly clock: Clock
  readonly legacySignatures: boolean
}

export interface Authenticated {
  readonly caller: Caller
  /** Of a browser; absent for a signature. */
  readonly session?: Session
}

/**
 * Who sent a request: by its signature, or by a browser's session. A request that changes something is good once,
 * and in a session it proves that it comes from our own page. Throws what `#access/errors.ts` has codes for,
 * `session_invalid` and `csrf_invalid`.
 */
export async function authenticate(
  received: Received,
  { isChange }: { readonly isChange: boolean },
  parts: AuthenticationParts,
): Promise<Authenticated> {
  const { headers } = received
  if (headers['authorization'] !== undefined || !parts.sessions.isIn(headerOf(headers, 'cookie')))
    return { caller: await checkSigned(received, isChange, parts) }
  const session = await parts.sessions.read(headerOf(headers, 'cookie'))
  const evidence = { token: headerOf(headers, CSRF_HEADER), fetchSite: headerOf(headers, 'sec-fetch-site') }
  if (isChange) checkCsrf(session, evidence)
  const { caller } = await findActiveKey(session.accessKeyId, undefined, parts)
  return { caller, session }
}

async function checkSigned(received: Received, isChange: boolean, parts: AuthenticationParts): Promise<Caller> {
  const { headers, rawQuery } = received
  const authorization = parseAuthorization(headers, { legacySignatures: parts.legacySignatures, rawQuery })
  const nowMs = parts.clock.wallMs()
  checkDate(authorization, nowMs)
  const key = await findActiveKey(authorization.accessKeyId, authorization.securityToken, parts)
  verifySignature(received, authorization, key.secret)
  if (isChange) await parts.nonces.use(nonceOf(authorization))
  else useRecent(authorization, nowMs, parts)
  return key.caller
}

async function findActiveKey(id: string, token: string | undefined, { keys }: AuthenticationParts): Promise<KeyFacts> {
  const key = await keys.findKey(id, token)
  if (key === undefined) throw new AppError('access_key_not_found', 'Specified access key is not found.')
  if (!key.isActive) throw new AppError('access_key_inactive', `The access key ${id} is switched off: activate it.`)
  return key
}

function nonceOf({ accessKeyId, nonce, dateMs }: Authorization) {
  return { accessKeyId, nonce, expiresMs: dateMs + TIME_WINDOW_MS }
}

function useRecent({ accessKeyId, nonce, dateMs }: Authorization, nowMs: number, parts: AuthenticationParts): void {
  if (!parts.recent.use(`${accessKeyId} ${nonce}`, dateMs, nowMs))
    throw new AppError('nonce_used', 'Specified signature nonce was used already: make a new one for each request.')
}
