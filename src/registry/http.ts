/** One HTTP exchange over node:http and node:https: keep-alive, streams with backpressure, time limits, guarded addresses. */
import http from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import https from 'node:https'
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { connectionError, PROXY_LOGIN, proxyError } from './failure.ts'
import { openWays, type WayOptions } from './ways.ts'

const CONNECT_MS = 15_000 // one lost SYN is sent again after 1, 3 and 7 s
const IDLE_MS = 60_000
const DRAIN_BYTES = 64 * 1024 // what is read to keep a connection; a longer rest costs more than a new one

export interface HttpRequest {
  readonly method: string
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined
  readonly signal?: AbortSignal | undefined
  /** How long nothing may move on the connection; waiting for our own body or reader does not count. 60 s by default. */
  readonly idleMs?: number | undefined
}

/** An answer whose body must be read to its end or discarded: it holds a connection until then. */
export interface HttpResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly url: URL
  /** It came before the whole request body had been sent; the rest was not sent. */
  readonly isEarly: boolean
  /** To be read once. Leaving the loop closes the connection. */
  readonly body: AsyncIterable<Uint8Array>
  /** The first `maxBytes` of the body, and whether that was all of it; the connection is closed when it was not. */
  read(maxBytes: number): Promise<{ readonly bytes: Buffer; readonly isComplete: boolean }>
  discard(): Promise<void>
}

export interface TransportOptions extends WayOptions {
  readonly userAgent: string
}

export interface Transport {
  /** Throws `registry_unavailable`, `registry_untrusted`, `config_invalid`, `cancelled`, or what the request body threw. */
  send(request: HttpRequest): Promise<HttpResponse>
}

/** A transport with connections of its own; idle ones do not keep the process alive. */
export function openTransport(options: TransportOptions): Transport {
  const ways = openWays(options)
  return {
    async send(request) {
      throwIfAborted(request.signal)
      const { url } = request
      const { agent, lookup, proxy } = await ways.to(url)
      throwIfAborted(request.signal)
      const headers = { 'user-agent': options.userAgent, ...request.headers }
      const protocol = url.protocol === 'https:' ? https : http
      const sent = protocol.request(url, {
        method: request.method,
        headers,
        agent,
        lookup,
        ...(request.signal && { signal: request.signal }),
      })
      return exchange(sent, request, proxy)
    },
  }
}

function exchange(sent: ClientRequest, request: HttpRequest, proxy: URL | undefined): Promise<HttpResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>()
  const idle = watchIdle(sent, request)
  limitConnect(sent, request.url.host)
  sent.on('error', (error) => reject(connectionError(error, request.url.host, proxy)))
  sent.on('response', (message) => {
    const status = message.statusCode
    if (proxy && status === PROXY_LOGIN) sent.destroy(proxyError(request.url.host, { proxy, status }))
    else resolve(toResponse(message, sent, { request, idle }))
  })
  sendBody(sent, request.body, idle).catch((error: unknown) => {
    reject(error) // first: the source's own error, not the cut connection that follows
    sent.destroy()
  })
  return promise
}

function limitConnect(sent: ClientRequest, host: string): void {
  const timer = setTimeout(() => {
    const details = { registry: host, code: 'ETIMEDOUT' }
    sent.destroy(new AppError('registry_unavailable', `${host} does not answer: check the network.`, { details }))
  }, CONNECT_MS)
  const stop = () => clearTimeout(timer)
  sent.once('close', stop)
  sent.once('socket', (socket) => {
    if (!socket.connecting) stop()
    else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', stop)
  })
}

/** Silence on the connection while it is the registry's turn. `ours` marks the time in which we are the ones who wait. */
interface Idle {
  ours<T>(waiting: Promise<T>): Promise<T>
}

function watchIdle(sent: ClientRequest, request: HttpRequest): Idle {
  const limitMs = request.idleMs ?? IDLE_MS
  let isOurs = false
  let hasExpired = false
  sent.setTimeout(limitMs)
  sent.on('timeout', () => {
    if (isOurs) {
      hasExpired = true
      return
    }
    const details = { registry: request.url.host, code: 'ETIMEDOUT' }
    const text = `${request.url.host} has been silent for ${limitMs / 1000} s: try again.`
    sent.destroy(new AppError('registry_unavailable', text, { details }))
  })
  return {
    async ours(waiting) {
      isOurs = true
      try {
        return await waiting
      } finally {
        isOurs = false
        if (hasExpired) sent.setTimeout(limitMs) // it fires once per silence
        hasExpired = false
      }
    },
  }
}

async function sendBody(sent: ClientRequest, body: HttpRequest['body'], idle: Idle): Promise<void> {
  if (body === undefined || body instanceof Uint8Array) {
    sent.end(body)
    return
  }
  let isOver = false
  const over = () => {
    isOver = true
  }
  sent.once('response', over).once('close', over)
  const chunks = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await idle.ours(chunks.next())
      if (isOver) return
      if (next.done) break
      await written(sent, next.value)
      if (isOver) return
    }
  } finally {
    await chunks.return?.()
  }
  sent.end()
}

/** The bytes have gone to the kernel, or are not wanted any more: whoever made them may write over them. */
function written(sent: ClientRequest, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const events = ['close', 'response']
    const done = () => {
      for (const event of events) sent.off(event, done)
      resolve()
    }
    for (const event of events) sent.on(event, done)
    sent.write(bytes, done)
  })
}

interface Exchange {
  readonly request: HttpRequest
  readonly idle: Idle
}

function toResponse(message: IncomingMessage, sent: ClientRequest, { request, idle }: Exchange): HttpResponse {
  const isEarly = !sent.writableEnded
  message.on('error', () => {}) // read by the loop below, or by nobody when the answer is dropped
  const close = () => {
    if (isEarly || !message.complete) sent.destroy()
  }
  async function* body(): AsyncGenerator<Uint8Array> {
    let handedOver = Promise.withResolvers<void>()
    try {
      for await (const chunk of message) {
        const reading = idle.ours(handedOver.promise)
        yield chunk
        handedOver.resolve()
        await reading
        handedOver = Promise.withResolvers()
      }
    } catch (error) {
      throwIfAborted(request.signal) // Node reports it as a cut connection
      throw connectionError(error, request.url.host)
    } finally {
      handedOver.resolve()
      close()
    }
  }
  const bytes = body()
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    url: request.url,
    isEarly,
    body: bytes,
    async read(maxBytes) {
      const chunks: Uint8Array[] = []
      let count = 0
      for await (const chunk of bytes) {
        chunks.push(chunk)
        count += chunk.length
        if (count > maxBytes) break
      }
      return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), isComplete: count <= maxBytes }
    },
    async discard() {
      let count = 0
      try {
        for await (const chunk of bytes) if ((count += chunk.length) > DRAIN_BYTES) break
      } catch {
        // What is thrown away may as well be cut.
      }
      close()
    },
  }
}
