import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'

/** Under TLS with the prefix that binds a cookie to this host and to TLS (RFC 6265bis § 4.1.3.2). */
const COOKIE = 'tintype_session'
const SECURE_COOKIE = `__Host-${COOKIE}`
export const CSRF_HEADER = 'x-tintype-csrf'
/** A working day: after it, the access key signs once more. */
const LIFETIME_MS = 12 * 3600 * 1000

/** Turns texts into what only this server's secret key can read, and back. `unseal` throws for what it did not seal. */
export interface Sealer {
  seal(text: string, purpose: string): string
  unseal(sealed: string, purpose: string): string
}

/** Sessions that were ended before their time, for all replicas. */
export interface EndedSessions {
  add(sessionId: string, expiresMs: number): Promise<void>
  has(sessionId: string): Promise<boolean>
}

export interface Session {
  readonly id: string
  readonly accessKeyId: string
  readonly expiresMs: number
  /** What a request that changes something must repeat in its header: another site can send the cookie, not this. */
  readonly csrfToken: string
}

export interface SessionParts {
  readonly sealer: Sealer
  readonly ended: EndedSessions
  readonly clock: Clock
  readonly isTls: boolean
}

/** Sessions of browsers. All of a session is in its cookie, sealed, so that every replica can read it. */
export class Sessions {
  readonly #parts: SessionParts
  readonly #cookie: string

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.#cookie = parts.isTls ? SECURE_COOKIE : COOKIE
  }

  /** A new session of whoever has just signed with this access key, and the cookie to set. */
  start(accessKeyId: string): { readonly session: Session; readonly setCookie: string } {
    const session: Session = {
      id: randomBytes(16).toString('hex'),
      accessKeyId,
      expiresMs: this.#parts.clock.wallMs() + LIFETIME_MS,
      csrfToken: randomBytes(16).toString('base64url'),
    }
    const sealed = this.#parts.sealer.seal(JSON.stringify(session), 'session')
    return { session, setCookie: this.#setCookie(sealed, LIFETIME_MS / 1000) }
  }

  /** Whether a request has a session's cookie, be it good or bad. */
  isIn(cookieHeader: string | undefined): boolean {
    return cookieHeader !== undefined && cookieOf(cookieHeader, this.#cookie) !== undefined
  }

  /** The session of a request. Throws `session_invalid` when there is none, or none any more. */
  async read(cookieHeader: string | undefined): Promise<Session> {
    const sealed = cookieHeader === undefined ? undefined : cookieOf(cookieHeader, this.#cookie)
    const session = sealed === undefined ? undefined : this.#open(sealed)
    const { ended, clock } = this.#parts
    if (session !== undefined && session.expiresMs > clock.wallMs() && !(await ended.has(session.id))) return session
    throw new AppError(
      'session_invalid',
      'There is no session, or it has ended: sign POST /session with an access key.',
    )
  }

  /** End a session for good; the answer is the cookie that removes it from the browser. */
  async end(session: Session): Promise<string> {
    await this.#parts.ended.add(session.id, session.expiresMs)
    return this.#setCookie('', 0)
  }

  #open(sealed: string): Session | undefined {
    try {
      return parseSession(this.#parts.sealer.unseal(sealed, 'session'))
    } catch {
      return undefined // made up, of an older secret key, or cut short: no session in any case
    }
  }

  #setCookie(value: string, maxAgeS: number): string {
    const secure = this.#parts.isTls ? '; Secure' : ''
    return `${this.#cookie}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}${secure}`
  }
}

/** What a browser says of where a request comes from, and what the page gave it. */
export interface CsrfEvidence {
  readonly token: string | undefined
  /** `Sec-Fetch-Site`: current browsers send it, and a page cannot change it. */
  readonly fetchSite: string | undefined
}

/** Throws `csrf_invalid` unless the request comes from our own page. */
export function checkCsrf(session: Session, { token, fetchSite }: CsrfEvidence): void {
  const isOurs = token !== undefined && isEqual(token, session.csrfToken)
  if (isOurs && (fetchSite === undefined || fetchSite === 'same-origin')) return
  throw new AppError(
    'csrf_invalid',
    `A request of a session that changes something needs the session's token in the header ${CSRF_HEADER}: it is the CsrfToken of GET /session.`,
  )
}

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** The value of one cookie (RFC 6265 § 4.2.1), or undefined. The first counts when a name is there twice. */
function cookieOf(header: string, name: string): string | undefined {
  for (const part of header.split(';')) {
    const equals = part.indexOf('=')
    if (equals > 0 && part.slice(0, equals).trim() === name) return part.slice(equals + 1).trim() || undefined
  }
  return undefined
}

function parseSession(text: string): Session {
  return JSON.parse(text) as Session // sealed: nobody else has written it
}
