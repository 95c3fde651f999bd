import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Server, ServerOptions as HttpOptions } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, systemCode } from '#base/errors.ts'
import type { Config } from '#config/config.ts'
import { errorEnvelope } from '#contract/envelope.ts'
import { listen } from './listen.ts'

/** Documents and bodies of the API are a few kilobytes; a policy has 6144 characters. */
const BODY_LIMIT = 1024 * 1024
/** A client that sends its headers or body drop by drop holds a connection no longer than this. */
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
/** Longer than the keep-alive of usual load balancers (60 s): the one who reuses a connection must not be the last to know. */
const KEEP_ALIVE_MS = 65_000
const MAX_HEADER_BYTES = 16 * 1024
/** What is still open this long after `close` was called is cut. */
const CLOSE_WITHIN_MS = 10_000

export interface ServerOptions {
  readonly config: Pick<Config, 'listen' | 'tls'>
  /** Called for every request whose body is there. Answers it, and never rejects. */
  readonly handle: Handle
  /** Called for what never became a request: a body too large, a path that is none. */
  readonly refuse: Refuse
}

export type Handle = (request: FastifyRequest, reply: FastifyReply) => Promise<void>
export type Refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply) => void

export interface OpenServer extends AsyncDisposable {
  readonly url: string
}

/**
 * Listen for HTTP, or for HTTPS when a certificate is configured. The HTTP library reads requests and knows nothing of
 * their paths: every one of them goes to `handle`. Disposing stops to accept, lets what runs end within ten seconds,
 * and cuts the rest. Throws `config_invalid` for an address or a certificate that cannot be used.
 */
export async function openServer({ config, handle, refuse }: ServerOptions): Promise<OpenServer> {
  const serverFactory = await serverFactoryOf(config)
  const app = fastify({
    serverFactory,
    bodyLimit: BODY_LIMIT,
    return503OnClosing: false, // what came in before the end is answered
    exposeHeadRoutes: false,
    frameworkErrors: refuse, // paths that cannot be decoded
    routerOptions: { querystringParser: () => NO_QUERY }, // the signature needs it as it was sent
  })
  app.removeAllContentTypeParsers()
  // Bodies without a type, of any type, and of none (chunked, but empty): dsw-api §10.1.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHttpMethod('GET', { hasBody: true, overrideExisting: true }) // what is signed is what was sent, in a GET too
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply))
  app.setNotFoundHandler(handle)
  app.all('/*', handle)
  await app.ready()
  const url = await listen(app.server, config.listen, 'TINTYPE_LISTEN')
  return {
    url: config.tls ? url.replace('http:', 'https:') : url,
    [Symbol.asyncDispose]: () => close(app),
  }
}

/** Answers say `connection: close` from now on, so that connections end with what they are doing. */
async function close(app: FastifyInstance): Promise<void> {
  const { server } = app
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS)
  await app.close()
  server.closeIdleConnections()
  await closed
  clearTimeout(timer)
}

type Listener = Parameters<typeof createServer>[1]

async function serverFactoryOf({ tls }: Pick<Config, 'tls'>): Promise<(listener: NonNullable<Listener>) => Server> {
  const options: HttpOptions = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    insecureHTTPParser: false,
  }
  const certificate = tls && (await readCertificate(tls))
  return (listener) => {
    const server = certificate
      ? createTls({ ...options, ...certificate, minVersion: 'TLSv1.2' }, listener)
      : createServer(options, listener)
    return server.on('clientError', answerUnreadable)
  }
}

function createTls(...args: Parameters<typeof createTlsServer>): Server {
  try {
    return createTlsServer(...args)
  } catch (cause) {
    const message = 'TINTYPE_TLS_CERT and TINTYPE_TLS_KEY must name a certificate and its own key, both as PEM files.'
    throw new AppError('config_invalid', message, { cause, details: { field: 'TINTYPE_TLS_CERT' } })
  }
}

const NO_QUERY: Record<string, string> = Object.freeze({})

async function readCertificate({ certPath, keyPath }: { readonly certPath: string; readonly keyPath: string }) {
  const read = async (field: string, path: string) => {
    try {
      return await readFile(path)
    } catch (cause) {
      const message = `${field} names ${path}, which cannot be read (${systemCode(cause)}).`
      throw new AppError('config_invalid', message, { cause, details: { field } })
    }
  }
  return { cert: await read('TINTYPE_TLS_CERT', certPath), key: await read('TINTYPE_TLS_KEY', keyPath) }
}

interface Refusal {
  readonly status: number
  readonly reason: string
  readonly message: string
}

const NO_HTTP: Refusal = { status: 400, reason: 'Bad Request', message: 'The request is not valid HTTP.' }
const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: 'Request Header Fields Too Large',
    message: 'The query and the headers are longer than the server takes: send less in one request.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    reason: 'Request Timeout',
    message: 'The request took too long to arrive: send it again.',
  },
}

/** What the parser refuses, such as a request with two lengths, is answered in the one form that SDKs can read. */
function answerUnreadable(error: unknown, socket: Duplex): void {
  const code = systemCode(error) ?? ''
  if (code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const { status, reason, message } = REFUSALS[code] ?? NO_HTTP
  const requestId = randomUUID().toUpperCase()
  const wire = { code: 'ValidationError', message, status, requestId, hostId: '', recommend: '/openapi.json' }
  const body = JSON.stringify(errorEnvelope(undefined, wire))
  const lines = [
    `HTTP/1.1 ${status} ${reason}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    'connection: close',
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
