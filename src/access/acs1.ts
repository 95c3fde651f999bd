/** The older signature of ROA clients (HMAC-SHA1): verified where the configuration allows it, never made. */
import { createHash, createHmac } from 'node:crypto'
import { AppError } from '#base/errors.ts'
import { isSameSignature, signatureMismatch } from './authorization.ts'
import type { Acs1Authorization } from './authorization.ts'
import { decodeQuery, headerOf } from './request.ts'
import type { ReceivedHeaders, ReceivedRequest } from './request.ts'

/** What the `authorization` and the `date` of the older form say. Throws `signature_incomplete`, `signature_unsupported`, `timestamp_invalid`. */
export function parseAcs1(headers: ReceivedHeaders, authorization: string) {
  const [, accessKeyId, signature] = /^acs ([^:\s]{1,256}):([A-Za-z0-9+/]{27}=)$/.exec(authorization) ?? []
  if (accessKeyId === undefined || signature === undefined)
    throw new AppError('signature_incomplete', 'The authorization is not of the form "acs AccessKeyId:Signature".')
  const method = headerOf(headers, 'x-acs-signature-method') ?? 'HMAC-SHA1'
  if (method !== 'HMAC-SHA1')
    throw new AppError(
      'signature_unsupported',
      `The signature method ${method} is not supported: use ACS3-HMAC-SHA256.`,
    )
  const date = headerOf(headers, 'date')
  if (date === undefined)
    throw new AppError('timestamp_invalid', 'The request has no date: send it as RFC 1123 says, in GMT.')
  return { accessKeyId, signature, date, dateMs: parseHttpDate(date) }
}

/** `Tue, 24 Nov 2026 10:00:00 GMT` in ms since 1970. Throws `timestamp_invalid` for every other spelling. */
function parseHttpDate(text: string): number {
  const dateMs = Date.parse(text)
  if (Number.isNaN(dateMs) || new Date(dateMs).toUTCString() !== text)
    throw new AppError('timestamp_invalid', `The date "${text}" is not of the form "Tue, 24 Nov 2026 10:00:00 GMT".`)
  return dateMs
}

/**
 * Throws `signature_mismatch` unless the request was signed with `secret`. The signature does not cover the body but by
 * a content-md5, which is compared where it is there; nor the host.
 */
export function verifyAcs1(received: ReceivedRequest, authorization: Acs1Authorization, secret: string): void {
  checkContentMd5(received)
  const head = stringHead(received)
  const resources = canonicalResources(received)
  const isRight = resources.some((resource) => {
    const expected = createHmac('sha1', secret).update(`${head}${resource}`).digest('base64')
    return isSameSignature(expected, authorization.signature)
  })
  if (!isRight) throw signatureMismatch('check the AccessKey secret, and that no proxy changes the path or the query')
}

function checkContentMd5({ headers, body }: ReceivedRequest): void {
  const claimed = headerOf(headers, 'content-md5')
  if (claimed === undefined || claimed === '') return
  const actual = createHash('md5')
    .update(body ?? '')
    .digest('base64')
  if (claimed !== actual) throw signatureMismatch('content-md5 is not the MD5 of the body as it came')
}

function stringHead({ method, headers }: ReceivedRequest): string {
  const named = ['accept', 'content-md5', 'content-type', 'date'].map((name) => headerOf(headers, name) ?? '')
  const ours = Object.keys(headers).filter((name) => name.startsWith('x-acs-'))
  const lines = ours.sort().map((name) => `${name}:${headerOf(headers, name)?.replace(/[\t\f]/g, ' ')}\n`)
  return `${method}\n${named.join('\n')}\n${lines.join('')}`
}

/**
 * The path and the decoded query, in the spellings that clients sign: an empty value with or without `=`, no query with
 * or without `?`.
 * What could be two queries is refused: the values stand there decoded, so that `a=1%26b=2` would look like `a=1&b=2`.
 */
function canonicalResources({ rawPath, rawQuery }: ReceivedRequest): readonly string[] {
  const parameters = decodeQuery(rawQuery)
  for (const [name, value] of parameters) {
    if (!/[&=]/.test(name) && !value.includes('&')) continue
    const text = `The older signature does not cover a query with "&" in the parameter "${name}": use ACS3-HMAC-SHA256.`
    throw new AppError('signature_unsupported', text)
  }
  const paths = [rawPath || '/', rawPath.replaceAll('%27', "'")] // Node's client sends a quote encoded, and signs it bare
  const withEquals = parameters.map(([name, value]) => `${name}=${value}`).join('&')
  const without = parameters.map(([name, value]) => (value === '' ? name : `${name}=${value}`)).join('&')
  const queries = parameters.length === 0 ? ['', '?'] : [`?${without}`, `?${withEquals}`]
  return [...new Set(paths.flatMap((path) => queries.map((query) => path + query)))]
}
