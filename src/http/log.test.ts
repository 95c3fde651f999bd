import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openLog, redact } from './log.ts'

const SECRET = 'kEEp+this/OUT=='

/** How a secret could come into a line, whatever the care that was taken before. */
const LINES: readonly (readonly [string, object])[] = [
  [
    'an authorization of ours',
    { headers: { authorization: `ACS3-HMAC-SHA256 Credential=LTAI,SignedHeaders=host,Signature=${SECRET}` } },
  ],
  [
    'the same inside a sentence',
    { error: `got ACS3-HMAC-SHA256 Credential=LTAI,SignedHeaders=host,Signature=${SECRET}` },
  ],
  ['an older authorization', { error: `got acs LTAIkey:${SECRET}` }],
  ['a registry login', { error: `sent Basic ${SECRET}` }],
  ['a registry token', { error: `sent Bearer ${SECRET}` }],
  ['a header object', { Authorization: SECRET }],
  ['a cookie', { cookie: SECRET, 'set-cookie': SECRET }],
  ['a CSRF token', { 'x-tintype-csrf': SECRET, CsrfToken: SECRET }],
  ['an image login', { body: { ImageAuth: SECRET } }],
  ['a password in any casing', { Password: SECRET, password: SECRET, oldPassword: SECRET }],
  ['a new key', { AccessKey: { AccessKeyId: 'LTAI', AccessKeySecret: SECRET } }],
  ['a security token', { SecurityToken: SECRET, 'x-acs-security-token': SECRET }],
  ['an instance token', { accessToken: SECRET, Token: SECRET }],
  ['a database URL', { error: `cannot reach postgres://tintype:${SECRET.replaceAll('/', '')}@db/tintype` }],
  [
    'a signed URL of an object store',
    { location: `https://s3/x?X-Amz-Credential=${SECRET}&X-Amz-Signature=${SECRET}` },
  ],
  ['an upload URL of a registry', { location: `https://r/v2/x/blobs/uploads/1?_state=${SECRET}` }],
  ['an RPC request', { path: `/?AccessKeyId=LTAI&Signature=${SECRET}&Action=x` }],
  ['a value with quotes in it', { password: `"${SECRET}\\` }],
]
for (const [name, line] of LINES) {
  test(`the log does not show ${name}`, () => {
    let written = ''
    openLog({ write: (text) => void (written += text) }).info(line, 'told')
    const kept = SECRET.replaceAll('/', '')
    assert.ok(!written.includes(SECRET) && !written.includes(kept), written)
    assert.equal(JSON.parse(written).msg, 'told')
  })
}

test('what is no secret stays as it is', () => {
  const line = JSON.stringify({
    requestId: 'A',
    path: '/api/v2/tokens',
    action: 'GetToken',
    image: 'registry.example.com:5000/a/b@sha256:00',
    error: 'The signature is incomplete: the header host must be signed.',
  })
  assert.equal(redact(line), line)
})

test('a line stays one JSON object, whatever is in it', () => {
  const name = fc.constantFrom('password', 'error', 'Token', 'authorization', 'path')
  fc.assert(
    fc.property(fc.dictionary(name, fc.string({ unit: 'binary' })), (fields) => {
      let written = ''
      openLog({ write: (text) => void (written += text) }).info(fields)
      assert.equal(written.trimEnd().split('\n').length, 1)
      JSON.parse(written)
    }),
    { numRuns: 500 },
  )
})

test('levels are words, times are ISO 8601, and nothing tells the host', () => {
  let written = ''
  openLog({ write: (text) => void (written += text) }).warn('told')
  const { level, time, ...rest } = JSON.parse(written)
  assert.equal(level, 'warn')
  assert.equal(new Date(time).toISOString(), time)
  assert.deepEqual(rest, { msg: 'told' })
})
