import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'
import { openApiServer, ROOT_KEY } from '#lab/api-server.ts'
import { send, signedClient } from '#lab/signed-client.ts'
import type { CallOptions } from '#lab/signed-client.ts'
import { route } from '#http/route.ts'

/** What the handlers saw: a refused request must never reach one. */
const handled: string[] = []
const routes = [
  route({
    action: 'GetInstanceSnapshot',
    handle: async ({ params }) => {
      handled.push('get')
      return { InstanceId: params.InstanceId, SnapshotId: params.SnapshotId, Status: 'Saved' as const }
    },
  }),
  route({
    action: 'CreateInstanceSnapshot',
    handle: async ({ params, body }) => {
      handled.push(`create ${body.SnapshotName}`)
      return { InstanceId: params.InstanceId, SnapshotId: 'snp-1' }
    },
  }),
  route({
    action: 'GetUser',
    handle: async ({ query }) => {
      handled.push(`user ${query.UserName ?? ''}`)
      return { User: { UserName: query.UserName ?? '' } }
    },
  }),
]
const server = await openApiServer({ routes })
after(() => server[Symbol.asyncDispose]())
const call = signedClient(server.url, ROOT_KEY)
const GET = 'GET /api/v2/instances/dsw-1/snapshots/snp-1'
const POST = 'POST /api/v2/instances/dsw-1/snapshots'
const BODY = { SnapshotName: 'friday', ImageUrl: 'localhost:5000/team/notebook' }

test('a signed read is answered, with the envelope and the request id in body and header', async () => {
  const { status, json, headers } = await call(GET, { action: 'GetInstanceSnapshot', version: '2022-01-01' })
  assert.equal(status, 200)
  assert.match(String(json['RequestId']), /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/)
  assert.equal(headers['x-acs-request-id'], json['RequestId'])
  assert.equal(json['Status'], 'Saved')
  assert.deepEqual([json['Success'], json['Code'], json['Message'], json['HttpStatusCode']], [true, null, null, 200])
})

test('a signed change is answered, and has a row in the audit log', async () => {
  const { status, json } = await call(POST, { body: BODY })
  assert.deepEqual([status, json['SnapshotId']], [200, 'snp-1'])
  const row = server.audit.at(-1)
  assert.deepEqual(
    [row?.action, row?.outcome, row?.accessKeyId, row?.requestId, row?.sourceIp],
    ['paidsw:CreateInstanceSnapshot', 'done', ROOT_KEY.id, json['RequestId'], '127.0.0.1'],
  )
})

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000)

const REFUSED: readonly (readonly [string, string, CallOptions, number, string])[] = [
  ['without a signature', GET, { headers: { authorization: undefined } }, 400, 'IncompleteSignature'],
  ['with an empty authorization', GET, { headers: { authorization: '' } }, 400, 'IncompleteSignature'],
  ['with Basic credentials', GET, { headers: { authorization: 'Basic YTpi' } }, 400, 'IncompleteSignature'],
  ['with a secret of nobody', GET, { key: { ...ROOT_KEY, secret: 'wrong' } }, 400, 'SignatureDoesNotMatch'],
  ['with a key of nobody', GET, { key: { id: 'LTAInobody', secret: 'x' } }, 404, 'InvalidAccessKeyId.NotFound'],
  [
    'with another path than was signed',
    GET,
    { sentPath: '/api/v2/instances/dsw-2/snapshots/snp-1' },
    400,
    'SignatureDoesNotMatch',
  ],
  ['with a query that was not signed', GET, { sentPath: `${GET.slice(4)}?a=b` }, 400, 'SignatureDoesNotMatch'],
  [
    'with another body than was signed',
    POST,
    { body: BODY, sentBody: JSON.stringify({ ...BODY, Overwrite: true }) },
    400,
    'SignatureDoesNotMatch',
  ],
  [
    'with a digest of another body',
    POST,
    {
      body: BODY,
      headers: { 'x-acs-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
    },
    400,
    'SignatureDoesNotMatch',
  ],
  ['with another host', GET, { headers: { host: 'elsewhere.example' } }, 400, 'SignatureDoesNotMatch'],
  [
    'with an x-acs header that was not signed',
    GET,
    { headers: { 'x-acs-security-token': 'x' } },
    400,
    'IncompleteSignature',
  ],
  ['sixteen minutes old', GET, { date: minutesAgo(16) }, 400, 'InvalidTimeStamp.Expired'],
  ['sixteen minutes early', GET, { date: minutesAgo(-16) }, 400, 'InvalidTimeStamp.Expired'],
  ['with a nonce of no characters', GET, { nonce: '' }, 400, 'IncompleteSignature'],
  [
    'signed in the older way',
    GET,
    { headers: { authorization: 'acs key:aaaaaaaaaaaaaaaaaaaaaaaaaaa=' } },
    400,
    'IncompleteSignature',
  ],
  ['that names another action', GET, { action: 'GetInstance' }, 404, 'InvalidAction.NotFound'],
  ['that names another version', GET, { action: 'GetInstanceSnapshot', version: '2020-01-01' }, 400, 'InvalidVersion'],
  [
    'of a method that the path has not',
    'PUT /api/v2/instances/dsw-1/snapshots/snp-1',
    {},
    405,
    'InvalidAction.NotFound',
  ],
  ['of a path of nobody', 'GET /api/v9/instances', {}, 404, 'InvalidAction.NotFound'],
]
for (const [name, line, options, status, code] of REFUSED) {
  test(`a request is refused ${name}`, async () => {
    const before = handled.length
    const answer = await call(line, options)
    assert.deepEqual([answer.status, answer.json['Code']], [status, code])
    assert.equal(handled.length, before, 'no handler was reached')
    for (const field of ['RequestId', 'HostId', 'Message', 'Recommend'])
      assert.equal(typeof answer.json[field], 'string')
  })
}

test('the refusal of the older signature names the setting that allows it', async () => {
  const answer = await call(GET, { headers: { authorization: 'acs key:aaaaaaaaaaaaaaaaaaaaaaaaaaa=' } })
  assert.match(String(answer.json['Message']), /TINTYPE_LEGACY_SIGNATURES=on/)
})

for (const [name, line, options] of [
  ['a read', GET, {}],
  ['a change', POST, { body: BODY }],
] as const) {
  test(`${name} that is sent again is refused, whatever else it says`, async () => {
    const nonce = randomBytes(16).toString('hex')
    const first = await call(line, { ...options, nonce })
    const again = await call(line, { ...options, nonce })
    assert.deepEqual([first.status, again.status, again.json['Code']], [200, 400, 'SignatureNonceUsed'])
  })
}

test('a key in the query is no signature, and the answer does not repeat it', async () => {
  const path = `/?Action=GetUser&Version=2015-05-01&AccessKeyId=${ROOT_KEY.id}&Signature=c2VjcmV0&SignatureMethod=HMAC-SHA1`
  const answer = await send(server.url, { method: 'GET', path })
  assert.deepEqual([answer.status, answer.json['Code']], [400, 'IncompleteSignature'])
  assert.ok(!answer.text.includes('c2VjcmV0') && !answer.text.includes(ROOT_KEY.id))
})

test('a switched off key is told so', async () => {
  const key = { id: 'LTAIoff', secret: 'off' }
  server.keys.set(key.id, { ...server.keys.get(ROOT_KEY.id)!, secret: key.secret, isActive: false })
  const answer = await call(GET, { key })
  assert.deepEqual([answer.status, answer.json['Code']], [400, 'InvalidAccessKeyId.Inactive'])
})

test('RPC: parameters in the query, in a form, or in both', async () => {
  const named = { action: 'GetUser', version: '2015-05-01' }
  const user = async (options: CallOptions, method = 'POST') => {
    const answer = await call(`${method} /`, { ...named, ...options })
    return [answer.status, (answer.json['User'] as { UserName?: string })?.UserName]
  }
  const form = { contentType: 'application/x-www-form-urlencoded' }
  assert.deepEqual(await user({ query: 'UserName=ann' }), [200, 'ann'])
  assert.deepEqual(await user({ query: 'UserName=ann' }, 'GET'), [200, 'ann'])
  assert.deepEqual(await user({ ...form, rawBody: 'UserName=a.b' }), [200, 'a.b'])
  assert.deepEqual(await user({ ...form, rawBody: 'UserName=ann', query: 'RegionId=local' }), [200, 'ann'])
  assert.equal((await user({ ...form, rawBody: 'UserName=ann', query: 'UserName=bob' }))[0], 400, 'which one counts?')
})

test('RPC: action and version may stand in the query', async () => {
  const answer = await call('GET /', { query: 'Action=GetUser&UserName=ann&Version=2015-05-01' })
  assert.equal(answer.status, 200)
})

test('spaces in a query may be + or %20, and are signed as %20', async () => {
  const named = { action: 'GetUser', version: '2015-05-01' }
  const answer = await call('POST /', { ...named, query: 'UserName=a%20b', sentPath: '/?UserName=a+b' })
  assert.notEqual(answer.json['Code'], 'SignatureDoesNotMatch')
})
