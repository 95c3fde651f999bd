/** ACS3-HMAC-SHA256, the client's side: for our own command line and console, so that it runs in browsers too. */
import { canonicalPath, canonicalQuery } from './request.ts'
import { hmacSha256, sha256 } from './sha256.ts'

export const ACS3 = 'ACS3-HMAC-SHA256'

/** What is to be sent. Path and query are percent-encoded already, as they will stand in the request line. */
export interface UnsignedRequest {
  readonly method: string
  /** As the client will send it, with its port unless that is the scheme's own. */
  readonly host: string
  readonly rawPath: string
  /** Without the `?`. */
  readonly rawQuery?: string
  /** `x-acs-action` and `x-acs-version`. */
  readonly action?: string
  readonly version?: string
  readonly contentType?: string
  readonly body?: string | Uint8Array
}

export interface SigningKey {
  readonly id: string
  readonly secret: string
  /** Of a temporary key (STS). */
  readonly securityToken?: string
}

export interface SigningMoment {
  /** Fresh for each request: 32 random hex digits, say. */
  readonly nonce: string
  readonly date: Date
}

const utf8 = new TextEncoder()
const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const bytesOf = (body: string | Uint8Array) => (typeof body === 'string' ? utf8.encode(body) : body)

/**
 * The headers to send with the request, lower-case, `authorization` last. A browser sets `host` by itself and does not
 * let anybody else do it: leave it out there.
 */
export function signAcs3(
  request: UnsignedRequest,
  key: SigningKey,
  { nonce, date }: SigningMoment,
): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {
    ...(request.contentType !== undefined && { 'content-type': request.contentType.trim() }),
    host: request.host,
    ...(key.securityToken !== undefined && { 'x-acs-accesskey-id': key.id }),
    ...(request.action !== undefined && { 'x-acs-action': request.action }),
    'x-acs-content-sha256': hexOf(sha256(bytesOf(request.body ?? ''))),
    'x-acs-date': date.toISOString().replace(/\.\d+Z$/, 'Z'),
    ...(key.securityToken !== undefined && { 'x-acs-security-token': key.securityToken }),
    'x-acs-signature-nonce': nonce,
    ...(request.version !== undefined && { 'x-acs-version': request.version }),
  }
  const signedHeaders = Object.keys(headers)
  const canonical = canonicalRequest({
    method: request.method,
    path: canonicalPath(request.rawPath),
    query: canonicalQuery(request.rawQuery ?? ''),
    headers: signedHeaders.map((name) => [name, headers[name] ?? '']),
    bodySha256: headers['x-acs-content-sha256'] ?? '',
  })
  const text = stringToSign(hexOf(sha256(utf8.encode(canonical))))
  const signature = hexOf(hmacSha256(utf8.encode(key.secret), utf8.encode(text)))
  const authorization = `${ACS3} Credential=${key.id},SignedHeaders=${signedHeaders.join(';')},Signature=${signature}`
  return { ...headers, authorization }
}

export interface CanonicalParts {
  readonly method: string
  readonly path: string
  readonly query: string
  /** Sorted by name. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly bodySha256: string
}

/** The text whose digest is signed. The headers end with a line break of their own, so that an empty line follows. */
export function canonicalRequest({ method, path, query, headers, bodySha256 }: CanonicalParts): string {
  let lines = ''
  let names = ''
  for (const [name, value] of headers) {
    lines += `${name}:${value}\n`
    names += names === '' ? name : `;${name}`
  }
  return `${method}\n${path}\n${query}\n${lines}\n${names}\n${bodySha256}`
}

/** What the HMAC is of: the algorithm, and the digest of the canonical request in hex. */
export function stringToSign(canonicalSha256: string): string {
  return `${ACS3}\n${canonicalSha256}`
}
