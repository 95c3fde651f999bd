import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeEvent, sendEvents } from './events.ts'
import type { EventStreamOptions } from './events.ts'
import type { ServerSentEvent } from './route.ts'

/** Send `events` over a real connection: what the client sees, and when the sending is over. */
async function open(events: AsyncIterable<ServerSentEvent>, options: Partial<EventStreamOptions> = {}) {
  const sent = Promise.withResolvers<void>()
  const server = createServer((_request, response: ServerResponse) => {
    const describeFailure = () => ({ event: 'error', data: 'told' })
    const signal = options.signal ?? new AbortController().signal
    sendEvents(response, events, { headers: {}, describeFailure, ...options, signal }).then(sent.resolve, sent.reject)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const request = get({ port: (server.address() as AddressInfo).port, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return {
    response,
    sent: sent.promise,
    [Symbol.asyncDispose]: async () => {
      request.destroy()
      server.closeAllConnections()
      server.close()
    },
  }
}

test('headers are there before the first event', async () => {
  const first = Promise.withResolvers<ServerSentEvent>()
  await using stream = await open(
    (async function* () {
      yield await first.promise
    })(),
  )
  assert.equal(stream.response.headers['x-accel-buffering'], 'no')
  first.resolve({ event: 'a', data: 1 })
  assert.equal(await text(stream.response), 'event: a\ndata: 1\n\n')
})

test('a silent stream sends comments, so that nobody on the way closes it', async () => {
  const ending = new AbortController()
  await using stream = await open(
    (async function* () {
      await once(ending.signal, 'abort')
      yield { event: 'too late', data: 1 }
    })(),
    { signal: ending.signal, heartbeatMs: 5 },
  )
  const [first] = await once(stream.response, 'data')
  assert.match(String(first), /^(:\n\n)+$/)
  ending.abort()
  assert.match(await text(stream.response), /^(:\n\n)*$/, 'what comes after the end is not sent')
  await stream.sent
})

test('a client that does not read is waited for, and holds nobody up once it has gone', async () => {
  const ending = new AbortController()
  let made = 0
  await using stream = await open(
    (async function* () {
      for (;;) {
        made++
        yield { event: 'big', data: 'x'.repeat(100_000) }
      }
    })(),
    { signal: ending.signal },
  )
  stream.response.pause()
  let before = -1
  while (made !== before) {
    before = made
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.ok(made < 1_000, `${made} events of 100 kB were made for nobody`)
  stream.response.destroy()
  ending.abort()
  await stream.sent
})

test('an event that cannot be had ends the stream with a sentence', async () => {
  await using stream = await open(
    (async function* () {
      yield { event: 'a', data: 1 }
      throw new Error('inside')
    })(),
  )
  assert.equal(await text(stream.response), 'event: a\ndata: 1\n\nevent: error\ndata: "told"\n\n')
})

test('no event can pretend to be two, whatever is in it', () => {
  const event = fc.record({ event: fc.string(), data: fc.jsonValue(), id: fc.string() })
  fc.assert(
    fc.property(event, (one) => {
      const lines = encodeEvent(one).split(/\r\n|\n|\r/)
      assert.deepEqual(
        lines.map((line) => line.split(':')[0]),
        ['id', 'event', 'data', '', ''],
      )
      assert.deepEqual(JSON.parse(lines[2]!.slice('data: '.length)), JSON.parse(JSON.stringify(one.data)))
    }),
  )
})
