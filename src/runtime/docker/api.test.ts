import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { openApi, streamOf, type EngineApi } from './api.ts'

interface Seen {
  readonly method: string
  readonly url: string
  readonly body: string
  readonly login: string | undefined
}

/** An engine that says what it was asked, or `answer`. */
async function scripted(answer?: (response: ServerResponse) => void) {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-api-'))
  const socketPath = join(directory, 'engine.sock')
  const asked = Promise.withResolvers<void>()
  const echo = async (request: IncomingMessage, response: ServerResponse) => {
    const login = request.headers['x-registry-auth']
    response.setHeader('content-type', 'application/json')
    const seen = { method: request.method, url: request.url, body: await text(request), login }
    response.end(JSON.stringify(seen))
  }
  const server = createServer((request, response) => {
    asked.resolve()
    if (answer) answer(response)
    else void echo(request, response)
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    socketPath,
    api: openApi(socketPath),
    asked: asked.promise,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(directory, { recursive: true })
    },
  }
}

const askFor = async (api: EngineApi, ...call: Parameters<EngineApi['call']>) => (await api.call(...call)) as Seen
const answering = (status: number, body: string) =>
  scripted((response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body)
  })

test('queries are encoded, bodies are JSON, and neither is taken for the other', async () => {
  await using engine = await scripted()
  const { api } = engine
  const plain = await askFor(api, 'GET', '/info')
  assert.deepEqual([plain.method, plain.url, plain.body], ['GET', '/info', ''])
  const query = { name: 'a b&c=d/ü', filters: JSON.stringify({ label: ['x=1'] }) }
  const asked = await askFor(api, 'GET', '/json', { query })
  assert.deepEqual(Object.fromEntries(new URL(asked.url, 'http://engine').searchParams), query)
  const both = await askFor(api, 'POST', '/create', { query: { name: 'x' }, body: { Image: 'ü', Cmd: [] } })
  assert.deepEqual([both.url, JSON.parse(both.body)], ['/create?name=x', { Image: 'ü', Cmd: [] }])
  const body = await askFor(api, 'POST', '/update', { body: { NanoCpus: 1 } })
  assert.deepEqual([body.url, body.body], ['/update', '{"NanoCpus":1}'])
  const nothing = await askFor(api, 'POST', '/stop', { query: { t: '1' } })
  assert.deepEqual([nothing.url, nothing.body], ['/stop?t=1', ''])
})

test('a login is in its header, in the base64 that engines read', async () => {
  await using engine = await scripted()
  const login = { username: 'ann', password: 'p>?ÿ', registry: 'example.com' }
  const seen = await askFor(engine.api, 'POST', '/images/create', { query: { fromImage: 'a' }, login })
  const { username, password, serveraddress } = JSON.parse(Buffer.from(seen.login!, 'base64url').toString())
  assert.deepEqual([username, password, serveraddress], ['ann', 'p>?ÿ', 'example.com'])
  assert.ok(!seen.url.includes('ann') && !seen.body.includes('ann') && !/[+/]/.test(seen.login!))
})

test('a status that is accepted is an answer, others are errors with the words of the engine', async () => {
  await using missing = await answering(404, '{"message":"No such thing: x"}')
  assert.deepEqual(await missing.api.call('GET', '/x', { accept: [404] }), { message: 'No such thing: x' })
  const told = { code: 'engine_unavailable', message: /answered with an error \(404\): No such thing: x\.$/ }
  await assert.rejects(missing.api.call('GET', '/x'), told)
  await assert.rejects(missing.api.call('GET', '/x', { isStream: true }), told)
  await using plain = await answering(500, 'page not found\n')
  await assert.rejects(plain.api.call('GET', '/x'), { message: /\(500\): page not found\.$/ })
})

test('the caller may know better what an error is', async () => {
  await using missing = await answering(409, '{"message":"in use"}')
  const mine = new AppError('name_taken', 'Taken.')
  const refuse = (status: number, words: string) => (status === 409 && words === 'in use' ? mine : undefined)
  for (const isStream of [false, true])
    await assert.rejects(missing.api.call('DELETE', '/x', { refuse, isStream }), (error) => error === mine)
})

test('an engine that is not there, or breaks off, is named', async () => {
  const away = { code: 'engine_unavailable', message: /\/nowhere\/engine\.sock did not answer .*DOCKER_HOST/ }
  await assert.rejects(openApi('/nowhere/engine.sock').call('GET', '/x'), away)
  await using broken = await scripted((response) => response.destroy())
  await assert.rejects(broken.api.call('GET', '/x'), { code: 'engine_unavailable' })
})

test('an engine that does not answer: the limit, the signal of the call, the signal of all calls', async () => {
  await using silent = await scripted(() => {})
  const late = { code: 'engine_unavailable', message: /has not answered GET \/x within 0\.02 s: .*log/ }
  await assert.rejects(silent.api.call('GET', '/x', { limitMs: 20 }), late)
  const one = new AbortController()
  const cancelled = assert.rejects(silent.api.call('GET', '/x', { signal: one.signal }), { code: 'cancelled' })
  await silent.asked
  one.abort()
  await cancelled
  const all = openApi(silent.socketPath, AbortSignal.abort())
  await assert.rejects(all.call('GET', '/x'), { code: 'cancelled' })
})

test('a stream is handed on while it comes', async () => {
  await using engine = await scripted((response) => void response.write('first'))
  const stream = streamOf(await engine.api.call('GET', '/events', { isStream: true }))
  for await (const chunk of stream) {
    assert.equal(String(chunk), 'first')
    break
  }
  assert.throws(() => streamOf({}), { code: 'engine_unavailable' })
})
