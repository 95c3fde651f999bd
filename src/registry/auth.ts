/** Proving who we are to a registry: Basic, or a token from the realm that it names (distribution's token and OAuth2 protocols). */
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { isRecord, parseJson, printable, readRefusal } from './failure.ts'
import type { HttpRequest, Transport } from './http.ts'
import { sendWithRetries } from './retry.ts'
import type { Pace } from './retry.ts'

/** A user name and password (or access token), or an identity token that buys access tokens (OAuth2 refresh token). */
export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identityToken'; readonly token: string }

/** What is known of a registry, named as users name it (`docker.io`); undefined: nothing, so anonymous. */
export type CredentialsOf = (registry: string) => Promise<Credentials | undefined>

export interface Challenge {
  /** Lower case. */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>
}

const TOKEN = String.raw`[\w!#$%&'*+.^|~\x60-]+`
const PARAMETER = new RegExp(String.raw`(${TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))`, 'y')
const SCHEME = new RegExp(String.raw`(${TOKEN})(?=\s|,|$)`, 'y')

/** The challenges of a WWW-Authenticate header, several in one line too (RFC 9110 § 11.6.1). What cannot be read ends the list. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  for (let at = skipSeparators(header, 0); at < header.length; at = skipSeparators(header, at)) {
    PARAMETER.lastIndex = SCHEME.lastIndex = at
    const parameter = PARAMETER.exec(header)
    const scheme = parameter ? null : SCHEME.exec(header)
    if (parameter) {
      const value = parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3] ?? ''
      challenges.at(-1)?.parameters.set((parameter[1] ?? '').toLowerCase(), value)
      at = PARAMETER.lastIndex
    } else if (scheme) {
      challenges.push({ scheme: (scheme[1] ?? '').toLowerCase(), parameters: new Map() })
      at = SCHEME.lastIndex
    } else break
  }
  return challenges
}

function skipSeparators(text: string, from: number): number {
  let at = from
  while (/[\s,]/.test(text.charAt(at))) at++
  return at
}

export interface AuthenticatorOptions {
  /** As users name it. */
  readonly registry: string
  readonly credentials: CredentialsOf
  readonly transport: Transport
  readonly pace: Pace
  /** Throws `registry_untrusted` for a realm that is none of the registry's business. */
  readonly checkRealm: (realm: URL) => void
}

export interface Authenticator {
  /** The Authorization header for these scopes as far as it is known what the registry wants. The scope of our own repository comes first. */
  header(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined>
  /** After a 401: the header to try once more with, or undefined when there is nothing better than `used`. Throws `registry_denied`. */
  renew(
    challenge: string | undefined,
    scopes: readonly string[],
    attempt: { readonly used: string | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<string | undefined>
}

interface Realm {
  readonly url: URL
  readonly service: string | undefined
}

interface Token {
  readonly value: string
  /** On the monotonic clock. */
  readonly staleAtMs: number
}

interface HeldToken {
  readonly fetching: Promise<Token>
  /** Once it has come. */
  value: string | undefined
}

const TOKEN_BYTES = 256 * 1024
const DEFAULT_LIFE_S = 60 // token protocol: what a token without expires_in lives
/** What Quay answers to a scope that it does not know. */
const BAD_REQUEST = 400
const CLIENT_ID = 'tintype'

/** One registry's authenticator. Tokens are kept per realm, service and scopes, and renewed before they end. */
export function openAuthenticator(options: AuthenticatorOptions): Authenticator {
  const tokens = new Map<string, HeldToken>()
  let realm: Realm | undefined
  let basic: string | undefined

  const bearer = async (from: Realm, scopes: readonly string[]): Promise<string> => {
    const key = JSON.stringify([from.url.href, from.service, scopes])
    const held = tokens.get(key)
    if (held) {
      const token = await held.fetching
      if (token.staleAtMs > options.pace.clock.monotonicMs()) return `Bearer ${token.value}`
      if (tokens.get(key) !== held) return bearer(from, scopes) // another caller has asked for the next one meanwhile
    }
    // Without a caller's signal, and kept before anything is awaited: others wait for the same token.
    const next: HeldToken = { fetching: fetchToken(options, from, scopes), value: undefined }
    tokens.set(key, next)
    next.fetching.then(
      ({ value }) => (next.value = value),
      () => drop(tokens, key, next),
    )
    return `Bearer ${(await next.fetching).value}`
  }

  return {
    async header(scopes, signal) {
      return realm ? untilAborted(bearer(realm, scopes), signal) : basic
    },
    async renew(challenge, scopes, { used, signal }) {
      const offered = parseChallenges(challenge ?? '')
      const wanted = offered.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'))
      if (wanted) {
        realm = parseRealm(wanted, options)
        if (used !== undefined) forget(tokens, used)
        return untilAborted(bearer(realm, scopes), signal)
      }
      if (!offered.some(({ scheme }) => scheme === 'basic')) return undefined
      const credentials = await options.credentials(options.registry)
      if (credentials?.kind !== 'basic') return undefined
      basic = basicHeader(credentials)
      return basic === used ? undefined : basic
    },
  }
}

/** The outcome of `shared`, or `cancelled` as soon as the signal fires; `shared` goes on for others. */
async function untilAborted<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return shared
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(new AppError('cancelled', 'Cancelled.'))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    throwIfAborted(signal)
    return await Promise.race([shared, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** One that is still being fetched is not the one that was refused: nobody waits for it here. */
function forget(tokens: Map<string, HeldToken>, used: string): void {
  for (const [key, held] of [...tokens]) if (used === `Bearer ${held.value}`) drop(tokens, key, held)
}

/** Only this very token: another may have taken its place. */
function drop(tokens: Map<string, HeldToken>, key: string, token: HeldToken): void {
  if (tokens.get(key) === token) tokens.delete(key)
}

function parseRealm(challenge: Challenge, options: AuthenticatorOptions): Realm {
  const text = challenge.parameters.get('realm') ?? ''
  if (!URL.canParse(text))
    throw new AppError('registry_refused', `${options.registry} names a token server that is no address.`)
  const url = new URL(text)
  options.checkRealm(url)
  return { url, service: challenge.parameters.get('service') }
}

function basicHeader({ username, password }: Extract<Credentials, { kind: 'basic' }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

async function fetchToken(options: AuthenticatorOptions, realm: Realm, scopes: readonly string[]): Promise<Token> {
  const credentials = await options.credentials(options.registry)
  const startMs = options.pace.clock.monotonicMs()
  const send = (wanted: readonly string[]) =>
    sendWithRetries(() => options.transport.send(tokenRequest(realm, wanted, credentials)), { pace: options.pace })
  let response = await send(scopes)
  if (isDenial(response.status) && scopes.length > 1) {
    await response.discard()
    response = await send(scopes.slice(0, 1)) // what was asked for besides our own repository is not ours to have
  }
  if (response.status !== 200) {
    const refusal = await readRefusal(response)
    throw tokenError(options.registry, { status: refusal.status, said: refusal.errors[0]?.message, credentials, realm })
  }
  return parseToken((await response.read(TOKEN_BYTES)).bytes.toString(), startMs, options.registry)
}

function isDenial(status: number): boolean {
  return status === BAD_REQUEST || status === 401 || status === 403
}

function tokenRequest(realm: Realm, scopes: readonly string[], credentials: Credentials | undefined): HttpRequest {
  if (credentials?.kind === 'identityToken') {
    const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: CLIENT_ID })
    form.set('refresh_token', credentials.token)
    if (realm.service !== undefined) form.set('service', realm.service)
    form.set('scope', scopes.join(' '))
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
    return { method: 'POST', url: realm.url, headers, body: Buffer.from(form.toString()) }
  }
  const url = new URL(realm.url)
  if (realm.service !== undefined) url.searchParams.set('service', realm.service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  const headers = { accept: 'application/json', ...(credentials && { authorization: basicHeader(credentials) }) }
  return { method: 'GET', url, headers }
}

interface TokenRefusal {
  readonly status: number
  readonly said: string | undefined
  readonly credentials: Credentials | undefined
  readonly realm: Realm
}

function tokenError(registry: string, { status, said, credentials, realm }: TokenRefusal): AppError {
  const details = { registry, status, realm: realm.url.host }
  const quoted = said ? ` ("${said}")` : ''
  if (!isDenial(status)) {
    const text = `The token server ${realm.url.host} of ${registry} answered ${status}${quoted}: try again later.`
    return new AppError(status >= 500 || status === 429 ? 'registry_unavailable' : 'registry_refused', text, {
      details,
    })
  }
  if (status === BAD_REQUEST) {
    const text = `${registry} gives no token for this repository${quoted}: check its name, or run "tintype login ${registry}".`
    return new AppError('registry_denied', text, { details })
  }
  const text = credentials
    ? `${registry} does not accept the user name and password${quoted}: run "tintype login ${registry}".`
    : `${registry} wants a user name and password${quoted}: run "tintype login ${registry}".`
  return new AppError('registry_denied', text, { details })
}

function parseToken(text: string, startMs: number, registry: string): Token {
  const body = parseJson(text)
  const value = isRecord(body) ? (body['token'] ?? body['access_token']) : undefined
  // Only what may stand in a header (RFC 6750 § 2.1): a line break in it would be a header of the token server's making.
  if (!isRecord(body) || typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value))
    throw new AppError('registry_refused', `The token server of ${printable(registry)} answered no token.`)
  const said = body['expires_in']
  const lifeS = typeof said === 'number' && said > 0 ? said : DEFAULT_LIFE_S
  return { value, staleAtMs: startMs + lifeS * 1000 - Math.min(30_000, lifeS * 250) }
}
