/** Every way a registry fails, as an AppError: what the user reads, without secrets, control characters or novels. */
import { AppError, systemCode, toAppError } from '#base/errors.ts'
import type { HttpResponse } from './http.ts'

const MESSAGE_CHARACTERS = 300
const ERROR_BODY_BYTES = 64 * 1024

/** One entry of the `errors` list of a registry's answer (distribution-spec, Error Codes). */
export interface RegistryError {
  readonly code: string
  readonly message: string
  /** Digests that the entry names, wherever they stand in its detail. */
  readonly digests: readonly string[]
}

export interface Refusal {
  readonly status: number
  readonly errors: readonly RegistryError[]
}

/** Foreign text for people: one line, at most 300 characters, no control or direction characters, no tokens, no query strings. */
export function printable(text: string): string {
  const line = text
    .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/\b(Bearer|Basic)\s+[\w+/=.~-]+/gi, '$1 …')
    .replace(/\beyJ[\w-]+\.[\w.-]+/g, '…')
    .replace(/(https?:\/\/)[^\s/@]+@/g, '$1')
    .replace(/(https?:\/\/[^\s?"']+)\?[^\s"']*/g, '$1?…')
    .trim()
  return line.length > MESSAGE_CHARACTERS ? `${line.slice(0, MESSAGE_CHARACTERS)}…` : line
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** JSON, or undefined for what is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Read what a refusing answer says. The body is consumed. */
export async function readRefusal(response: HttpResponse): Promise<Refusal> {
  const { bytes } = await response.read(ERROR_BODY_BYTES).catch(() => ({ bytes: Buffer.alloc(0) }))
  return { status: response.status, errors: parseErrors(bytes.toString()) }
}

function parseErrors(text: string): RegistryError[] {
  const body = parseJson(text)
  if (!isRecord(body)) {
    const plain = text.trimStart().startsWith('<') ? '' : printable(text) // a proxy's HTML page says nothing
    return plain === '' ? [] : [{ code: '', message: plain, digests: [] }]
  }
  const entries = Array.isArray(body['errors']) ? body['errors'].slice(0, 100) : [body]
  return entries.filter(isRecord).map((entry) => ({
    code: printable(String(entry['code'] ?? entry['__type'] ?? '')).slice(0, 64),
    message: printable(String(entry['message'] ?? entry['details'] ?? entry['error'] ?? '')),
    digests: [...new Set(JSON.stringify(entry).match(/sha256:[0-9a-f]{64}/g) ?? [])],
  }))
}

export interface FailureContext {
  /** `registry/repository`. */
  readonly name: string
  readonly host: string
  /** What was attempted, as it stands in "could not …": `push a blob`. */
  readonly action: string
}

/** The error for an answer that is not a success: `registry_denied` for 401 and 403, `registry_unavailable` for overload, else `registry_refused`. */
export function refusalError(refusal: Refusal, context: FailureContext): AppError {
  const { status, errors } = refusal
  const first = errors[0]
  const said = [status, first?.code, first?.message && `"${first.message}"`].filter(Boolean).join(' ')
  const details = { registry: context.host, status, ...(first?.code && { registryCode: first.code }) }
  if (status === 401 || status === 403) {
    const remedy = `run "tintype login ${context.host}" with an account that may do so`
    const message = `${context.host} does not let us ${context.action} in ${context.name} (${said}): ${remedy}.`
    return new AppError('registry_denied', message, { details })
  }
  if (status === 429 || status >= 500) {
    const message = `${context.host} could not ${context.action} in ${context.name} (${said}): try again later.`
    return new AppError('registry_unavailable', message, { details })
  }
  const remedy = first?.code === 'NAME_UNKNOWN' ? ': create the repository first' : ''
  return new AppError(
    'registry_refused',
    `${context.host} refused to ${context.action} in ${context.name} (${said})${remedy}.`,
    { details },
  )
}

/** refusalError of a response; its body is consumed. */
export async function responseError(response: HttpResponse, context: FailureContext): Promise<AppError> {
  return refusalError(await readRefusal(response), context)
}

const REMEDIES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: is the registry running, and is the port right?',
  ENOTFOUND: 'the name has no address: check it and the DNS server.',
  EAI_AGAIN: 'the DNS server does not answer: check the network.',
  ENETUNREACH: 'the network cannot be reached: check it.',
  EHOSTUNREACH: 'the host cannot be reached: check the network.',
  EPROTO: 'it does not speak TLS: write http://HOST in the list of registries if plain HTTP is wanted.',
  ECONNRESET: 'the connection was cut: try again.',
  EPIPE: 'the connection was cut: try again.',
}

/** What Node says of a CONNECT that failed; the error has the proxy's `statusCode`. */
const TUNNEL = 'ERR_PROXY_TUNNEL'
const NOT_THERE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])
/** No registry says that. */
export const PROXY_LOGIN = 407

const CERTIFICATE = /^(?:CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY)|HOSTNAME_MISMATCH)/
const TLS = /^(?:EPROTO|ERR_SSL_)/

/** A failed connection as `registry_unavailable` that says what to do; an AppError and a cancel stay what they are. */
export function connectionError(error: unknown, host: string, proxy?: URL): AppError {
  if (error instanceof AppError || (error instanceof Error && error.name === 'AbortError')) return toAppError(error)
  const code = systemCode(error) ?? 'UNKNOWN'
  if (proxy && (code === TUNNEL || NOT_THERE.has(code))) return proxyError(host, { proxy, code, cause: error })
  const remedy = CERTIFICATE.test(code)
    ? `its certificate is not trusted (${code}): install its CA on this host, or list it as an insecure registry.`
    : (REMEDIES[TLS.test(code) ? 'EPROTO' : code] ?? `${code}: try again.`)
  return new AppError('registry_unavailable', `${host} cannot be reached: ${remedy.replace('HOST', host)}`, {
    details: { registry: host, code },
    cause: error,
  })
}

interface ProxyFailure {
  readonly proxy: URL
  readonly code?: string
  /** What the proxy answered. */
  readonly status?: number
  readonly cause?: unknown
}

/** `registry_unavailable` for a registry to which the proxy does not lead. Nothing of the proxy's login is in it. */
export function proxyError(host: string, { proxy, code = TUNNEL, cause, ...given }: ProxyFailure): AppError {
  const status = given.status ?? (cause as { readonly statusCode?: number } | undefined)?.statusCode
  const why = NOT_THERE.has(code)
    ? `cannot be reached (${code}): check HTTP_PROXY, HTTPS_PROXY and NO_PROXY`
    : status === PROXY_LOGIN
      ? 'wants a login: put it into the proxy variable, as http://USER:PASSWORD@HOST:PORT'
      : isForGood(status)
        ? `refuses to lead there (${status}): ask who runs it, or name the host in NO_PROXY`
        : `does not get there${status === undefined ? '' : ` (${status})`}: try again`
  return new AppError('registry_unavailable', `${host} cannot be reached: the proxy ${proxy.host} ${why}.`, {
    details: { registry: host, proxy: proxy.host, code, ...(status !== undefined && { status }) },
    cause,
  })
}

const isForGood = (status: unknown) => typeof status === 'number' && status >= 400 && status < 500

/** Whether a failed connection may succeed when it is tried again: not for an unknown name, a bad certificate or a wrong protocol. */
export function isTransient(error: unknown): error is AppError {
  if (!(error instanceof AppError) || error.code !== 'registry_unavailable') return false
  const { code, status } = error.details
  if (code === TUNNEL && isForGood(status)) return false
  return typeof code === 'string' && code !== 'ENOTFOUND' && !CERTIFICATE.test(code) && !TLS.test(code)
}
