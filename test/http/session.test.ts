import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { openApiServer, ROOT_KEY } from '#lab/api-server.ts'
import { send, signedClient } from '#lab/signed-client.ts'
import { route } from '#http/route.ts'

const clock = { nowMs: Date.now(), wallMs: () => clock.nowMs, wallNs: () => 0n, monotonicMs: () => performance.now() }
const started: string[] = []
const server = await openApiServer({
  clock,
  routes: [
    route({ action: 'GetInstance', handle: async ({ params, caller }) => ({ ...params, UserId: caller.id }) }),
    route({
      action: 'StartInstance',
      handle: async ({ params }) => {
        started.push(params.InstanceId)
        return { ...params }
      },
    }),
  ],
})
after(() => server[Symbol.asyncDispose]())
const call = signedClient(server.url, ROOT_KEY)
const READ = { method: 'GET', path: '/api/v2/instances/dsw-1' }
const CHANGE = { method: 'PUT', path: '/api/v2/instances/dsw-1/start' }

async function signIn() {
  const answer = await call('POST /session', { date: new Date(clock.nowMs) })
  assert.equal(answer.status, 200, answer.text)
  const [setCookie = ''] = answer.headers['set-cookie'] ?? []
  return { setCookie, cookie: setCookie.split(';')[0]!, csrf: String(answer.json['CsrfToken']), ...answer }
}

test('an access key signs once, and the browser gets a cookie that no script can read', async () => {
  const { setCookie, json } = await signIn()
  assert.match(setCookie, /^tintype_session=[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/)
  assert.equal(json['Arn'], `acs:ram::${json['AccountId']}:root`)
  assert.ok(!setCookie.includes(ROOT_KEY.secret) && !setCookie.includes(ROOT_KEY.id))
})

test('with the cookie reads are answered, as the one who signed', async () => {
  const { cookie, json } = await signIn()
  const answer = await send(server.url, { ...READ, headers: { cookie: `theme=dark; ${cookie}; x=y` } })
  assert.deepEqual([answer.status, answer.json['UserId']], [200, json['AccountId']])
})

test('a change needs the token of this session, from our own page', async () => {
  const mine = await signIn()
  const other = await signIn()
  const attempts: readonly (readonly [string, Record<string, string>, number])[] = [
    ['the cookie alone, which another site can send', {}, 403],
    ['an empty token', { 'x-tintype-csrf': '' }, 403],
    ['the token of another session', { 'x-tintype-csrf': other.csrf }, 403],
    ['the token, sent by another site', { 'x-tintype-csrf': mine.csrf, 'sec-fetch-site': 'cross-site' }, 403],
    ['the token, sent by a sister site', { 'x-tintype-csrf': mine.csrf, 'sec-fetch-site': 'same-site' }, 403],
    ['the token', { 'x-tintype-csrf': mine.csrf }, 200],
    ['the token, sent by our page', { 'x-tintype-csrf': mine.csrf, 'sec-fetch-site': 'same-origin' }, 200],
  ]
  for (const [name, headers, status] of attempts) {
    const before = started.length
    const answer = await send(server.url, { ...CHANGE, headers: { cookie: mine.cookie, ...headers } })
    assert.equal(answer.status, status, name)
    assert.equal(started.length - before, status === 200 ? 1 : 0, name)
    if (status !== 200) assert.equal(answer.json['Code'], 'InvalidCsrfToken')
  }
})

test('a page that is loaded anew learns its token again', async () => {
  const { cookie, csrf } = await signIn()
  const answer = await send(server.url, { method: 'GET', path: '/session', headers: { cookie } })
  assert.deepEqual([answer.status, answer.json['CsrfToken']], [200, csrf])
})

test('a session that was ended is over, wherever its cookie was copied to', async () => {
  const { cookie, csrf } = await signIn()
  const headers = { cookie, 'x-tintype-csrf': csrf }
  assert.equal((await send(server.url, { method: 'DELETE', path: '/session', headers: { cookie } })).status, 403)
  const ended = await send(server.url, { method: 'DELETE', path: '/session', headers })
  assert.equal(ended.status, 200)
  assert.match(String(ended.headers['set-cookie']), /^tintype_session=; .*Max-Age=0/)
  const answer = await send(server.url, { ...READ, headers })
  assert.deepEqual([answer.status, answer.json['Code']], [401, 'InvalidSession'])
})

test('a session ends after twelve hours', async () => {
  const { cookie } = await signIn()
  clock.nowMs += 12 * 3600 * 1000 - 1
  assert.equal((await send(server.url, { ...READ, headers: { cookie } })).status, 200)
  clock.nowMs += 1
  assert.equal((await send(server.url, { ...READ, headers: { cookie } })).status, 401)
})

test('a session ends with its access key', async () => {
  const { cookie } = await signIn()
  const facts = server.keys.get(ROOT_KEY.id)!
  server.keys.set(ROOT_KEY.id, { ...facts, isActive: false })
  const answer = await send(server.url, { ...READ, headers: { cookie } })
  server.keys.set(ROOT_KEY.id, facts)
  assert.deepEqual([answer.status, answer.json['Code']], [400, 'InvalidAccessKeyId.Inactive'])
})

test('a cookie that was made up, cut or changed is no session', async () => {
  const { cookie } = await signIn()
  const changed = cookie.slice(0, -2) + (cookie.endsWith('AA') ? 'BB' : 'AA')
  for (const bad of ['tintype_session=x', 'tintype_session=v1.AAAA', cookie.slice(0, -8), changed]) {
    assert.equal((await send(server.url, { ...READ, headers: { cookie: bad } })).status, 401, bad)
  }
})

test('a session does not start without a signature, nor out of another session', async () => {
  const { cookie, csrf } = await signIn()
  const bare = await send(server.url, { method: 'POST', path: '/session' })
  assert.deepEqual([bare.status, bare.json['Code']], [400, 'IncompleteSignature'])
  const again = await send(server.url, {
    method: 'POST',
    path: '/session',
    headers: { cookie, 'x-tintype-csrf': csrf },
  })
  assert.equal(again.status, 401)
  const key = { id: 'STS.temporary', secret: 'temporary', securityToken: 'token' }
  const facts = server.keys.get(ROOT_KEY.id)!
  const caller = { ...facts.caller, kind: 'AssumedRoleUser' as const }
  server.keys.set(key.id, { ...facts, secret: key.secret, caller })
  assert.equal(
    (await call('POST /session', { key, date: new Date(clock.nowMs) })).status,
    401,
    'a key that ends by itself',
  )
})

test('the same signed sign-in does not start a second session', async () => {
  const signed = { nonce: 'sign-in-once', date: new Date(clock.nowMs) }
  assert.equal((await call('POST /session', signed)).status, 200)
  assert.equal((await call('POST /session', signed)).json['Code'], 'SignatureNonceUsed')
})

const OPEN: readonly (readonly [string, RegExp])[] = [
  ['/healthz', /"alive":true/],
  ['/readyz', /"ready":true/],
  ['/openapi.json', /"openapi":"3\.1\.0"/],
  ['/', /<h1>Tintype<\/h1>/],
]
for (const [path, content] of OPEN) {
  test(`${path} is open to everybody`, async () => {
    const answer = await send(server.url, { method: 'GET', path })
    assert.equal(answer.status, 200)
    assert.match(answer.text, content)
  })
}

for (const path of ['/metrics', '/healthz/', '/credentials.json', '/api/v2/instances/dsw-1']) {
  test(`${path} is not`, async () => {
    assert.ok((await send(server.url, { method: 'GET', path })).status >= 400)
  })
}
