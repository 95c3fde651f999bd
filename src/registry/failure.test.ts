import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { connectionError, isTransient, printable, readRefusal, refusalError } from './failure.ts'
import type { HttpResponse } from './http.ts'

const context = { name: 'r.example.com/a', host: 'r.example.com', action: 'push a blob' }

function answer(status: number, body: string): HttpResponse {
  const bytes = Buffer.from(body)
  return {
    status,
    headers: {},
    url: new URL('https://r.example.com/'),
    isEarly: false,
    body: (async function* () {
      yield bytes
    })(),
    read: async (most) => ({ bytes: bytes.subarray(0, most), isComplete: bytes.length <= most }),
    discard: async () => {},
  }
}

const PRINTED = [
  ['a\r\nb\u001b[31mc', 'a b [31mc', 'line breaks and terminal codes'],
  ['a\u202eb\u2066c', 'a b c', 'direction marks'],
  ['sent Bearer abc.def-g== on', 'sent Bearer … on', 'a token'],
  ['eyJhbGciOi.eyJzdWIi.c2ln is bad', '… is bad', 'a bare JWT'],
  ['see https://s3/x?X-Amz-Signature=1&b=2 now', 'see https://s3/x?… now', 'a signed address'],
  ['https://ada:secret@host/x', 'https://host/x', 'a password in an address'],
] as const

for (const [text, expected, why] of PRINTED) test(`${why}: not printed`, () => assert.equal(printable(text), expected))

test('no foreign text is longer than a message, or has a control character', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 2000, unit: 'binary' }), (text) => {
      const line = printable(text)
      assert.ok(line.length <= 301)
      assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/)
    }),
  )
})

const REFUSALS = [
  [
    401,
    '{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}',
    'registry_denied',
    /401 UNAUTHORIZED "no".*tintype login r\.example\.com/,
  ],
  [403, '', 'registry_denied', /\(403\)/],
  [404, '{"errors":[{"code":"NAME_UNKNOWN","message":"x"}]}', 'registry_refused', /create the repository first/],
  [400, 'plain words', 'registry_refused', /400 "plain words"/],
  [502, '<html><h1>Bad gateway</h1>', 'registry_unavailable', /\(502\): try again later/],
  [429, '{"details":"too many","errors":null}', 'registry_unavailable', /too many/],
  [418, '{"errors":[null,{"code":7,"message":{}}]}', 'registry_refused', /418 7/],
] as const

for (const [status, body, code, message] of REFUSALS)
  test(`${status} ${body || '(nothing)'} is ${code}`, async () => {
    const error = refusalError(await readRefusal(answer(status, body)), context)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    assert.equal(error.details['status'], status)
  })

test('any answer whatsoever makes an error, of bounded length', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 300, max: 599 }), fc.oneof(fc.string(), fc.json()), async (status, body) => {
      const error = refusalError(await readRefusal(answer(status, body)), context)
      assert.ok(error.message.length < 700)
    }),
  )
})

const CONNECTIONS = [
  ['ECONNREFUSED', /r\.example\.com cannot be reached: nothing listens there/, true],
  ['ENOTFOUND', /the name has no address/, false],
  ['EPROTO', /does not speak TLS: write http:\/\/r\.example\.com/, false],
  ['ERR_SSL_WRONG_VERSION_NUMBER', /does not speak TLS/, false],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', /certificate is not trusted.*install its CA/, false],
  ['CERT_HAS_EXPIRED', /certificate is not trusted \(CERT_HAS_EXPIRED\)/, false],
  ['ECONNRESET', /cut/, true],
  ['EWHATEVER', /EWHATEVER: try again/, true],
] as const

for (const [code, message, transient] of CONNECTIONS)
  test(`${code}: what to do is said, and ${transient ? 'it may pass' : 'it is not tried again'}`, () => {
    const error = connectionError(Object.assign(new Error('raw'), { code }), 'r.example.com')
    assert.equal(error.code, 'registry_unavailable')
    assert.match(error.message, message)
    assert.equal(isTransient(error), transient)
  })

test('a cancel stays a cancel, and our own errors stay what they are', () => {
  assert.equal(connectionError(new DOMException('x', 'AbortError'), 'h').code, 'cancelled')
  const own = new AppError('registry_untrusted', 'x')
  assert.equal(connectionError(own, 'h'), own)
  assert.equal(isTransient(own), false)
  assert.equal(isTransient(new Error('raw')), false)
})
