import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { openApiServer, ROOT_KEY } from '#lab/api-server.ts'
import { send, signedClient } from '#lab/signed-client.ts'
import type { CallOptions } from '#lab/signed-client.ts'
import { signAcs3 } from '#access/sign.ts'
import { AppError } from '#base/errors.ts'
import { route } from '#http/route.ts'

const handled: unknown[] = []
const routes = [
  route({
    action: 'GetInstance',
    handle: async ({ params }) => {
      handled.push(params.InstanceId)
      if (params.InstanceId === 'dsw-broken') throw new TypeError('the secret thing at line 7')
      throw new AppError('instance_not_found', `There is no instance ${params.InstanceId}.`)
    },
  }),
  route({
    action: 'CreateInstanceSnapshot',
    handle: async ({ body }) => {
      handled.push(body)
      return { InstanceId: 'dsw-1', SnapshotId: 'snp-1' }
    },
  }),
  route({
    action: 'StartInstance',
    handle: async ({ params }) => {
      handled.push(params.InstanceId)
      return { InstanceId: params.InstanceId }
    },
  }),
]
const server = await openApiServer({ routes })
after(() => server[Symbol.asyncDispose]())
const call = signedClient(server.url, ROOT_KEY)
const { host, hostname, port } = new URL(server.url)
const SAVE = 'POST /api/v2/instances/dsw-1/snapshots'
const GOOD = { SnapshotName: 'friday', ImageUrl: 'localhost:5000/team/notebook' }
const MIB = 1024 * 1024

const BODIES: readonly (readonly [string, CallOptions, number, RegExp])[] = [
  ['no JSON', { rawBody: '{"SnapshotName":' }, 400, /not JSON/],
  ['JSON that is no object', { rawBody: '[1]' }, 400, /body/i],
  ['JSON null', { rawBody: 'null' }, 400, /is missing/],
  ['bytes that are no UTF-8', { rawBody: Buffer.from([0x7b, 0xff, 0x7d]) }, 400, /UTF-8/],
  ['nothing where something is needed', {}, 400, /ImageUrl|SnapshotName/],
  ['a number for a text', { body: { ...GOOD, SnapshotName: 7 } }, 400, /SnapshotName/],
  ['a name that is not allowed', { body: { ...GOOD, SnapshotName: 'Friday_1' } }, 400, /SnapshotName/],
  ['a NUL in a text', { body: { ...GOOD, SnapshotDescription: 'a\0b' } }, 400, /SnapshotDescription/],
  ['a path that is not absolute', { body: { ...GOOD, ExcludePaths: ['etc'] } }, 400, /ExcludePaths/],
  ['100 000 levels', { rawBody: `${'['.repeat(100_000)}${']'.repeat(100_000)}` }, 400, /body/i],
  [
    '100 000 levels in a field that is unknown',
    { rawBody: `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}` },
    400,
    /is missing/,
  ],
  ['more than 1 MiB', { body: { ...GOOD, SnapshotDescription: 'x'.repeat(MIB) } }, 413, /1 MiB/],
]
for (const [name, options, status, message] of BODIES) {
  test(`a body with ${name} is refused, and reaches nobody`, async () => {
    const before = handled.length
    const answer = await call(SAVE, options)
    assert.equal(answer.status, status)
    assert.match(String(answer.json['Message']), message)
    assert.equal(handled.length, before)
    const logged = server.logged.find((line) => line.includes(String(answer.json['RequestId'])))
    assert.match(logged ?? '', /"level":"info".*"msg":"refused"/, 'it is no fault of the server')
  })
}

test('fields that nobody knows, and names that mean something to JavaScript, do nothing', async () => {
  const rawBody = `{"SnapshotName":"friday","ImageUrl":"localhost:5000/a","__proto__":{"Overwrite":true},"constructor":1}`
  assert.equal((await call(SAVE, { rawBody })).status, 200)
  assert.deepEqual(handled.at(-1), { SnapshotName: 'friday', ImageUrl: 'localhost:5000/a' })
})

const PATHS: readonly (readonly [string, string, string])[] = [
  ['dots that are encoded', '/api/v2/instances/%2e%2e%2f%2e%2e%2fetc%2fpasswd', '../../etc/passwd'],
  ['a slash that is encoded', '/api/v2/instances/a%2Fb', 'a/b'],
  ['a backslash', '/api/v2/instances/..%5C..%5Cetc', '..\\..\\etc'],
  ['what looks like SQL', "/api/v2/instances/'%20OR%201=1--", "' OR 1=1--"],
]
for (const [name, path, id] of PATHS) {
  test(`${name} in a path: an id that nobody has`, async () => {
    const answer = await call(`GET ${path}`)
    assert.deepEqual([answer.status, handled.at(-1)], [404, id])
  })
}

for (const path of [
  '/api/v2/../../etc/passwd',
  '/../../etc/passwd',
  '/api/v2/instances/../../../x',
  '//etc/passwd',
  '/%',
]) {
  test(`${path} is no operation`, async () => {
    const answer = await send(server.url, { method: 'GET', path })
    assert.ok([400, 404].includes(answer.status))
    assert.equal(answer.json['Success'] ?? false, false)
    assert.equal(typeof answer.json['Code'], 'string')
  })
}

test('what we did not expect says nothing but the id under which the log has it', async () => {
  const answer = await call('GET /api/v2/instances/dsw-broken')
  assert.deepEqual([answer.status, answer.json['Code']], [500, 'InternalError'])
  assert.doesNotMatch(answer.text, /secret thing|TypeError|line 7/)
  const logged = server.logged.find((line) => line.includes(String(answer.json['RequestId'])))
  assert.match(logged ?? '', /secret thing/)
})

test('every answer has the headers that keep a browser from doing harm', async () => {
  for (const answer of [await send(server.url, { method: 'GET', path: '/' }), await call(SAVE, { body: GOOD })]) {
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.equal(answer.headers['x-frame-options'], 'DENY')
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.match(String(answer.headers['content-security-policy']), /default-src 'none'/)
    assert.equal(answer.headers['access-control-allow-origin'], undefined)
    assert.equal(answer.headers['x-powered-by'], undefined)
  }
})

/** Send bytes, and give all that comes back until the connection is closed or has been answered. */
async function sendBytes(bytes: string): Promise<string> {
  const socket = connect({ host: hostname, port: Number(port) })
  socket.end(bytes)
  return text(socket)
}

/** The header lines of a request that is signed as it should be. */
function signedLines(method: string, rawPath: string, body = '') {
  const request = { method, host, rawPath, body }
  const nonce = Math.random().toString(36).slice(2)
  return Object.entries(signAcs3(request, ROOT_KEY, { nonce, date: new Date() })).map(
    ([name, value]) => `${name}: ${value}`,
  )
}

const START = 'PUT /api/v2/instances/dsw-1/start HTTP/1.1'
const PATH = '/api/v2/instances/dsw-1/start'

test('a request of raw bytes is understood', async () => {
  const answer = await sendBytes([START, ...signedLines('PUT', PATH), 'connection: close', '', ''].join('\r\n'))
  assert.match(answer, /^HTTP\/1\.1 200 /)
})

test('a chunked body of no bytes is no body (dsw-api §10.1)', async () => {
  const lines = [START, ...signedLines('PUT', PATH), 'transfer-encoding: chunked', 'connection: close', '', '0', '', '']
  assert.match(await sendBytes(lines.join('\r\n')), /^HTTP\/1\.1 200 /)
})

test('a form without length and without body is no body (dsw-api §10.1)', async () => {
  const type = 'application/x-www-form-urlencoded'
  const signed = signAcs3({ method: 'PUT', host, rawPath: PATH, contentType: type }, ROOT_KEY, {
    nonce: 'form-1',
    date: new Date(),
  })
  const lines = [
    START,
    ...Object.entries(signed).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
    '',
    '',
  ]
  assert.match(await sendBytes(lines.join('\r\n')), /^HTTP\/1\.1 200 /)
})

const SMUGGLED: readonly (readonly [string, readonly string[]])[] = [
  ['a length and chunks', ['content-length: 4', 'transfer-encoding: chunked']],
  ['two lengths', ['content-length: 0', 'content-length: 40']],
  ['a length that is a list', ['content-length: 0, 40']],
  ['a length with a sign', ['content-length: +0']],
  ['an encoding that is not known', ['transfer-encoding: chunked, identity']],
  ['an encoding that is written oddly', ['transfer-encoding: xchunked']],
  ['a header that is continued on the next line', ['x-a: b', ' c']],
  ['a space before the colon', ['content-length : 0']],
  ['a bare line feed', ['x-a: b\nx-b: c']],
  ['a NUL in a header', ['x-a: b\0c']],
  ['two hosts', [`host: ${host}`]],
  ['two authorizations', ['authorization: ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b']],
  ['two actions', ['x-acs-action: StartInstance', 'x-acs-action: DeleteInstance']],
  ['two nonces', ['x-acs-signature-nonce: other']],
]
for (const [name, extra] of SMUGGLED) {
  test(`a request with ${name} is refused, and what follows it is no request`, async () => {
    const before = handled.length
    const hidden = [
      'PUT /api/v2/instances/dsw-hidden/start HTTP/1.1',
      ...signedLines('PUT', '/api/v2/instances/dsw-hidden/start'),
    ]
    const lines = [START, ...signedLines('PUT', PATH), ...extra, '', '0', '', ...hidden, 'connection: close', '', '']
    const answer = await sendBytes(lines.join('\r\n'))
    assert.match(answer, /^HTTP\/1\.1 400 /)
    assert.ok(!handled.slice(before).includes('dsw-1'))
    for (const body of answer.matchAll(/\{.*?\}/g)) assert.equal(typeof JSON.parse(body[0]).Code, 'string')
  })
}

test('HTTP/1.1 without a host is refused', async () => {
  const lines = signedLines('PUT', PATH).filter((line) => !line.startsWith('host:'))
  assert.match(await sendBytes([START, ...lines, 'connection: close', '', ''].join('\r\n')), /^HTTP\/1\.1 400 /)
})

test('17 KiB of headers are refused', async () => {
  const lines = [START, ...signedLines('PUT', PATH), `x-a: ${'b'.repeat(17 * 1024)}`, '', '']
  const answer = await sendBytes(lines.join('\r\n'))
  assert.match(answer, /^HTTP\/1\.1 431 /)
  const body = JSON.parse(answer.slice(answer.indexOf('{'))) as Record<string, unknown>
  assert.deepEqual(Object.keys(body), ['RequestId', 'HostId', 'Code', 'Message', 'Recommend'])
  assert.match(String(body['Message']), /send less in one request/)
})
