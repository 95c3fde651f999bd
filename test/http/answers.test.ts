import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { openApiServer, ROOT_KEY } from '#lab/api-server.ts'
import { send, signedClient } from '#lab/signed-client.ts'
import { signAcs3 } from '#access/sign.ts'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { serveMetrics } from '#http/metrics.ts'
import { route } from '#http/route.ts'

const SAVE = 'POST /api/v2/instances/dsw-1/snapshots'
const WATCH = '/tintype/v1/instances/dsw-1/snapshots/snp-1/events'
const GET = 'GET /api/v2/instances/dsw-1'
const getInstance = route({ action: 'GetInstance', handle: async ({ params }) => ({ ...params }) })

test('too many calls: 429, with how long to wait, and not for the handler', async () => {
  const clock = { ...systemClock, monotonicMs: () => 0 } // however long they take
  await using server = await openApiServer({ routes: [getInstance], rateLimit: 3, clock })
  const call = signedClient(server.url, ROOT_KEY)
  const answers = []
  for (let i = 0; i < 10; i++) answers.push(await call(GET))
  const refused = answers.filter(({ status }) => status === 429)
  assert.equal(refused.length, 7)
  for (const { json, headers } of refused) {
    assert.equal(json['Code'], 'Throttling.User')
    assert.match(String(headers['x-ratelimit-user-api']), /^Limit:3,Remain:0,TimeLeft:\d+$/)
  }
})

test('whoever cannot sign cannot use up the calls of those who can', async () => {
  await using server = await openApiServer({ routes: [getInstance], rateLimit: 3 })
  const call = signedClient(server.url, ROOT_KEY)
  for (let i = 0; i < 10; i++) await call(GET, { key: { ...ROOT_KEY, secret: 'wrong' } })
  assert.equal((await call(GET)).status, 200)
})

test('a server that cannot work says so, and still answers that it lives', async () => {
  const ready = async () => {
    throw new AppError('store_unavailable', 'The database does not answer.')
  }
  await using server = await openApiServer({ routes: [], ready })
  const answer = await send(server.url, { method: 'GET', path: '/readyz' })
  assert.deepEqual([answer.status, answer.json], [503, { ready: false, reason: 'The database does not answer.' }])
  assert.equal((await send(server.url, { method: 'GET', path: '/healthz' })).status, 200)
})

test('a probe does not wait for ever', async () => {
  await using server = await openApiServer({ routes: [], ready: () => new Promise(() => {}) })
  assert.equal((await send(server.url, { method: 'GET', path: '/readyz' })).status, 503)
})

/** Open a stream of events; the response is there as soon as its headers are. */
async function watch(url: string): Promise<{ response: IncomingMessage; leave: () => void }> {
  const { host, hostname, port } = new URL(url)
  const headers = signAcs3({ method: 'GET', host, rawPath: WATCH }, ROOT_KEY, {
    nonce: crypto.randomUUID(),
    date: new Date(),
  })
  const outgoing = request({ hostname, port, path: WATCH, headers, agent: false })
  outgoing.on('error', () => {}) // we leave
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  response.on('error', () => {})
  return { response, leave: () => outgoing.destroy() }
}

test('events are sent one by one, and the stream ends with them', async () => {
  await using server = await openApiServer({
    routes: [
      route({
        action: 'WatchSnapshot',
        async *handle() {
          yield { event: 'progress', data: { Phase: 'a\nb' }, id: '1' }
          yield { event: 'end', data: { Status: 'Saved' } }
        },
      }),
    ],
  })
  const { response } = await watch(server.url)
  assert.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8')
  assert.equal(response.headers['cache-control'], 'no-store')
  assert.equal(response.headers['x-content-type-options'], 'nosniff')
  const events = 'id: 1\nevent: progress\ndata: {"Phase":"a\\nb"}\n\nevent: end\ndata: {"Status":"Saved"}\n\n'
  assert.equal(await text(response), events)
})

test('a stream that fails says so in its last event, without what is inside', async () => {
  await using server = await openApiServer({
    routes: [
      route({
        action: 'WatchSnapshot',
        // eslint-disable-next-line require-yield
        async *handle() {
          throw new TypeError('a secret thing')
        },
      }),
    ],
  })
  const content = await text((await watch(server.url)).response)
  assert.match(content, /^event: error\ndata: \{"Code":"InternalError"/)
  assert.doesNotMatch(content, /secret thing/)
})

/** A server whose stream goes on until its signal fires, and tells when that was. */
async function endless() {
  const ended = Promise.withResolvers<void>()
  const server = await openApiServer({
    routes: [
      route({
        action: 'WatchSnapshot',
        async *handle({ signal }) {
          yield { event: 'progress', data: {} }
          await once(signal, 'abort')
          ended.resolve()
        },
      }),
    ],
  })
  return { server, ended: ended.promise }
}

test('whoever watches leaves, and the work for them ends', async () => {
  const { server, ended } = await endless()
  await using _ = server
  const { response, leave } = await watch(server.url)
  await once(response, 'data')
  leave()
  await ended
})

test('a server that ends closes its streams, and does not wait for those who watch', async () => {
  const { server, ended } = await endless()
  const { response } = await watch(server.url)
  await once(response, 'data')
  await server[Symbol.asyncDispose]()
  await ended
})

test('a server that ends answers what it has begun, and takes no more', async () => {
  const arrived = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const server = await openApiServer({
    routes: [
      route({
        action: 'GetInstance',
        async handle({ params }) {
          arrived.resolve()
          await goOn.promise
          return { ...params }
        },
      }),
    ],
  })
  const answer = signedClient(server.url, ROOT_KEY)(GET)
  await arrived.promise
  const closed = server[Symbol.asyncDispose]()
  await assert.rejects(send(server.url, { method: 'GET', path: '/healthz' }), { code: /^ECONN(REFUSED|RESET)$/ })
  goOn.resolve()
  assert.equal((await answer).status, 200)
  await closed
})

test('an address that is taken is a mistake of the configuration', async () => {
  await using server = await openApiServer({ routes: [] })
  const { hostname, port } = new URL(server.url)
  const listen = { host: hostname, port: Number(port) }
  await assert.rejects(openApiServer({ routes: [], listen }), { code: 'config_invalid', message: /another program/ })
})

test('metrics count answers by operation and status, on an address of their own', async () => {
  await using server = await openApiServer({ routes: [getInstance] })
  const call = signedClient(server.url, ROOT_KEY)
  await call(GET)
  await call(GET)
  await call(GET, { key: { ...ROOT_KEY, secret: 'wrong' } })
  await send(server.url, { method: 'GET', path: '/made/up/by/a/client' })
  await using metrics = await serveMetrics(server.metrics, { host: '127.0.0.1', port: 0 })
  const { text: content, headers } = await send(metrics.url, { method: 'GET', path: '/metrics' })
  assert.match(String(headers['content-type']), /^text\/plain; version=/)
  assert.match(content, /tintype_http_requests_total\{action="GetInstance",status="200"\} 2\n/)
  assert.match(content, /tintype_http_requests_total\{action="GetInstance",status="400"\} 1\n/)
  assert.match(content, /tintype_http_requests_total\{action="none",status="404"\} 1\n/)
  assert.match(content, /tintype_http_request_duration_seconds_bucket\{le="0\.005",action="GetInstance"\} \d+\n/)
  assert.doesNotMatch(content, /made/)
  assert.equal((await send(metrics.url, { method: 'GET', path: '/' })).status, 404)
})

test('of reads the audit log has samples, of changes every one, and failures with the code that the client saw', async () => {
  const fails = route({
    action: 'CreateInstanceSnapshot',
    handle: async () => {
      throw new AppError('instance_not_found', 'There is no instance dsw-1.')
    },
  })
  await using server = await openApiServer({ routes: [getInstance, fails] })
  const call = signedClient(server.url, ROOT_KEY)
  for (let i = 0; i < 3; i++) await call(GET)
  await call(SAVE, { body: { SnapshotName: 'a', ImageUrl: 'localhost:5000/a' } })
  assert.deepEqual(
    server.audit.map(({ action, outcome, code }) => [action, outcome, code]),
    [
      ['paidsw:GetInstance', 'done', ''],
      ['paidsw:CreateInstanceSnapshot', 'failed', 'ValidationError'],
    ],
  )
})
