/** What both signatures are made of: headers, path and query as they are received. Runs in browsers too. */
import { AppError } from '#base/errors.ts'

/**
 * Headers by lower-case name, each with all its values: `headersDistinct` of node:http. (`headers` fits as well, but
 * joins or drops what is sent twice, so that it cannot be refused.)
 */
export type ReceivedHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** A request as it came over the wire. */
export interface ReceivedRequest {
  readonly method: string
  /** Percent-encoded, as sent, without the query. */
  readonly rawPath: string
  /** Percent-encoded, as sent, without the `?`; empty where there is none. */
  readonly rawQuery: string
  readonly headers: ReceivedHeaders
  /** Of the bytes as received, lower-case hex; without a body that of no bytes. */
  readonly bodySha256: string
  /** Only looked at where the request has a content-md5. */
  readonly body?: Uint8Array | undefined
}

/** The trimmed value of a header, or undefined. Throws `signature_incomplete` when it is there more than once. */
export function headerOf(headers: ReceivedHeaders, name: string): string | undefined {
  const value = headers[name]
  if (value === undefined || typeof value === 'string') return value?.trim()
  if (value.length > 1)
    throw new AppError('signature_incomplete', `The header ${name} is there ${value.length} times: send it once.`)
  return value[0]?.trim()
}

/** RFC 3986: everything but letters, digits and `-_.~`. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function decode(text: string, what: string): string {
  // What is not ASCII must be encoded: node:http hands raw bytes on as Latin-1, others as UTF-8.
  if (/^[\x21-\x7e]*$/.test(text)) {
    try {
      return decodeURIComponent(text.replaceAll('+', ' '))
    } catch {
      // falls through: not UTF-8, or a lonely %
    }
  }
  throw new AppError('signature_incomplete', `The ${what} is not percent-encoded UTF-8: encode it as RFC 3986 says.`)
}

/**
 * The names and values of a query, decoded as a form is: `+` is a space (Java sends it so). Sorted by name.
 * Throws `signature_incomplete` for what is not percent-encoded UTF-8, and for a name that is there twice: which of
 * the two values counts would not be covered by the signature.
 */
export function decodeQuery(rawQuery: string): readonly (readonly [name: string, value: string])[] {
  if (rawQuery === '') return []
  const names = new Set<string>()
  const parameters: (readonly [string, string])[] = []
  for (const part of rawQuery.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const [rawName, rawValue] = equals < 0 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)]
    const name = decode(rawName, 'query')
    if (names.has(name))
      throw new AppError('signature_incomplete', `The query has the parameter "${name}" twice: send it once.`)
    names.add(name)
    parameters.push([name, decode(rawValue, 'query')])
  }
  return parameters.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** The query as ACS3 signs it: decoded, sorted by name, and encoded again in the one form of RFC 3986. */
export function canonicalQuery(rawQuery: string): string {
  return decodeQuery(rawQuery)
    .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
    .join('&')
}

/** The path as ACS3 signs it: as sent, but for three characters that encoders disagree on. `%2F` stays what it is. */
export function canonicalPath(rawPath: string): string {
  return (rawPath || '/').replaceAll('+', '%20').replaceAll('*', '%2A').replaceAll('%7E', '~')
}

/**
 * All spellings of a path that a client may have signed, the usual one first. Mostly there is one. Where there are more,
 * they decode to the same segments: Node's client signs `'` and sends `%27`, Python's signs `*` as it is, a proxy may
 * write `%2f` as `%2F`.
 */
export function canonicalPaths(rawPath: string): readonly string[] {
  const asSent = canonicalPath(rawPath)
  if (/^[\w\-.~/]*$/.test(rawPath)) return [asSent]
  const segments = asSent.split('/').map((segment) => decode(segment, 'path'))
  const strict = segments.map(percentEncode).join('/')
  const loose = segments.map((segment) => encodeURIComponent(segment).replaceAll('*', '%2A')).join('/')
  return [...new Set([asSent, rawPath, strict, loose])]
}
