import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { engineApi } from './engine-api.ts'

type Answer = readonly [status: number, body?: unknown]

/** An engine that gives the answers in turn, and keeps what it was asked. */
async function scripted(...answers: readonly Answer[]) {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-api-'))
  const socketPath = join(directory, 'engine.sock')
  const asked: string[] = []
  const server = createServer((request, response) => {
    const [status, body] = answers[asked.length] ?? [500]
    asked.push(`${request.method} ${request.url}`)
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    api: engineApi(socketPath),
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Never reached: these engines answer. */
const LIMIT = { timeoutMs: 60_000 }
const state = (State: object) => ({
  Id: 'x',
  State: { Running: true, Paused: false, Pid: 7, StartedAt: 't', ...State },
})

test('pause, unpause and inspect are one call each', async () => {
  await using engine = await scripted([204], [204], [200, state({ Paused: true })])
  await engine.api.pause('c1', LIMIT)
  await engine.api.unpause('c1', LIMIT)
  assert.deepEqual(await engine.api.inspect('c1', LIMIT), { running: true, paused: true, pid: 7, startedAt: 't' })
  assert.deepEqual(engine.asked, [
    'POST /containers/c1/pause',
    'POST /containers/c1/unpause',
    'GET /containers/c1/json',
  ])
})

const REFUSALS: readonly (readonly [string, 'pause' | 'unpause' | 'inspect', readonly Answer[], string, RegExp])[] = [
  ['a container that is gone', 'pause', [[404, { message: 'No such container: c1' }]], 'container_gone', /no longer/],
  ['gone at the thaw', 'unpause', [[404, { message: 'x' }]], 'container_gone', /gone/],
  ['gone when looked at', 'inspect', [[404, { message: 'x' }]], 'container_gone', /gone/],
  [
    'paused by someone else',
    'pause',
    [
      [409, { message: 'already paused' }],
      [200, state({ Paused: true })],
    ],
    'container_paused',
    /unpause it/,
  ],
  [
    'stopped',
    'pause',
    [
      [409, { message: 'not running' }],
      [200, state({ Running: false })],
    ],
    'container_not_running',
    /start it/,
  ],
  [
    'restarting',
    'pause',
    [
      [409, { message: 'is restarting' }],
      [200, state({})],
    ],
    'freeze_failed',
    /is restarting/,
  ],
  ['runc gave up', 'pause', [[500, { message: 'unable to freeze' }]], 'freeze_failed', /unable to freeze/],
  ['nothing to unpause', 'unpause', [[500, { message: 'Container c1 is not paused' }]], 'freeze_failed', /not paused/],
  ['an answer that is no JSON', 'pause', [[502, '<html>bad gateway']], 'freeze_failed', /<html>bad gateway/],
  ['an inspect without a state', 'inspect', [[200, {}]], 'engine_unavailable', /no Docker-compatible engine/],
  ['an inspect that is no object', 'inspect', [[200, 'null']], 'engine_unavailable', /no Docker-compatible engine/],
]
for (const [reason, verb, answers, code, message] of REFUSALS)
  test(`${verb}: ${reason} is ${code}`, async () => {
    await using engine = await scripted(...answers)
    await assert.rejects(engine.api[verb]('c1', LIMIT), { code, message })
  })

test('an engine that is not there is named with its socket', async () => {
  await assert.rejects(engineApi('/nowhere/engine.sock').inspect('c1', LIMIT), {
    code: 'engine_unavailable',
    message: /\/nowhere\/engine\.sock/,
    details: { socketPath: '/nowhere/engine.sock', timedOut: false },
  })
})

test('an engine that hangs is given up at the limit, and a cancel ends the wait', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-api-'))
  const socketPath = join(directory, 'engine.sock')
  const server = createServer(() => {})
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const api = engineApi(socketPath)
  await assert.rejects(api.pause('c1', { timeoutMs: 50 }), {
    code: 'engine_unavailable',
    message: /no answer within 50 ms/,
  })
  await assert.rejects(api.inspect('c1', { ...LIMIT, signal: AbortSignal.timeout(20) }), { code: 'cancelled' })
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(directory, { recursive: true, force: true })
})

test('an answer without an end is cut', async () => {
  await using engine = await scripted([200, 'x'.repeat(9 << 20)])
  await assert.rejects(engine.api.inspect('c1', LIMIT), { code: 'engine_unavailable', message: /too large/ })
})
