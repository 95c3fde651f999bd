import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { signAcs3 } from '#access/sign.ts'
import type { SigningKey } from '#access/sign.ts'

/** What a test may change about a request, before or after it is signed. */
export interface CallOptions {
  /** Percent-encoded, without the `?`. */
  readonly query?: string
  readonly body?: unknown
  /** Sent as it is, instead of `body` as JSON. */
  readonly rawBody?: string | Buffer
  readonly contentType?: string
  readonly action?: string
  readonly version?: string
  readonly key?: SigningKey
  readonly date?: Date
  readonly nonce?: string
  /** Added after the signature was made, or put in the place of what was signed. `undefined` takes one away. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Sent instead of the path and query that were signed. */
  readonly sentPath?: string
  readonly sentBody?: string
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** Of a JSON answer; else an empty object. */
  readonly json: Record<string, unknown>
}

/** A client that signs `LINE` (such as `GET /api/v2/instances`) as the official ones do. */
export function signedClient(url: string, key: SigningKey) {
  const host = new URL(url).host
  return async (line: string, options: CallOptions = {}): Promise<Answer> => {
    const [method = 'GET', rawPath = '/'] = line.split(' ')
    const body = options.rawBody ?? (options.body === undefined ? '' : JSON.stringify(options.body))
    const contentType = options.contentType ?? (body.length > 0 ? 'application/json; charset=utf-8' : undefined)
    const signed = signAcs3(
      {
        method,
        host,
        rawPath,
        body,
        ...(options.query !== undefined && { rawQuery: options.query }),
        ...(options.action !== undefined && { action: options.action }),
        ...(options.version !== undefined && { version: options.version }),
        ...(contentType !== undefined && { contentType }),
      },
      options.key ?? key,
      { nonce: options.nonce ?? randomBytes(16).toString('hex'), date: options.date ?? new Date() },
    )
    const path = options.sentPath ?? (options.query === undefined ? rawPath : `${rawPath}?${options.query}`)
    return send(url, { method, path, headers: { ...signed, ...options.headers }, body: options.sentBody ?? body })
  }
}

interface RawRequest {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body?: string | Buffer
}

/** Send one request as it is, on a connection of its own. */
export function send(url: string, { method, path, headers = {}, body = '' }: RawRequest): Promise<Answer> {
  const { hostname, port } = new URL(url)
  const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
  return new Promise((resolve, reject) => {
    const outgoing = request({
      hostname,
      port,
      method,
      path,
      agent: false,
      headers: { ...(sent as Record<string, string>), 'content-length': Buffer.byteLength(body) },
    })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      text(response).then((content) => {
        const isJson = response.headers['content-type']?.startsWith('application/json')
        const json = isJson ? (JSON.parse(content) as Record<string, unknown>) : {}
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: content, json })
      }, reject)
    })
    outgoing.end(body)
  })
}
