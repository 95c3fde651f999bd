import assert from 'node:assert/strict'
import { createHash, createHmac, hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { checkDate, parseAuthorization, TIME_WINDOW_MS, verifySignature } from './acs3.ts'
import type { ReceivedRequest } from './request.ts'

const SECRET = 'YourAccessKeySecret'
const DATE = 'Tue, 24 Nov 2026 10:00:00 GMT'
const HEADERS = {
  accept: 'application/json',
  date: DATE,
  host: 'h',
  'x-acs-action': 'ListInstances',
  'x-acs-signature-method': 'HMAC-SHA1',
  'x-acs-signature-nonce': '0123456789abcdef',
  'x-acs-signature-version': '1.0',
  'x-acs-version': '2022-01-01',
}
const READ: ReceivedRequest = {
  method: 'GET',
  rawPath: '/api/v2/instances',
  rawQuery: 'InstanceName=b+c&Empty=&Labels=%7B%22a%22%3A%22%C3%BC%22%7D',
  headers: HEADERS,
  bodySha256: hash('sha256', ''),
}
const BODY = Buffer.from('{"SnapshotName":"a"}')
const WRITE: ReceivedRequest = {
  method: 'POST',
  rawPath: '/api/v2/instances/dsw-1/snapshots',
  rawQuery: '',
  headers: { ...HEADERS, 'x-acs-action': 'CreateInstanceSnapshot', 'content-type': 'application/json; charset=utf-8' },
  bodySha256: hash('sha256', BODY),
  body: BODY,
}
// Made by the official core 1.0.8 for these two requests.
const READ_SIGNATURE = 'PgH/r4qffrImds3XIHyEeHYAG4M='
const WRITE_SIGNATURE = 'z6/9ULYXkikXvDBSAbimDI6pvLw='

type Changes = Readonly<Record<string, string | readonly string[] | undefined>>
const signed = (request: ReceivedRequest, signature: string, changes: Changes = {}): ReceivedRequest => {
  const headers = { ...request.headers, authorization: `acs LTAIkey:${signature}`, ...changes }
  return { ...request, headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)) }
}
/** Signed by hand, for what the vectors do not have. */
const sign = (text: string) => createHmac('sha1', SECRET).update(text).digest('base64')

function verify(request: ReceivedRequest, secret = SECRET) {
  const authorization = parseAuthorization(request.headers, { legacySignatures: true })
  verifySignature(request, authorization, secret)
  return authorization
}

function refusal(request: ReceivedRequest, secret = SECRET): string | undefined {
  try {
    verify(request, secret)
  } catch (error) {
    if (error instanceof AppError) return error.code
    throw error
  }
  return undefined
}

test('requests of the official core are verified', () => {
  assert.deepEqual(verify(signed(READ, READ_SIGNATURE)), {
    scheme: 'acs1',
    accessKeyId: 'LTAIkey',
    signature: READ_SIGNATURE,
    date: DATE,
    dateMs: Date.UTC(2026, 10, 24, 10),
    nonce: '0123456789abcdef',
    action: 'ListInstances',
    version: '2022-01-01',
  })
  assert.equal(refusal(signed(WRITE, WRITE_SIGNATURE)), undefined)
})

const ROWS: readonly (readonly [reason: string, request: ReceivedRequest, code: string])[] = [
  ['another method', signed({ ...READ, method: 'DELETE' }, READ_SIGNATURE), 'signature_mismatch'],
  ['another path', signed({ ...READ, rawPath: '/api/v2/ecsspecs' }, READ_SIGNATURE), 'signature_mismatch'],
  ['another query', signed({ ...READ, rawQuery: `${READ.rawQuery}&A=1` }, READ_SIGNATURE), 'signature_mismatch'],
  ['a shorter query', signed({ ...READ, rawQuery: 'InstanceName=b+c' }, READ_SIGNATURE), 'signature_mismatch'],
  ['another date', signed(READ, READ_SIGNATURE, { date: DATE.replace('10:', '11:') }), 'signature_mismatch'],
  ['another accept', signed(READ, READ_SIGNATURE, { accept: 'text/html' }), 'signature_mismatch'],
  ['another action', signed(READ, READ_SIGNATURE, { 'x-acs-action': 'DeleteInstance' }), 'signature_mismatch'],
  ['a header added', signed(READ, READ_SIGNATURE, { 'x-acs-extra': '' }), 'signature_mismatch'],
  ['a content type added', signed(READ, READ_SIGNATURE, { 'content-type': 'a/b' }), 'signature_mismatch'],
  ['an action twice', signed(READ, READ_SIGNATURE, { 'x-acs-action': ['a', 'b'] }), 'signature_incomplete'],
  ['no date', signed(READ, READ_SIGNATURE, { date: undefined }), 'timestamp_invalid'],
  ['a date of another form', signed(READ, READ_SIGNATURE, { date: '2026-11-24T10:00:00Z' }), 'timestamp_invalid'],
  ['a weekday that is wrong', signed(READ, READ_SIGNATURE, { date: DATE.replace('Tue', 'Wed') }), 'timestamp_invalid'],
  ['a nonce taken away', signed(READ, READ_SIGNATURE, { 'x-acs-signature-nonce': undefined }), 'signature_mismatch'],
  ['an empty nonce', signed(READ, READ_SIGNATURE, { 'x-acs-signature-nonce': '' }), 'signature_incomplete'],
  ['a signature that is cut', signed(READ, READ_SIGNATURE.slice(1)), 'signature_incomplete'],
  ['no access key', signed(READ, READ_SIGNATURE, { authorization: `acs :${READ_SIGNATURE}` }), 'signature_incomplete'],
  [
    'another method to sign',
    signed(READ, READ_SIGNATURE, { 'x-acs-signature-method': 'HMAC-SHA256' }),
    'signature_unsupported',
  ],
  [
    'an MD5 that is not signed',
    signed(WRITE, WRITE_SIGNATURE, { 'content-md5': createHash('md5').update(BODY).digest('base64') }),
    'signature_mismatch',
  ],
]
for (const [reason, request, code] of ROWS) {
  test(`refused: ${reason}`, () => assert.equal(refusal(request), code))
}

test('another secret is refused', () => assert.equal(refusal(signed(READ, READ_SIGNATURE), 'x'), 'signature_mismatch'))

const withMd5 = (md5: string, body?: Buffer) => {
  const text = `PUT\n\n${md5}\n\n${DATE}\nx-acs-signature-nonce:n\n/p`
  const headers = { date: DATE, 'content-md5': md5, 'x-acs-signature-nonce': 'n' }
  const request = { method: 'PUT', rawPath: '/p', rawQuery: '', headers, bodySha256: '', body }
  return signed(request, sign(text))
}

test('a content-md5 is compared with the body, with that of no body too', () => {
  const md5 = (bytes: string | Buffer) => createHash('md5').update(bytes).digest('base64')
  assert.equal(refusal(withMd5(md5(BODY), BODY)), undefined)
  assert.equal(refusal(withMd5(md5(''))), undefined)
  assert.equal(refusal(withMd5(md5(''), BODY)), 'signature_mismatch')
  assert.equal(refusal(withMd5(md5(BODY))), 'signature_mismatch')
})

test('an empty value is signed with or without its equals sign', () => {
  for (const resource of ['/p?a&b=1', '/p?a=&b=1']) {
    const text = `GET\n\n\n\n${DATE}\nx-acs-signature-nonce:n\n${resource}`
    const headers = { date: DATE, 'x-acs-signature-nonce': 'n' }
    const request = { method: 'GET', rawPath: '/p', rawQuery: 'b=1&a', headers, bodySha256: '' }
    assert.equal(refusal(signed(request, sign(text))), undefined)
  }
})

test('a query that would look like another one is refused', () => {
  for (const rawQuery of ['a=1%26b=2', 'a%26b=1', 'a%3Db=1', 'a%3D=1'])
    assert.equal(refusal(signed({ ...READ, rawQuery }, READ_SIGNATURE)), 'signature_unsupported', rawQuery)
})

test('temporary keys and their tokens belong together', () => {
  const temporary = (token?: string) =>
    signed(READ, '', { authorization: `acs STS.k:${READ_SIGNATURE}`, 'x-acs-security-token': token })
  assert.equal(refusal(temporary()), 'security_token_missing')
  assert.equal(refusal(temporary('t')), 'signature_mismatch')
  assert.equal(refusal(signed(READ, READ_SIGNATURE, { 'x-acs-security-token': 't' })), 'security_token_mismatched')
})

test('the clock window is the same as for the newer signature', () => {
  const authorization = verify(signed(READ, READ_SIGNATURE))
  checkDate(authorization, authorization.dateMs + TIME_WINDOW_MS)
  assert.throws(() => checkDate(authorization, authorization.dateMs + TIME_WINDOW_MS + 1), {
    code: 'timestamp_expired',
  })
})

test('any other value of a query parameter fails', () => {
  const word = fc.stringMatching(/^[a-zA-Z0-9 ü]{1,10}$/)
  fc.assert(
    fc.property(word, word, (value, other) => {
      const text = `GET\n\n\n\n${DATE}\nx-acs-signature-nonce:n\n/p?a=${value}`
      const headers = { date: DATE, 'x-acs-signature-nonce': 'n' }
      const request = { method: 'GET', rawPath: '/p', headers, bodySha256: '' }
      const of = (one: string) => signed({ ...request, rawQuery: `a=${encodeURIComponent(one)}` }, sign(text))
      assert.equal(refusal(of(value)), undefined)
      if (other !== value) assert.equal(refusal(of(other)), 'signature_mismatch')
    }),
  )
})

test('a client that sends no nonce has its signature for one; it may sign the question mark of no query', () => {
  for (const resource of ['/p', '/p?']) {
    const signature = sign(`GET\n\n\n\n${DATE}\n${resource}`)
    const request = { method: 'GET', rawPath: '/p', rawQuery: '', headers: { date: DATE }, bodySha256: '' }
    assert.equal(verify(signed(request, signature)).nonce, signature)
  }
})
