import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempDisposableSync, readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { openApiServer, ROOT_KEY, USER_KEY } from '#lab/api-server.ts'
import { makeCertificate } from '#lab/registry.ts'
import { signAcs3 } from '#access/sign.ts'
import { route } from '#http/route.ts'

const routes = [route({ action: 'GetInstance', handle: async ({ params }) => ({ ...params }) })]
const onlyTls = { Effect: 'Allow', Action: '*', Resource: '*', Condition: { Bool: { 'acs:SecureTransport': 'true' } } }

async function openTls(directory: string) {
  const { certificatePath: certPath, keyPath } = await makeCertificate(directory)
  const policy = { Version: '1', Statement: [onlyTls] }
  return { ca: readFileSync(certPath), server: await openApiServer({ routes, policy, tls: { certPath, keyPath } }) }
}

async function ask(url: string, ca: Buffer, line: string, key = ROOT_KEY): Promise<IncomingMessage> {
  const { hostname, port, host } = new URL(url)
  const [method = '', path = ''] = line.split(' ')
  const headers = signAcs3({ method, host, rawPath: path }, key, { nonce: crypto.randomUUID(), date: new Date() })
  const outgoing = request({ hostname, port, method, path, headers, ca, agent: false }).end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  response.resume()
  return response
}

test('with a certificate the server speaks TLS, says so to browsers, and binds its cookie to it', async () => {
  using directory = mkdtempDisposableSync(`${tmpdir()}/tintype-tls-`)
  const { ca, server } = await openTls(directory.path)
  await using _ = server
  assert.match(server.url, /^https:/)
  const read = await ask(server.url, ca, 'GET /api/v2/instances/dsw-1')
  assert.deepEqual([read.statusCode, read.headers['strict-transport-security']], [200, 'max-age=31536000'])
  const session = await ask(server.url, ca, 'POST /session')
  assert.match(
    String(session.headers['set-cookie']),
    /^__Host-tintype_session=\S+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure$/,
  )
})

test('a policy that asks for TLS is satisfied by it', async () => {
  using directory = mkdtempDisposableSync(`${tmpdir()}/tintype-tls-`)
  const { ca, server } = await openTls(directory.path)
  await using _ = server
  assert.equal((await ask(server.url, ca, 'GET /api/v2/instances/dsw-1', USER_KEY)).statusCode, 200)
})

test('TLS 1.1 is refused', async () => {
  using directory = mkdtempDisposableSync(`${tmpdir()}/tintype-tls-`)
  const { ca, server } = await openTls(directory.path)
  await using _ = server
  const { hostname, port } = new URL(server.url)
  const socket = connect({ host: hostname, port: Number(port), ca, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' })
  await assert.rejects(once(socket, 'secureConnect'))
})

test('a certificate that cannot be read is a mistake of the configuration, which names the field', async () => {
  const tls = { certPath: '/nowhere/cert.pem', keyPath: '/nowhere/key.pem' }
  const opened = openApiServer({ routes, tls })
  await assert.rejects(opened, { code: 'config_invalid', message: /^TINTYPE_TLS_CERT names \/nowhere\/cert\.pem/ })
})

test('a key of another certificate is one, too', async () => {
  using one = mkdtempDisposableSync(`${tmpdir()}/tintype-tls-`)
  using other = mkdtempDisposableSync(`${tmpdir()}/tintype-tls-`)
  const { certificatePath: certPath } = await makeCertificate(one.path)
  const { keyPath } = await makeCertificate(other.path)
  const opened = openApiServer({ routes, tls: { certPath, keyPath } })
  await assert.rejects(opened, { code: 'config_invalid', message: /^TINTYPE_TLS_CERT and TINTYPE_TLS_KEY/ })
})
