/** What the official core of the SDKs signs and sends, our side verifies: the one judge of a signature is who made it. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkDate, parseAuthorization, verifySignature } from '#access/acs3.ts'
import type { Authorization } from '#access/acs3.ts'
import type { ReceivedRequest } from '#access/request.ts'
import { AppError } from '#base/errors.ts'
import { route } from '#http/route.ts'
import { openApiServer, ROOT_KEY } from '#lab/api-server.ts'
import { installFromNpm } from '#lab/npm.ts'

const CORE = '@alicloud/openapi-core'
const SECRET = 'a secret/with+signs='
const directory = mkdtempSync(join(tmpdir(), 'tintype-core-'))
const received: ReceivedRequest[] = []
const server = createServer((request, response) => {
  void read(request).then((one) => {
    received.push(one)
    response.setHeader('content-type', 'application/json').end('{"RequestId":"1"}')
  })
})
let core: Core

interface Core {
  readonly Client: new (config: object) => {
    callApi(params: object, request: object, runtime: object): Promise<unknown>
  }
  readonly config: (values: object) => object
  readonly params: (values: object) => object
  readonly request: (values: object) => object
  readonly runtime: () => object
}

async function read(request: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const [rawPath = '', rawQuery = ''] = (request.url ?? '').split(/\?(.*)/s)
  const bodySha256 = createHash('sha256').update(body).digest('hex')
  return { method: request.method ?? '', rawPath, rawQuery, headers: request.headersDistinct, bodySha256, body }
}

before(async () => {
  const modules = await installFromNpm(directory, `${CORE}@1.0.8`)
  const load = createRequire(`${modules}/`)
  const openapi = load(CORE)
  const runtime = load('@darabonba/typescript')
  core = {
    Client: openapi.default,
    config: (values) => new openapi.$OpenApiUtil.Config(values),
    params: (values) => new openapi.$OpenApiUtil.Params(values),
    request: (values) => new openapi.$OpenApiUtil.OpenApiRequest(values),
    runtime: () => new runtime.RuntimeOptions({}),
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

after(() => {
  server.close()
  rmSync(directory, { recursive: true, force: true })
})

interface Sent {
  readonly method: string
  readonly pathname: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object
  readonly style?: 'ROA' | 'RPC'
  readonly action?: string
}

async function send(sent: Sent, config: object = {}): Promise<ReceivedRequest> {
  const { port } = server.address() as AddressInfo
  await callAt(`127.0.0.1:${port}`, sent, { accessKeyId: 'LTAIkey', accessKeySecret: SECRET, ...config })
  return received.at(-1)!
}

/** What the client makes of the answer of `endpoint`; it throws what it makes of a refusal. */
async function callAt(endpoint: string, sent: Sent, config: object): Promise<unknown> {
  const client = new core.Client(core.config({ endpoint, protocol: 'HTTP', ...config }))
  const { style = 'ROA', method, pathname, action = 'SomeAction' } = sent
  const fixed = { action, version: '2022-01-01', protocol: 'HTTP', authType: 'AK', bodyType: 'json' }
  const params = core.params({ ...fixed, style, method, pathname, reqBodyType: 'json' })
  const headers = sent.body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }
  const request = { query: sent.query ?? {}, headers, ...(sent.body && { body: sent.body }) }
  return await client.callApi(params, core.request(request), core.runtime())
}

function verify(request: ReceivedRequest, secret = SECRET): Authorization {
  const { rawQuery } = request
  const authorization = parseAuthorization(request.headers, { rawQuery, legacySignatures: true })
  checkDate(authorization, Date.now())
  verifySignature(request, authorization, secret)
  return authorization
}

/** The code of what `verify` throws, or undefined. */
function refusal(request: ReceivedRequest, secret = SECRET): string | undefined {
  try {
    verify(request, secret)
  } catch (error) {
    return error instanceof AppError ? error.code : String(error)
  }
  return undefined
}

const INSTANCE = '/api/v2/instances/dsw-1'
const ROWS: readonly (readonly [reason: string, sent: Sent])[] = [
  ['a plain read', { method: 'GET', pathname: INSTANCE }],
  ['a query', { method: 'GET', pathname: '/api/v2/instances', query: { PageNumber: '1', PageSize: '10' } }],
  [
    'JSON, spaces, plus signs and what encoders disagree on in a query',
    { method: 'GET', pathname: '/', query: { Labels: '{"a":"b c"}', N: "*()'!~-_. +/?:@&=%", U: 'ü日本😀' } },
  ],
  ['an empty value', { method: 'GET', pathname: '/', query: { Empty: '', Full: 'x' } }],
  ['a body', { method: 'POST', pathname: `${INSTANCE}/snapshots`, body: { SnapshotName: 'ä', ImageUrl: 'r/x:y' } }],
  ['no body where others have one', { method: 'PUT', pathname: `${INSTANCE}/start` }],
  ['a delete', { method: 'DELETE', pathname: `${INSTANCE}/labels`, query: { LabelKeys: 'a,b' } }],
  [
    'a slash in a path parameter',
    { method: 'DELETE', pathname: `/api/v1/images/i/labels/${encodeURIComponent('a/b')}` },
  ],
  [
    'signs in a path parameter',
    { method: 'DELETE', pathname: `/api/v1/images/i/labels/${encodeURIComponent("a'(b)!*~ +é")}` },
  ],
]

for (const [reason, sent] of ROWS) {
  for (const [name, config] of [
    ['ACS3', {}],
    ['HMAC-SHA1', { signatureAlgorithm: 'v2' }],
  ] as const) {
    test(`${name} is verified: ${reason}`, async () => {
      const hasAmpersand = JSON.stringify(sent.query ?? {}).includes('&')
      const request = await send(sent, config)
      if (name === 'HMAC-SHA1' && hasAmpersand) return assert.equal(refusal(request), 'signature_unsupported')
      const { scheme, accessKeyId, action, version } = verify(request)
      assert.deepEqual(
        [scheme, accessKeyId, action, version],
        [name === 'ACS3' ? 'acs3' : 'acs1', 'LTAIkey', 'SomeAction', '2022-01-01'],
      )
      assert.equal(refusal(request, `${SECRET}x`), 'signature_mismatch')
      assert.equal(refusal({ ...request, rawPath: `${request.rawPath}x` }), 'signature_mismatch')
      assert.equal(refusal({ ...request, method: 'PATCH' }), 'signature_mismatch')
    })
  }
}

test('RPC calls of current SDKs carry the same signature', async () => {
  const request = await send({
    method: 'POST',
    pathname: '/',
    style: 'RPC',
    query: { UserName: 'alice', 'Tag.1.Key': 'k' },
  })
  assert.equal(verify(request).scheme, 'acs3')
})

test('RPC calls of older SDKs, signed in the query, are refused with what to use', async () => {
  const request = await send({ method: 'POST', pathname: '/', style: 'RPC', query: {} }, { signatureAlgorithm: 'v2' })
  assert.equal(refusal(request), 'signature_unsupported')
})

test('temporary keys bring their token', async () => {
  for (const config of [{}, { signatureAlgorithm: 'v2' }]) {
    const temporary = { accessKeyId: 'STS.key', securityToken: 'the token', type: 'sts' }
    const request = await send({ method: 'GET', pathname: INSTANCE }, { ...config, ...temporary })
    assert.deepEqual([verify(request).accessKeyId, verify(request).securityToken], ['STS.key', 'the token'])
    const { ['x-acs-security-token']: _, ...without } = request.headers
    assert.notEqual(refusal({ ...request, headers: without }), undefined)
  }
})

test('a server serves the older signature where TINTYPE_LEGACY_SIGNATURES allows it, and nowhere else', async () => {
  const routes = [
    route({
      action: 'GetInstance',
      handle: async ({ params }) => ({ InstanceId: params.InstanceId, Status: 'Running' as const }),
    }),
  ]
  const sent = { method: 'GET', pathname: INSTANCE, action: 'GetInstance' }
  const config = { accessKeyId: ROOT_KEY.id, accessKeySecret: ROOT_KEY.secret, signatureAlgorithm: 'v2' }
  await using allows = await openApiServer({ routes, legacySignatures: true })
  const answer = (await callAt(new URL(allows.url).host, sent, config)) as { body: { InstanceId: string } }
  assert.equal(answer.body.InstanceId, 'dsw-1')
  const wrong = { ...config, accessKeySecret: 'wrong' }
  await assert.rejects(callAt(new URL(allows.url).host, sent, wrong), { code: 'SignatureDoesNotMatch' })
  await using refuses = await openApiServer({ routes })
  await assert.rejects(callAt(new URL(refuses.url).host, sent, config), { code: 'IncompleteSignature' })
})
