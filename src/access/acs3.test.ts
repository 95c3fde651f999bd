import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { checkDate, parseAuthorization, signAcs3, TIME_WINDOW_MS, verifySignature } from './acs3.ts'
import type { ReceivedRequest } from './request.ts'
import type { UnsignedRequest } from './sign.ts'

const KEY = { id: 'YourAccessKeyId', secret: 'YourAccessKeySecret' }
const ECS = {
  method: 'POST',
  host: 'ecs.cn-shanghai.aliyuncs.com',
  rawPath: '/',
  rawQuery: 'ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai',
  action: 'RunInstances',
  version: '2014-05-26',
}
const DSW = { host: 'pai-dsw.cn-hangzhou.aliyuncs.com', version: '2022-01-01' }
const SAVE: UnsignedRequest = {
  ...DSW,
  method: 'POST',
  rawPath: '/api/v2/instances/dsw-1/snapshots',
  action: 'CreateInstanceSnapshot',
  contentType: 'application/json; charset=utf-8',
  body: '{"ImageUrl":"reg.example.com/ns/repo:snap-v1","SnapshotName":"snap-v1"}',
}
const LIST: UnsignedRequest = {
  ...DSW,
  method: 'GET',
  rawPath: '/api/v2/instances',
  rawQuery: 'Labels=%7B%22a%22%3A%22b%20c%22%7D&PageNumber=1',
  action: 'ListInstances',
}
const TEMPORARY = { id: 'STS.YourAccessKeyId', secret: KEY.secret, securityToken: 'YourSecurityToken' }
const KNOWN = [KEY.id, TEMPORARY.id]
const MOMENT = { nonce: '0123456789abcdef0123456789abcdef', date: new Date('2026-01-02T03:04:05Z') }

/** The same request as the server sees it. */
function receive(request: UnsignedRequest, headers: Readonly<Record<string, string>>): ReceivedRequest {
  const { method, rawPath, rawQuery = '', body = '' } = request
  return { method, rawPath, rawQuery, headers, bodySha256: hash('sha256', body) }
}

function verify(request: ReceivedRequest, secret = KEY.secret) {
  const authorization = parseAuthorization(request.headers)
  // The id is not part of what is signed: it chooses the secret.
  verifySignature(request, authorization, KNOWN.includes(authorization.accessKeyId) ? secret : 'of another key')
  return authorization
}

function refusal(request: ReceivedRequest, secret = KEY.secret): string | undefined {
  try {
    verify(request, secret)
  } catch (error) {
    if (error instanceof AppError) return error.code
    throw error
  }
  return undefined
}

const VECTORS = [
  {
    name: 'published, 10:22',
    request: ECS,
    key: KEY,
    moment: { nonce: '3156853299f313e23d1673dc12e1703d', date: new Date('2023-10-26T10:22:32Z') },
    signature: '06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0',
  },
  {
    name: 'published, 09:01',
    request: ECS,
    key: KEY,
    moment: { nonce: 'd410180a5abf7fe235dd9b74aca91fc0', date: new Date('2023-10-26T09:01:01Z') },
    signature: 'e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804',
  },
  {
    name: 'a body',
    request: SAVE,
    key: KEY,
    moment: MOMENT,
    signature: 'd787624bbfaf09ccdbf4a03d39bf7eac81d76c9321c452281351ca676892ee6a',
  },
  {
    name: 'a temporary key',
    request: LIST,
    key: TEMPORARY,
    moment: MOMENT,
    signature: '0106682e8bedd82eb08cbeb09829ca03724ea8c55f78c075fe8764a00072d61b',
  },
]
for (const { name, request, key, moment, signature } of VECTORS) {
  test(`vector: ${name}`, () => {
    const headers = signAcs3(request, key, moment)
    assert.equal(headers['authorization']?.split('Signature=')[1], signature)
    const authorization = verify(receive(request, headers))
    assert.equal(authorization.signature, signature)
    checkDate(authorization, moment.date.getTime())
  })
}

test('what a request says of its signature', () => {
  const headers = signAcs3(LIST, TEMPORARY, MOMENT)
  const signedHeaders =
    'host x-acs-accesskey-id x-acs-action x-acs-content-sha256 x-acs-date x-acs-security-token x-acs-signature-nonce x-acs-version'
  assert.deepEqual(parseAuthorization(headers), {
    scheme: 'acs3',
    accessKeyId: TEMPORARY.id,
    signedHeaders: signedHeaders.split(' '),
    signature: '0106682e8bedd82eb08cbeb09829ca03724ea8c55f78c075fe8764a00072d61b',
    date: '2026-01-02T03:04:05Z',
    dateMs: MOMENT.date.getTime(),
    nonce: MOMENT.nonce,
    securityToken: 'YourSecurityToken',
    action: 'ListInstances',
    version: '2022-01-01',
  })
  const bare = parseAuthorization(signAcs3({ method: 'GET', host: 'h', rawPath: '/' }, KEY, MOMENT))
  assert.deepEqual(
    ['securityToken', 'action', 'version'].map((name) => name in bare),
    [false, false, false],
  )
})

/** A good request with its headers changed; undefined takes one away. */
function altered(changes: Readonly<Record<string, string | readonly string[] | undefined>>): ReceivedRequest {
  const request = receive(SAVE, signAcs3(SAVE, KEY, MOMENT))
  const headers = Object.entries({ ...request.headers, ...changes }).filter(([, value]) => value !== undefined)
  return { ...request, headers: Object.fromEntries(headers) }
}
const GOOD = signAcs3(SAVE, KEY, MOMENT)['authorization'] ?? ''
const without = (name: string) => ({ [name]: undefined, authorization: GOOD.replace(`${name};`, '') })

const HEADERS: readonly (readonly [reason: string, changes: Parameters<typeof altered>[0], code: string])[] = [
  ['no signature at all', { authorization: undefined }, 'signature_incomplete'],
  ['another algorithm', { authorization: GOOD.replace('SHA256', 'SM3') }, 'signature_unsupported'],
  ['a bearer token', { authorization: 'Bearer abc' }, 'signature_unsupported'],
  ['the older signature while it is off', { authorization: `acs x:${'A'.repeat(27)}=` }, 'signature_unsupported'],
  ['an authorization that is cut', { authorization: GOOD.slice(0, -1) }, 'signature_incomplete'],
  ['a signature in capitals', { authorization: GOOD.toUpperCase().replace(/^.*,/, '') }, 'signature_unsupported'],
  ['spaces between the parts', { authorization: GOOD.replaceAll(',', ', ') }, 'signature_incomplete'],
  ['no access key', { authorization: GOOD.replace(KEY.id, '') }, 'signature_incomplete'],
  ['two authorizations', { authorization: [GOOD, GOOD] }, 'signature_incomplete'],
  [
    'signed headers that are not sorted',
    { authorization: GOOD.replace('content-type;host', 'host;content-type') },
    'signature_incomplete',
  ],
  ['a signed header twice', { authorization: GOOD.replace('host', 'host;host') }, 'signature_incomplete'],
  ['a signed header in capitals', { authorization: GOOD.replace('host', 'Host') }, 'signature_incomplete'],
  [
    'a signed header that is not there',
    { authorization: GOOD.replace('host', 'host;user-agent') },
    'signature_incomplete',
  ],
  [
    'a header that objects have',
    { authorization: GOOD.replace('content-type;', 'constructor;content-type;') },
    'signature_incomplete',
  ],
  ['a host that is not signed', { authorization: GOOD.replace('host;', '') }, 'signature_incomplete'],
  ['a content type that is not signed', { authorization: GOOD.replace('content-type;', '') }, 'signature_incomplete'],
  ['a header that somebody added', { 'x-acs-extra': '1' }, 'signature_incomplete'],
  ['an empty header that somebody added', { 'x-acs-extra': '' }, 'signature_incomplete'],
  ['no host', without('host'), 'signature_incomplete'],
  ['no digest', without('x-acs-content-sha256'), 'signature_incomplete'],
  ['no date', without('x-acs-date'), 'signature_incomplete'],
  ['no nonce', without('x-acs-signature-nonce'), 'signature_incomplete'],
  ['an empty nonce', { 'x-acs-signature-nonce': '' }, 'signature_incomplete'],
  ['a nonce that is too long', { 'x-acs-signature-nonce': 'n'.repeat(129) }, 'signature_incomplete'],
  ['a nonce that breaks lines', { 'x-acs-signature-nonce': 'a b' }, 'signature_incomplete'],
  [
    'the same header twice',
    { 'x-acs-action': ['CreateInstanceSnapshot', 'CreateInstanceSnapshot'] },
    'signature_incomplete',
  ],
  ['a host twice', { host: [DSW.host, DSW.host] }, 'signature_incomplete'],
  ['a date of another form', { 'x-acs-date': '2026-01-02 03:04:05' }, 'timestamp_invalid'],
  ['a date that no calendar has', { 'x-acs-date': '2026-02-30T03:04:05Z' }, 'timestamp_invalid'],
  ['a month that no year has', { 'x-acs-date': '2026-13-02T03:04:05Z' }, 'timestamp_invalid'],
  ['another date', { 'x-acs-date': '2026-01-02T03:04:06Z' }, 'signature_mismatch'],
  ['another host', { host: 'evil.example.com' }, 'signature_mismatch'],
  ['another port', { host: `${DSW.host}:80` }, 'signature_mismatch'],
  ['another action', { 'x-acs-action': 'DeleteInstance' }, 'signature_mismatch'],
  ['another version', { 'x-acs-version': '2022-01-02' }, 'signature_mismatch'],
  ['another nonce', { 'x-acs-signature-nonce': '1'.repeat(32) }, 'signature_mismatch'],
  ['another content type', { 'content-type': 'text/plain' }, 'signature_mismatch'],
  ['the digest of another body', { 'x-acs-content-sha256': hash('sha256', 'x') }, 'signature_mismatch'],
  [
    'a signature of zeros',
    { authorization: GOOD.replace(/Signature=.*/, `Signature=${'0'.repeat(64)}`) },
    'signature_mismatch',
  ],
  ['headers that no signature needs', { 'user-agent': 'x', accept: ['a', 'b'], cookie: 'c' }, 'none'],
  ['spaces around a value', { 'x-acs-action': ' CreateInstanceSnapshot ' }, 'none'],
]
for (const [reason, changes, code] of HEADERS) {
  test(`headers, ${code === 'none' ? 'taken' : 'refused'}: ${reason}`, () => {
    assert.equal(refusal(altered(changes)) ?? 'none', code)
  })
}

test('temporary keys and their tokens belong together', () => {
  const { securityToken: _, ...tokenless } = TEMPORARY
  const rows = [
    ['a temporary key without its token', signAcs3(LIST, tokenless, MOMENT), 'security_token_missing'],
    ['a lasting key with a token', signAcs3(LIST, { ...KEY, securityToken: 't' }, MOMENT), 'security_token_mismatched'],
    [
      'another key in the headers',
      { ...signAcs3(LIST, TEMPORARY, MOMENT), 'x-acs-accesskey-id': 'STS.other' },
      'security_token_mismatched',
    ],
    ['another token', { ...signAcs3(LIST, TEMPORARY, MOMENT), 'x-acs-security-token': 'other' }, 'signature_mismatch'],
  ] as const
  for (const [reason, headers, code] of rows) assert.equal(refusal(receive(LIST, headers)), code, reason)
})

test('a signature in the query is refused with what to use instead', () => {
  const refused = (rawQuery: string) => () => parseAuthorization({ host: 'h' }, { rawQuery })
  assert.throws(refused('AccessKeyId=a&Signature=b&Action=c'), {
    code: 'signature_unsupported',
    message: /ACS3-HMAC-SHA256/,
  })
  assert.throws(refused('Action=c'), { code: 'signature_incomplete' })
})

test('the switch for the older signature is named', () => {
  assert.throws(() => parseAuthorization({ authorization: 'acs a:b' }), { message: /TINTYPE_LEGACY_SIGNATURES=on/ })
})

test('the clock may be off by 15 minutes, either way', () => {
  const authorization = parseAuthorization(signAcs3(LIST, KEY, MOMENT))
  const nowMs = MOMENT.date.getTime()
  for (const offMs of [0, TIME_WINDOW_MS, -TIME_WINDOW_MS]) checkDate(authorization, nowMs + offMs)
  for (const offMs of [TIME_WINDOW_MS + 1, -TIME_WINDOW_MS - 1])
    assert.throws(() => checkDate(authorization, nowMs + offMs), { code: 'timestamp_expired' })
})

/** What clients of other languages put on the wire for a query that they all sign in one form. */
test('a query counts as what it decodes to', () => {
  const signed: UnsignedRequest = { ...LIST, rawQuery: 'A=b%20c&B=~%2A%28%29%27%21' }
  const headers = signAcs3(signed, KEY, MOMENT)
  const wires = [
    ["B=%7E*()'!&A=b+c", 'none'],
    ["A=b%20c&B=~*()'!", 'none'],
    ['A=b%2Bc&B=~%2A%28%29%27%21', 'signature_mismatch'],
    ['A=b%20c', 'signature_mismatch'],
    ['A=b%20c&B=~%2A%28%29%27%21&C=', 'signature_mismatch'],
    ['A=b%20c&A=b%20c&B=~%2A%28%29%27%21', 'signature_incomplete'],
  ] as const
  for (const [rawQuery, code] of wires)
    assert.equal(refusal(receive({ ...signed, rawQuery }, headers)) ?? 'none', code, rawQuery)
})

const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => text.isWellFormed())
const visible = fc.stringMatching(/^[!-~]{1,20}$/)
const requests = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
  host: fc.stringMatching(/^[a-z0-9.-]{1,20}(:[1-9][0-9]{0,4})?$/),
  rawPath: fc.array(word).map((parts) => `/${parts.map(encodeURIComponent).join('/')}`),
  rawQuery: fc
    .dictionary(word, word, { noNullPrototype: true })
    .map((values) => new URLSearchParams(values).toString()),
  action: visible,
  version: visible,
  contentType: visible,
  body: fc.uint8Array({ maxLength: 100 }),
})
const moments = fc.record({
  nonce: visible,
  date: fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }),
})

test('what is signed is verified', () => {
  fc.assert(
    fc.property(requests, moments, word, (request, moment, secret) => {
      const received = receive(request, signAcs3(request, { ...KEY, secret }, moment))
      assert.equal(refusal(received, secret), undefined)
    }),
    { numRuns: 300 },
  )
})

/** One character of `text` replaced by another. */
const change = (text: string, at: number, by: string) => {
  const index = at % Math.max(1, text.length)
  return text.slice(0, index) + by + text.slice(index + 1)
}

test('any one change of what is signed fails', () => {
  const changes = fc.record({ where: fc.nat(), at: fc.nat(), by: fc.constantFrom(...'abc09AZ./-=&') })
  fc.assert(
    fc.property(requests, moments, changes, (request, moment, { where, at, by }) => {
      const received = receive(request, signAcs3(request, KEY, moment))
      const { method, rawPath, rawQuery, bodySha256, headers } = received
      const names = Object.keys(headers)
      const name = names[where % names.length]!
      const tampered: readonly ReceivedRequest[] = [
        { ...received, method: change(method, at, by) },
        { ...received, rawPath: change(rawPath, at, by) },
        { ...received, rawQuery: change(rawQuery, at, by) },
        { ...received, bodySha256: change(bodySha256, at, by) },
        { ...received, headers: { ...headers, [name]: change(String(headers[name]), at, by) } },
      ]
      for (const one of tampered) {
        const isSame = meaning(one) === meaning(received)
        assert.equal(refusal(one) === undefined, isSame, JSON.stringify(one))
      }
    }),
    { numRuns: 300 },
  )
})

/** What a server would act on: equal for two spellings of one request. */
function meaning({ method, rawPath, rawQuery, bodySha256, headers }: ReceivedRequest): string {
  const path = rawPath.split('/').map((segment) => tryDecode(segment.replaceAll('+', ' ')))
  const query = [...new URLSearchParams(rawQuery)].sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([method, path, query, bodySha256, headers])
}

function tryDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
