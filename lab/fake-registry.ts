/** A registry in this process, and a token server: well-behaved by themselves, and as odd as a test wants them. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

/** A request as it was seen. */
export interface Seen {
  readonly method: string
  readonly path: string
  /** Raw, without the question mark. */
  readonly query: string
  readonly headers: IncomingHttpHeaders
  /** Bytes of body that arrived. */
  bytes: number
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** Instead of an answer: take so many bytes of the body (an upload keeps them), then cut the connection. */
export interface Cut {
  readonly cutAfterBytes: number
}

export interface FakeOptions {
  readonly tls?: { readonly key: string; readonly cert: string }
  /** Asked before a body is read. An answer stands, and the body is not read. */
  readonly before?: (seen: Seen) => Answer | Cut | undefined
  /** Changes an answer before it is sent. */
  readonly after?: (seen: Seen, answer: Answer) => Answer
  /** Undefined lets everybody in; else the WWW-Authenticate header to ask with, or undefined to let this one in. */
  readonly challenge?: (seen: Seen) => string | undefined
  /** Called for each piece of a body that has arrived, and awaited: a slow reader. */
  readonly onPiece?: (bytes: number) => Promise<void>
}

export interface FakeRegistry extends AsyncDisposable {
  readonly host: string
  readonly url: string
  readonly seen: readonly Seen[]
  /** By digest, for all repositories. */
  readonly blobs: Map<string, Buffer>
  /** By `repository:tag` or `repository@digest`. */
  readonly manifests: Map<string, { readonly bytes: Buffer; readonly mediaType: string }>
  /** Open upload sessions by id. */
  readonly uploads: Map<string, Upload>
  /** `METHOD path` of what was asked, in order. */
  asked(): string[]
  /** Cut all connections that are open now. */
  cutConnections(): void
}

interface Upload {
  bytes: Buffer
  /** Each answer names a new one; an old one is not taken. */
  state: number
}

export async function startFakeRegistry(options: FakeOptions = {}): Promise<FakeRegistry> {
  const core = { blobs: new Map(), manifests: new Map(), uploads: new Map() } satisfies Partial<FakeRegistry>
  const seen: Seen[] = []
  const listening = await listen(options.tls, async (request, response) => {
    const entry = observe(request)
    seen.push(entry)
    const early = options.before?.(entry)
    if (early && 'cutAfterBytes' in early) {
      await takeAndCut(request, early.cutAfterBytes, (piece) => keepPiece(core, entry, piece))
      return
    }
    const challenge = early ? undefined : options.challenge?.(entry)
    const refusal = challenge === undefined ? early : unauthorized(challenge)
    if (refusal) return send(response, entry, refusal)
    const body = await readBody(request, entry, options)
    const answer = route(core, entry, body)
    send(response, entry, options.after?.(entry, answer) ?? answer)
  })
  return { ...core, ...listening, seen, asked: () => seen.map(({ method, path }) => `${method} ${path}`) }
}

type Core = Pick<FakeRegistry, 'blobs' | 'manifests' | 'uploads'>

function observe(request: IncomingMessage): Seen {
  const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s)
  return { method: request.method ?? '', path, query, headers: request.headers, bytes: 0 }
}

export function registryError(status: number, code: string, message = '', detail?: unknown): Answer {
  const body = JSON.stringify({ errors: [{ code, message, detail }] })
  return { status, headers: { 'content-type': 'application/json' }, body }
}

function unauthorized(challenge: string): Answer {
  const answer = registryError(401, 'UNAUTHORIZED', 'authentication required')
  return { ...answer, headers: { ...answer.headers, 'www-authenticate': challenge } }
}

function send(response: ServerResponse, seen: Seen, { status, headers = {}, body = '' }: Answer): void {
  const length = { 'content-length': String(Buffer.byteLength(body)) }
  response.writeHead(status, status === 204 ? headers : { ...length, ...headers })
  response.end(seen.method === 'HEAD' || status === 204 ? undefined : body)
}

async function readBody(request: IncomingMessage, seen: Seen, { onPiece }: FakeOptions): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of request as AsyncIterable<Buffer>) {
    pieces.push(piece)
    seen.bytes += piece.length
    await onPiece?.(seen.bytes)
  }
  return Buffer.concat(pieces)
}

/** Read so many bytes, hand them over, cut the connection. */
function takeAndCut(request: IncomingMessage, bytes: number, keep: (piece: Buffer) => void): Promise<void> {
  const taken: Buffer[] = []
  let missing = bytes
  const take = (piece: Buffer) => {
    taken.push(piece.subarray(0, missing))
    missing -= Math.min(missing, piece.length)
    if (missing === 0) request.socket.destroy()
  }
  return new Promise((resolve) => {
    request.on('error', () => {})
    request.once('close', () => {
      keep(Buffer.concat(taken))
      resolve()
    })
    request.on('data', take)
    // A body may be shorter than that: then its end is the place.
    request.once('end', () => request.socket.destroy())
    if (missing === 0) request.socket.destroy()
  })
}

function keepPiece({ uploads }: Core, seen: Seen, piece: Buffer): void {
  const upload = uploads.get(seen.path.split('/').at(-1) ?? '')
  if (upload && seen.method === 'PATCH') upload.bytes = Buffer.concat([upload.bytes, piece])
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function route(core: Core, seen: Seen, body: Buffer): Answer {
  if (seen.path === '/v2/') return { status: 200 }
  const match = /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/([^/]*)$/.exec(seen.path)
  if (!match) return registryError(404, 'NAME_UNKNOWN')
  const [, repository = '', kind, id = ''] = match
  if (kind === 'manifests') return routeManifest(core, { seen, repository, id, body })
  if (kind === 'blobs') return readBlob(core, seen, id)
  return id === '' ? beginUpload(core, seen, repository) : routeUpload(core, { seen, repository, id, body })
}

interface Routed {
  readonly seen: Seen
  readonly repository: string
  readonly id: string
  readonly body: Buffer
}

function routeManifest({ manifests }: Core, { seen, repository, id, body }: Routed): Answer {
  const key = id.startsWith('sha256:') ? `${repository}@${id}` : `${repository}:${id}`
  if (seen.method === 'PUT') {
    const digest = digestOf(body)
    const manifest = { bytes: body, mediaType: seen.headers['content-type'] ?? '' }
    manifests.set(key, manifest).set(`${repository}@${digest}`, manifest)
    return { status: 201, headers: { 'docker-content-digest': digest } }
  }
  const manifest = manifests.get(key)
  if (!manifest) return registryError(404, 'MANIFEST_UNKNOWN')
  const headers = { 'content-type': manifest.mediaType, 'docker-content-digest': digestOf(manifest.bytes) }
  return { status: 200, headers, body: manifest.bytes }
}

function readBlob({ blobs }: Core, seen: Seen, digest: string): Answer {
  const blob = blobs.get(digest)
  if (!blob) return registryError(404, 'BLOB_UNKNOWN')
  const range = /^bytes=(\d+)-(\d*)$/.exec(seen.headers.range ?? '')
  if (!range) return { status: 200, body: blob }
  const [from, end] = [Number(range[1]), range[2] === '' ? blob.length : Number(range[2]) + 1]
  if (from >= blob.length) return { status: 416 }
  const headers = { 'content-range': `bytes ${from}-${Math.min(end, blob.length) - 1}/${blob.length}` }
  return { status: 206, headers, body: blob.subarray(from, end) }
}

let uploadCount = 0

function beginUpload({ blobs, uploads }: Core, seen: Seen, repository: string): Answer {
  const mount = new URLSearchParams(seen.query).get('mount')
  if (mount && blobs.has(mount)) return { status: 201, headers: { location: `/v2/${repository}/blobs/${mount}` } }
  const id = `upload-${++uploadCount}`
  const upload = { bytes: Buffer.alloc(0), state: 0 }
  uploads.set(id, upload)
  return { status: 202, headers: uploadHeaders(repository, id, upload) }
}

function uploadHeaders(repository: string, id: string, upload: Upload): Record<string, string> {
  const location = `/v2/${repository}/blobs/uploads/${id}?_state=${stateOf(upload)}`
  return { location, range: `0-${Math.max(0, upload.bytes.length - 1)}` }
}

/** Characters that a client which rewrites the query would write in another way. */
const stateOf = (upload: Upload) => `a%20b+${upload.state}==`

function routeUpload({ blobs, uploads }: Core, { seen, repository, id, body }: Routed): Answer {
  const upload = uploads.get(id)
  if (!upload) return registryError(404, 'BLOB_UPLOAD_UNKNOWN')
  if (seen.method === 'DELETE') {
    uploads.delete(id)
    return { status: 204 }
  }
  if (seen.method === 'GET') return { status: 204, headers: uploadHeaders(repository, id, upload) }
  if (seen.query.split('&')[0] !== `_state=${stateOf(upload)}`)
    return registryError(400, 'BLOB_UPLOAD_INVALID', 'old state')
  const start = /^(\d+)-\d+$/.exec(seen.headers['content-range'] ?? '')?.[1]
  if (start !== undefined && Number(start) !== upload.bytes.length)
    return { ...registryError(416, 'RANGE_INVALID'), headers: uploadHeaders(repository, id, upload) }
  upload.bytes = Buffer.concat([upload.bytes, body])
  upload.state++
  if (seen.method === 'PATCH') return { status: 202, headers: uploadHeaders(repository, id, upload) }
  const digest = new URLSearchParams(seen.query).get('digest') ?? ''
  if (digest !== digestOf(upload.bytes)) return registryError(400, 'DIGEST_INVALID', 'provided digest did not match')
  blobs.set(digest, upload.bytes)
  uploads.delete(id)
  return { status: 201, headers: { 'docker-content-digest': digest, location: `/v2/${repository}/blobs/${digest}` } }
}

interface Listening extends AsyncDisposable {
  readonly host: string
  readonly url: string
  cutConnections(): void
}

async function listen(
  tls: FakeOptions['tls'],
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void> | void,
): Promise<Listening> {
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    Promise.resolve(handle(request, response)).catch(() => request.socket.destroy()) // the client went away
  }
  const server: Server = tls ? createSecureServer(tls, onRequest) : createServer(onRequest)
  const sockets = new Set<Duplex>()
  server.on('connection', (socket: Duplex) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
  })
  const cutConnections = () => {
    for (const socket of sockets) socket.destroy()
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    url: `${tls ? 'https' : 'http'}://${host}`,
    cutConnections,
    async [Symbol.asyncDispose]() {
      cutConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface TokenServerOptions {
  /** The answer to the n-th request (1, 2, …); by default a token that names its scopes, without an end. */
  readonly answer?: (asked: TokenRequest, count: number) => Answer | undefined
}

/** A token request: form or query in one, and who asks. */
export interface TokenRequest {
  readonly method: string
  readonly parameters: URLSearchParams
  readonly authorization: string | undefined
}

export interface TokenServer extends AsyncDisposable {
  readonly realm: string
  readonly asked: readonly TokenRequest[]
  /** Whether a request carries a token of this server for all of these scopes. */
  grants(seen: Seen, ...scopes: string[]): boolean
  /** From now on no token that was given is good. */
  revoke(): void
}

export async function startTokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  const asked: TokenRequest[] = []
  const granted = new Map<string, string[]>()
  const listening = await listen(undefined, async (request, response) => {
    const seen = observe(request)
    const body = await readBody(request, seen, {})
    const parameters = new URLSearchParams(body.length > 0 ? body.toString() : seen.query)
    const entry = { method: seen.method, parameters, authorization: seen.headers.authorization }
    asked.push(entry)
    const token = `token-${asked.length}`
    const answer = options.answer?.(entry, asked.length) ?? { status: 200, body: JSON.stringify({ token }) }
    if (answer.status === 200)
      granted.set(
        token,
        parameters.getAll('scope').flatMap((scope) => scope.split(' ')),
      )
    send(response, seen, answer)
  })
  return {
    realm: `${listening.url}/token`,
    asked,
    grants(seen, ...scopes) {
      const held = granted.get((seen.headers.authorization ?? '').replace('Bearer ', ''))
      return held !== undefined && scopes.every((scope) => held.includes(scope))
    },
    revoke: () => granted.clear(),
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}
