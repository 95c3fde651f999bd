import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { headerOf } from '#access/request.ts'
import type { ReceivedRequest } from '#access/request.ts'
import { AppError } from '#base/errors.ts'

/** A request as it came, whole: what the signature is verified against, and where it came from. */
export interface Received extends ReceivedRequest {
  readonly body: Buffer
  readonly host: string
  readonly sourceIp: string
}

const NO_BYTES = Buffer.alloc(0)
const SHA256_OF_NOTHING = hash('sha256', NO_BYTES)
/** Sent twice, these could mean one thing to a proxy and another to us. */
const ONCE = /^(?:x-acs-|x-tintype-)|^(?:authorization|host|content-type|content-length|transfer-encoding|cookie|date)$/

/** Collect what a request is made of. Throws `request_invalid` for a header that is there twice and must not be. */
export function receive(raw: IncomingMessage, body: Buffer | undefined): Received {
  const url = raw.url ?? '/'
  const question = url.indexOf('?')
  const headers = raw.headersDistinct
  for (const name in headers)
    if ((headers[name]?.length ?? 0) > 1 && ONCE.test(name))
      throw new AppError('request_invalid', `The header ${name} is there more than once: send it once.`)
  const bytes = body ?? NO_BYTES
  return {
    method: raw.method ?? 'GET',
    rawPath: question < 0 ? url : url.slice(0, question),
    rawQuery: question < 0 ? '' : url.slice(question + 1),
    headers,
    body: bytes,
    bodySha256: bytes.length === 0 ? SHA256_OF_NOTHING : hash('sha256', bytes),
    host: headers['host']?.[0] ?? '',
    sourceIp: plainAddress(raw.socket.remoteAddress ?? ''),
  }
}

/** An IPv4 address that came through an IPv6 socket is written as what it is, so that policies can name it. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}

const FORM = 'application/x-www-form-urlencoded'

/** The parameters of an RPC call: those of the query and, in a form, those of the body. Still encoded. */
export function rpcParameters({ rawQuery, headers, body }: Received): string {
  const type = headerOf(headers, 'content-type')?.split(';')[0]?.trim().toLowerCase()
  if (body.length === 0 || type !== FORM) return rawQuery
  return rawQuery === '' ? body.toString('latin1') : `${rawQuery}&${body.toString('latin1')}`
}
