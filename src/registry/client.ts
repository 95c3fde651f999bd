/** Calls to one registry: where it is, who we are, where it may send us, and what is tried again. */
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { isLoopbackHost } from '#base/loopback.ts'
import type { Proxies } from '#config/proxies.ts'
import { openAuthenticator } from './auth.ts'
import type { Authenticator, CredentialsOf } from './auth.ts'
import { isTransient } from './failure.ts'
import { openTransport } from './http.ts'
import type { HttpResponse, Transport, TransportOptions } from './http.ts'
import { sendWithRetries } from './retry.ts'
import type { Pace } from './retry.ts'
import { addressGuard, checkUrl, resolveLocation } from './trust.ts'
import type { Lookup } from './ways.ts'

const REDIRECTS = 5
const PROBE_MS = 3_000 // a loopback host that says nothing to a TLS hello for so long speaks plain HTTP

const NOT_THERE = new Set(['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])

export interface Call {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below the registry's root, or a place that the registry named. */
  readonly url: string | URL
  /** The scope of our own repository first. */
  readonly scopes: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  /** A function is called once for each time that the body is sent. */
  readonly body?: Uint8Array | (() => AsyncIterable<Uint8Array>)
  readonly signal?: AbortSignal | undefined
  readonly idleMs?: number
  /** The answer's bytes are checked by digest: a redirect may lead to any https host, without credentials. */
  readonly isDownload?: boolean
  /** False: one try, for callers that know better how to go on. */
  readonly retries?: boolean
  /** Asked before it is sent again after a wait; what it throws ends the call. */
  readonly beforeRetry?: (() => Promise<void>) | undefined
}

export interface RegistryClient {
  /** `host` or `host:port` that is spoken to. */
  readonly host: string
  readonly pace: Pace
  /** Any answer, also of refusal. Throws `registry_unavailable`, `registry_untrusted`, `registry_denied`, `cancelled`. */
  call(call: Call): Promise<HttpResponse>
  /** The address in a `Location` header, or undefined when there is none. Throws `registry_refused`. */
  locationOf(response: HttpResponse): Promise<URL | undefined>
}

export interface ClientOptions {
  /** As users name it: `docker.io`. */
  readonly registry: string
  /** As it is connected to: `registry-1.docker.io`. */
  readonly host: string
  readonly credentials: CredentialsOf
  readonly plainHttp?: boolean | undefined
  readonly insecureTls?: boolean | undefined
  readonly ca?: string | undefined
  readonly trustedHosts: readonly string[]
  readonly proxies?: Proxies | undefined
  readonly allowPrivate?: boolean | undefined
  readonly userAgent: string
  readonly onWarning?: (text: string) => void
  readonly pace: Pace
  readonly lookup?: Lookup | undefined
}

/** A client of one registry. Nothing is sent before the first call. */
export function openClient(options: ClientOptions): RegistryClient {
  const registryHost = new URL(`https://${options.host}`).hostname
  const guard = addressGuard({ registryHost, allowPrivate: options.allowPrivate, trustedHosts: options.trustedHosts })
  const transport = openTransport({ ...options, guard })
  let opened: Promise<Connection> | undefined
  let isReached = false

  const connection = (): Promise<Connection> => {
    opened ??= findBase(options, guard).then((base) => connect(options, transport, base))
    opened.catch(() => {
      opened = undefined
    })
    return opened
  }
  // A registry that restarts is away for a while; one that never answered is not there.
  const mayPass = (error: unknown) => isTransient(error) && (isReached || !NOT_THERE.has(String(error.details['code'])))

  return {
    host: options.host,
    pace: options.pace,
    async call(call) {
      const send = async () => {
        const response = await authorized(await connection(), call)
        isReached = true
        if (options.onWarning) reportWarnings(response, options.onWarning)
        return response
      }
      throwIfAborted(call.signal)
      return call.retries === false
        ? send()
        : sendWithRetries(send, { pace: options.pace, signal: call.signal, mayPass, beforeRetry: call.beforeRetry })
    },
    async locationOf(response) {
      const { location } = response.headers
      const { base } = await connection()
      return location === undefined ? undefined : resolveLocation(location, response.url, base)
    },
  }
}

interface Connection {
  readonly base: URL
  readonly auth: Authenticator
  readonly transport: Transport
  readonly trustedHosts: readonly string[]
}

function connect(options: ClientOptions, transport: Transport, base: URL): Connection {
  const { trustedHosts } = options
  const checkRealm = (realm: URL) => checkUrl(realm, 'token', { registry: base, trustedHosts })
  const auth = openAuthenticator({ ...options, transport, checkRealm })
  return { base, auth, transport, trustedHosts }
}

/** Where the registry is spoken to: https, plain HTTP when that was said, and on loopback what it answers to. */
async function findBase(options: ClientOptions, guard: TransportOptions['guard']): Promise<URL> {
  const secure = new URL(`https://${options.host}/`)
  const plain = new URL(`http://${options.host}/`)
  if (options.plainHttp !== undefined) return options.plainHttp ? plain : secure
  if (!isLoopbackHost(secure.hostname)) return secure
  // Whether it is TLS at all: who it is will be checked when it is used.
  const probe = openTransport({ ...options, guard, insecureTls: true })
  try {
    const response = await probe.send({ method: 'GET', url: new URL('/v2/', secure), idleMs: PROBE_MS })
    await response.discard()
    return secure
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'registry_unavailable') throw error
    return plain
  }
}

async function authorized(connection: Connection, call: Call): Promise<HttpResponse> {
  const { auth, base } = connection
  const url = new URL(call.url, base)
  const used = url.origin === base.origin ? await auth.header(call.scopes, call.signal) : undefined
  const response = await follow(connection, call, { url, authorization: used })
  if (response.status !== 401 || response.url.origin !== base.origin) return response
  const challenge = response.headers['www-authenticate']
  const renewed = await auth.renew(challenge, call.scopes, { used, signal: call.signal })
  if (renewed === undefined) return response
  await response.discard()
  // A 401 was not acted upon (RFC 9110 § 15.5.2), so an upload goes on at the same place.
  return follow(connection, call, { url, authorization: renewed })
}

interface Target {
  readonly url: URL
  readonly authorization: string | undefined
}

async function follow(connection: Connection, call: Call, target: Target): Promise<HttpResponse> {
  const { base, transport, trustedHosts } = connection
  const use = call.isDownload ? 'download' : 'registry'
  let { url } = target
  for (let hops = 0; ; hops++) {
    checkUrl(url, use, { registry: base, trustedHosts })
    const credentials = url.origin === base.origin && target.authorization
    const response = await transport.send({
      method: call.method,
      url,
      headers: { ...call.headers, ...(credentials && { authorization: credentials }) },
      body: typeof call.body === 'function' ? call.body() : call.body,
      signal: call.signal,
      idleMs: call.idleMs,
    })
    const { location } = response.headers
    if (location === undefined || !isRedirect(response.status, call.method)) return response
    await response.discard()
    if (hops === REDIRECTS) throw new AppError('registry_refused', `${base.host} redirects without end.`)
    url = resolveLocation(location, url, base)
  }
}

function isRedirect(status: number, method: Call['method']): boolean {
  if (status === 307 || status === 308) return true
  return (method === 'GET' || method === 'HEAD') && [301, 302, 303].includes(status)
}

function reportWarnings(response: HttpResponse, onWarning: (text: string) => void): void {
  // Distribution-spec, Warnings: `299 - "text"`, several in one header.
  const header = response.headers['warning']
  const text = Array.isArray(header) ? header.join(',') : (header ?? '')
  for (const [, quoted = ''] of text.matchAll(/299\s+-\s+"((?:[^"\\]|\\.)*)"/g))
    onWarning(quoted.replace(/\\(.)/g, '$1'))
}
