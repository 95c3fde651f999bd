import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { makeCertificate, startRegistry, startSecondRegistry, type Registry } from '#lab/registry.ts'

const statusOf = async (url: string, headers: Record<string, string> = {}) => (await fetch(url, { headers })).status
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

/** Push `text` as a blob; its URL. */
async function pushBlob(registry: Registry, text: string): Promise<string> {
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  const begun = await fetch(`http://${registry.host}/v2/some/thing/blobs/uploads/`, { method: 'POST' })
  const location = new URL(begun.headers.get('location')!, `http://${registry.host}`)
  location.searchParams.set('digest', digest)
  assert.equal((await fetch(location, { method: 'PUT', body: text })).status, 201)
  return `http://${registry.host}/v2/some/thing/blobs/${digest}`
}

test('distribution keeps a blob over a restart, loses it to garbage collection, and leaves nothing behind', async () => {
  const registry = await startRegistry()
  const blob = await pushBlob(registry, 'a blob')
  await registry.restart()
  assert.equal(await statusOf(blob), 200)
  await registry.collectGarbage()
  assert.equal(await statusOf(blob), 404)
  await registry.stop()
  assert.equal(existsSync(registry.directory), false)
})

test('a halted registry answers nobody until it is started again', async () => {
  await using registry = await startRegistry()
  await registry.halt()
  await assert.rejects(statusOf(`http://${registry.host}/v2/`))
  await registry.restart()
  assert.equal(await statusOf(`http://${registry.host}/v2/`), 200)
})

test('with the blob cache, a registry says that it has what garbage collection took (attacks.md A10)', async () => {
  await using registry = await startRegistry({ hasBlobCache: true })
  const blob = await pushBlob(registry, 'gone soon')
  await registry.collectGarbage()
  assert.equal((await fetch(blob, { method: 'HEAD' })).status, 200)
})

test('Basic authentication knows the right password from a wrong one', async () => {
  await using registry = await startRegistry({ users: { ada: 'right' } })
  const url = `http://${registry.host}/v2/`
  assert.equal(await statusOf(url), 401)
  assert.equal(await statusOf(url, basic('ada', 'wrong')), 401)
  assert.equal(await statusOf(url, basic('ada', 'right')), 200)
})

test('TLS holds before whoever trusts the certificate; token authentication names its realm', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-certificate-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const certificate = await makeCertificate(directory)
  const token = { realm: 'http://127.0.0.1:1/token', service: 'lab', issuer: 'lab', ...certificate }
  await using registry = await startRegistry({ tls: certificate, token })
  const challenge = await new Promise<string | undefined>((resolve, reject) => {
    const asked = request(`https://${registry.host}/v2/`, { ca: certificate.certificate, agent: false })
    asked.on('response', (response) => resolve(response.resume().headers['www-authenticate']))
    asked.on('error', reject)
    asked.end()
  })
  assert.match(challenge ?? '', /^Bearer realm="http:\/\/127\.0\.0\.1:1\/token",service="lab"/)
})

test('the second implementation takes a blob, too', async () => {
  await using registry = await startSecondRegistry()
  assert.equal(await statusOf(await pushBlob(registry, 'another blob')), 200)
})
