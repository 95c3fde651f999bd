/**
 * Who signed a request: ACS3-HMAC-SHA256 and, where it is allowed, the older HMAC-SHA1 of ROA clients. Three steps, so
 * that the server can look the key up in between:
 *
 *     parseAuthorization → checkDate → (the secret of its accessKeyId) → verifySignature
 */
import { createHmac, hash } from 'node:crypto'
import { AppError } from '#base/errors.ts'
import { parseAcs1, verifyAcs1 } from './acs1.ts'
import { isSameSignature, signatureMismatch } from './authorization.ts'
import type { Acs3Authorization, Authorization } from './authorization.ts'
import { canonicalPaths, canonicalQuery, decodeQuery, headerOf } from './request.ts'
import type { ReceivedHeaders, ReceivedRequest } from './request.ts'
import { ACS3, canonicalRequest, stringToSign } from './sign.ts'

export { signAcs3 } from './sign.ts'
export type { Authorization } from './authorization.ts'
export type { ReceivedRequest } from './request.ts'

/** How far the client's clock may be off, either way; a nonce can be forgotten this long after the date beside it. */
export const TIME_WINDOW_MS = 15 * 60 * 1000

export interface AuthorizationOptions {
  /** `TINTYPE_LEGACY_SIGNATURES=on`: take HMAC-SHA1 of ROA clients as well. */
  readonly legacySignatures?: boolean
  /** Only looked at in a request without an authorization, to say what is wrong with it. */
  readonly rawQuery?: string
}

/**
 * Read what the request says of its signature. Throws `signature_incomplete` when there is none, it is malformed, or
 * it does not cover a header that it must cover; `signature_unsupported`, `timestamp_invalid`, `security_token_missing`
 * and `security_token_mismatched`.
 */
export function parseAuthorization(headers: ReceivedHeaders, options: AuthorizationOptions = {}): Authorization {
  const text = headerOf(headers, 'authorization')
  if (text === undefined) throw unsigned(options.rawQuery ?? '')
  if (text.startsWith(`${ACS3} `)) {
    const { accessKeyId, signedHeaders, signature } = parseAcs3(text)
    checkCoverage(headers, signedHeaders)
    const date = required(headers, 'x-acs-date')
    const proof = { accessKeyId, signedHeaders, signature, date, dateMs: parseAcsDate(date) }
    const nonce = parseNonce(required(headers, 'x-acs-signature-nonce'))
    return { scheme: 'acs3', ...proof, nonce, ...commonClaims(headers, accessKeyId) }
  }
  if (!text.startsWith('acs '))
    throw new AppError('signature_unsupported', `This way to sign is not supported: use ${ACS3}.`)
  if (options.legacySignatures !== true) {
    const remedy = `use ${ACS3}, or set TINTYPE_LEGACY_SIGNATURES=on for the server`
    throw new AppError('signature_unsupported', `Signatures with HMAC-SHA1 are switched off: ${remedy}.`)
  }
  const proof = parseAcs1(headers, text)
  // The oldest cores (Go, Java) send none. Their signature is the same only for the same request in the same second.
  const nonce = parseNonce(headerOf(headers, 'x-acs-signature-nonce') ?? proof.signature)
  return { scheme: 'acs1', ...proof, nonce, ...commonClaims(headers, proof.accessKeyId) }
}

function unsigned(rawQuery: string): AppError {
  const isRpc = decodeQuery(rawQuery).some(([name]) => name === 'Signature' || name === 'AccessKeyId')
  return isRpc
    ? new AppError('signature_unsupported', `Signatures in the query are not supported: use ${ACS3}.`)
    : new AppError('signature_incomplete', `The request is not signed: sign it with ${ACS3}.`)
}

function parseAcs3(text: string) {
  const form = /^ACS3-HMAC-SHA256 Credential=([^,\s]{1,256}),SignedHeaders=([^,\s]*),Signature=([0-9a-f]{64})$/
  const [, accessKeyId, names, signature] = form.exec(text) ?? []
  if (accessKeyId !== undefined && names !== undefined && signature !== undefined)
    return { accessKeyId, signedHeaders: names.split(';'), signature }
  const wanted = `${ACS3} Credential=…,SignedHeaders=…,Signature=… (64 lower-case hex digits)`
  throw new AppError('signature_incomplete', `The authorization is not of the form "${wanted}".`)
}

const isCommon = (name: string) => name.startsWith('x-acs-') || name === 'host' || name === 'content-type'

/** Every common header that is there must be signed (V3 request syntax), or an attacker could add one. */
function checkCoverage(headers: ReceivedHeaders, signedHeaders: readonly string[]): void {
  signedHeaders.forEach((name, i) => {
    if (name !== name.toLowerCase() || (i > 0 && name <= (signedHeaders[i - 1] ?? '')))
      throw incomplete('SignedHeaders must be in lower case, sorted, and name each header once')
    if (headerOf(headers, name) === undefined) throw incomplete(`it names the header ${name}, which is not there`)
  })
  for (const name of ['host', 'x-acs-content-sha256', 'x-acs-date', 'x-acs-signature-nonce'])
    if (!signedHeaders.includes(name)) throw incomplete(`the header ${name} must be there and signed`)
  for (const name of Object.keys(headers))
    if (isCommon(name) && !signedHeaders.includes(name)) throw incomplete(`the header ${name} must be signed`)
}

function incomplete(what: string): AppError {
  return new AppError('signature_incomplete', `The signature is incomplete: ${what}.`)
}

function required(headers: ReceivedHeaders, name: string): string {
  const value = headerOf(headers, name)
  if (value === undefined || value === '') throw incomplete(`the header ${name} must not be empty`)
  return value
}

function parseNonce(text: string): string {
  if (/^[\x21-\x7e]{1,128}$/.test(text)) return text
  throw incomplete('x-acs-signature-nonce must be 1 to 128 printable characters')
}

function commonClaims(headers: ReceivedHeaders, accessKeyId: string) {
  const securityToken = headerOf(headers, 'x-acs-security-token')
  if ((headerOf(headers, 'x-acs-accesskey-id') ?? accessKeyId) !== accessKeyId)
    throw new AppError('security_token_mismatched', 'x-acs-accesskey-id is not the access key that signed the request.')
  const isTemporary = accessKeyId.startsWith('STS.')
  if (isTemporary && !securityToken)
    throw new AppError('security_token_missing', `The key ${accessKeyId} is temporary: send its x-acs-security-token.`)
  if (!isTemporary && securityToken)
    throw new AppError('security_token_mismatched', `The key ${accessKeyId} is not temporary: send no security token.`)
  const action = headerOf(headers, 'x-acs-action')
  const version = headerOf(headers, 'x-acs-version')
  return { ...(securityToken && { securityToken }), ...(action && { action }), ...(version && { version }) }
}

/** The requests of one second have one date. */
let lastDate = { text: '', dateMs: 0 }

/** `yyyy-MM-ddTHH:mm:ssZ` in ms since 1970. Throws `timestamp_invalid`, for 30 February too. */
function parseAcsDate(text: string): number {
  if (text === lastDate.text) return lastDate.dateMs
  const dateMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : NaN
  if (Number.isNaN(dateMs) || new Date(dateMs).toISOString() !== text.replace('Z', '.000Z'))
    throw new AppError('timestamp_invalid', `x-acs-date "${text}" is not of the form yyyy-MM-ddTHH:mm:ssZ.`)
  lastDate = { text, dateMs }
  return dateMs
}

/** Throws `timestamp_expired` when the request is dated more than 15 minutes from `nowMs` (ms since 1970). */
export function checkDate({ date, dateMs }: Authorization, nowMs: number): void {
  if (Math.abs(nowMs - dateMs) <= TIME_WINDOW_MS) return
  const text = `The request is dated ${date}, more than 15 minutes from the server's clock: set the clocks of both hosts.`
  throw new AppError('timestamp_expired', text)
}

/** Throws `signature_mismatch` unless `received`, whose authorization this is, was signed with `secret`. */
export function verifySignature(received: ReceivedRequest, authorization: Authorization, secret: string): void {
  if (authorization.scheme === 'acs1') verifyAcs1(received, authorization, secret)
  else verifyAcs3(received, authorization, secret)
}

function verifyAcs3(received: ReceivedRequest, authorization: Acs3Authorization, secret: string): void {
  const { method, headers, bodySha256 } = received
  if (headerOf(headers, 'x-acs-content-sha256') !== bodySha256)
    throw signatureMismatch('x-acs-content-sha256 is not the SHA-256 of the body as it came')
  const query = canonicalQuery(received.rawQuery)
  const signed = authorization.signedHeaders.map((name) => [name, headerOf(headers, name) ?? ''] as const)
  for (const path of canonicalPaths(received.rawPath)) {
    const canonical = canonicalRequest({ method, path, query, headers: signed, bodySha256 })
    const text = stringToSign(hash('sha256', canonical))
    if (isSameSignature(createHmac('sha256', secret).update(text).digest('hex'), authorization.signature)) return
  }
  throw signatureMismatch('check the AccessKey secret, and that no proxy changes the host, the path or the query')
}
