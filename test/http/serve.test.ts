import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { steadyPort } from '#lab/port.ts'
import { keyIn, startServer, temporaryHome } from '#lab/serve.ts'
import { send, signedClient } from '#lab/signed-client.ts'

const STS = { action: 'GetCallerIdentity', version: '2015-04-01' }
const RAM = { version: '2015-05-01' }

test('the first start makes a key, which signs; all of it is there after the next start', async () => {
  using home = temporaryHome()
  const listen = { TINTYPE_LISTEN: `127.0.0.1:${await steadyPort()}` }
  await using first = await startServer(home.path, listen)
  assert.match(first.out, new RegExp(`access key +in ${home.path}/credentials.json`))
  const key = keyIn(home.path)
  const who = await signedClient(first.url, key)('POST /', STS)
  assert.deepEqual([who.status, who.json['IdentityType']], [200, 'Account'], who.text)
  const made = await signedClient(first.url, key)('POST /', { ...RAM, action: 'CreateUser', query: 'UserName=ann' })
  assert.equal(made.status, 200, made.text)
  const used = { ...RAM, action: 'CreateUser', query: 'UserName=bob', nonce: 'once-and-for-all', date: new Date() }
  assert.equal((await signedClient(first.url, key)('POST /', used)).status, 200)
  assert.equal((await first.stop()).code, 0)

  await using second = await startServer(home.path, listen)
  assert.deepEqual(keyIn(home.path), key)
  const again = await signedClient(second.url, key)('POST /', STS)
  assert.equal(again.json['AccountId'], who.json['AccountId'])
  const replayed = await signedClient(second.url, key)('POST /', used)
  assert.equal(replayed.json['Code'], 'SignatureNonceUsed', 'a signed change is good once, across restarts')
  await second.stop()
})

test('what lies in its home is for nobody else to read', async () => {
  using home = temporaryHome()
  await using server = await startServer(home.path)
  await server.stop()
  for (const name of readdirSync(home.path, { recursive: true, encoding: 'utf8' })) {
    assert.equal(statSync(`${home.path}/${name}`).mode & 0o077, 0, name)
  }
})

test('a key of the environment signs, and is written nowhere', async () => {
  using home = temporaryHome()
  const key = { id: 'my-own-access-key', secret: 'my-own-secret-that-is-long' }
  const env = { TINTYPE_ROOT_ACCESS_KEY_ID: key.id, TINTYPE_ROOT_ACCESS_KEY_SECRET: key.secret }
  await using server = await startServer(home.path, env)
  assert.equal((await signedClient(server.url, key)('POST /', STS)).status, 200)
  const { log } = await server.stop()
  for (const name of readdirSync(home.path)) {
    assert.ok(!readFileSync(`${home.path}/${name}`, 'latin1').includes(key.secret), name)
  }
  assert.ok(!log.includes(key.secret) && !server.out.includes(key.secret))
})

test('no secret reaches the log, whatever is asked and however it fails', async () => {
  using home = temporaryHome()
  await using server = await startServer(home.path)
  const key = keyIn(home.path)
  const call = signedClient(server.url, key)
  await call('POST /', { ...RAM, action: 'CreateUser', query: 'UserName=ann' })
  const made = await call('POST /', { ...RAM, action: 'CreateAccessKey', query: 'UserName=ann' })
  const { AccessKeySecret: userSecret } = made.json['AccessKey'] as { AccessKeySecret: string }
  const imageAuth = Buffer.from('puller:image-password').toString('base64')
  const instance = { InstanceName: 'a', ImageUrl: 'localhost:1/x', ImageAuth: imageAuth }
  await call('POST /api/v2/instances', { body: instance })
  await call('POST /api/v2/instances', { body: { ...instance, ImageAuth: 'not-base-64-secret' } })
  await call('POST /tintype/v1/registries', { body: { Host: 'a.example', UserName: 'u', Password: 'push-password' } })
  await call('POST /tintype/v1/registries', { body: { Host: '///', UserName: 'u', Password: 'push-password' } })
  await send(server.url, {
    method: 'GET',
    path: `/?AccessKeyId=${key.id}&Signature=query-signature&SecurityToken=query-token`,
  })
  await send(server.url, {
    method: 'GET',
    path: '/x',
    headers: { authorization: 'Basic basic-credentials', cookie: 'tintype_session=cookie-value' },
  })
  const wrong = await call('GET /api/v2/instances', { key: { ...key, secret: 'wrong-secret' } })
  assert.equal(wrong.status, 400)
  const { log, code } = await server.stop('SIGINT')
  assert.equal(code, 0)
  const secrets = [
    key.secret,
    userSecret,
    imageAuth,
    'image-password',
    'not-base-64-secret',
    'push-password',
    'query-signature',
    'query-token',
    'basic-credentials',
    'cookie-value',
    'wrong-secret',
  ]
  for (const secret of secrets) assert.ok(!log.includes(secret), `${secret} is in the log`)
  const lines = log
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.ok(lines.some(({ msg, action }) => msg === 'changed' && action === 'CreateUser'))
  assert.ok(lines.some(({ msg, code: why }) => msg === 'refused' && why === 'signature_mismatch'))
  const ends = lines.map(({ msg }) => msg).filter((msg) => msg === 'stopping' || msg === 'stopped')
  assert.deepEqual([ends, lines.at(-1).msg], [['stopping', 'stopped'], 'stopped'])
})

test('metrics are on an address of their own', async () => {
  using home = temporaryHome()
  await using server = await startServer(home.path)
  const metrics = (await send(server.metricsUrl, { method: 'GET', path: '/metrics' })).text
  assert.match(metrics, /process_cpu_seconds_total/)
  assert.match(metrics, /^tintype_captures_running 0$/m)
  await server.stop()
})

test('a database of another secret key is refused, before anything is written', async () => {
  using home = temporaryHome()
  await (await startServer(home.path)).stop()
  rmSync(`${home.path}/secret.key`)
  const child = spawn(process.execPath, ['src/main.ts', 'serve'], {
    env: {
      ...process.env,
      TINTYPE_HOME: home.path,
      TINTYPE_LISTEN: '127.0.0.1:0',
      TINTYPE_METRICS_LISTEN: '127.0.0.1:0',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  assert.match(said, /^tintype: The database belongs to another secret\.key/m)
  assert.equal(code, 5)
})
