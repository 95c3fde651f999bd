import assert from 'node:assert/strict'
import { existsSync, mkdtempDisposableSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { startServer, type TestServer } from '#lab/server.ts'
import { send, signedClient } from '#lab/signed-client.ts'
import { startTimeOf } from '#lab/workspace.ts'

const STS = { action: 'GetCallerIdentity', version: '2015-04-01' }
const signsAt = async ({ url, rootKey }: TestServer) => (await signedClient(url, rootKey)('POST /', STS)).status

test('a server answers its key, and is back at the same address after a crash and after a stop', async () => {
  await using server = await startServer()
  assert.equal(await signsAt(server), 200)
  assert.equal((await send(server.metricsUrl, { method: 'GET', path: '/metrics' })).status, 200)
  for (const end of ['kill', 'halt'] as const) {
    const pid = server.pid()
    await server[end]()
    assert.equal(startTimeOf(pid), undefined)
    await assert.rejects(signsAt(server))
    await server.restart()
    assert.equal(await signsAt(server), 200)
  }
  assert.equal(server.log().match(/Ctrl-C stops it/g)?.length, 3)
})

test('a second server has the home and the key of the first, and an address of its own', async () => {
  await using first = await startServer()
  await using second = await startServer({ besides: first })
  assert.notEqual(first.url, second.url)
  assert.deepEqual([await signsAt(first), await signsAt(second)], [200, 200])
})

test('nothing is left of a server that was stopped', async () => {
  const server = await startServer()
  await server.stop()
  assert.ok(!existsSync(server.home))
})

test('a server that does not come up says why, and leaves nothing', async () => {
  using directory = mkdtempDisposableSync(`${tmpdir()}/tintype-lab-`)
  const { TMPDIR: usual = '/tmp' } = process.env
  process.env['TMPDIR'] = directory.path
  const started = startServer({ env: { TINTYPE_RUNTIME: 'none' } })
  await assert.rejects(started, /TINTYPE_RUNTIME must be docker or kubernetes/)
  process.env['TMPDIR'] = usual
  assert.deepEqual(readdirSync(directory.path), [])
})
