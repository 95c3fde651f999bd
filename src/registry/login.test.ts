import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { checkLogin } from './login.ts'

/** A registry on loopback that answers as `listener` does. */
async function openServer(listener: RequestListener) {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { registry: `127.0.0.1:${port}`, [Symbol.asyncDispose]: async () => void server.close().closeAllConnections() }
}
const ann = { kind: 'basic', username: 'ann', password: 'secret' } as const
const header = `Basic ${Buffer.from('ann:secret').toString('base64')}`
const failsWith = (code: string, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, pattern)
  assert.doesNotMatch(JSON.stringify([error.message, error.details]), /secret/)
  return true
}

test('a registry with Basic takes the right password, and no other', async () => {
  await using server = await openServer((request, response) => {
    if (request.headers.authorization === header) return response.end('{}')
    return response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
  })
  await checkLogin(server.registry, ann)
  const denied = failsWith('registry_denied', /refuses|password|denied/i)
  await assert.rejects(checkLogin(server.registry, { ...ann, password: 'other secret' }), denied)
})

test('a registry with tokens is asked through its token server', async () => {
  await using server = await openServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://x')
    if (pathname === '/token')
      return request.headers.authorization === header ? response.end('{"token":"T"}') : response.writeHead(401).end()
    if (request.headers.authorization === 'Bearer T') return response.end('{}')
    const realm = `http://${request.headers.host}/token`
    return response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="s"` }).end()
  })
  await checkLogin(server.registry, ann)
  const denied = failsWith('registry_denied', /./)
  await assert.rejects(checkLogin(server.registry, { ...ann, password: 'other secret' }), denied)
})

test('a server that is no registry is named', async () => {
  await using server = await openServer((_, response) => response.writeHead(404).end('<html>'))
  await assert.rejects(
    checkLogin(server.registry, ann),
    failsWith('registry_refused', /is no registry that we know: it answered 404/),
  )
})

test('a registry that is down is unavailable', async () => {
  const { registry } = await openServer(() => {}).then(async (server) => (await server[Symbol.asyncDispose](), server))
  await assert.rejects(checkLogin(registry, ann), failsWith('registry_unavailable', /./))
})
