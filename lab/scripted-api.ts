import { hash } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { parseAuthorization, verifySignature } from '#access/acs3.ts'

export const SCRIPTED_KEY = { id: 'LTAIscripted', secret: 'of-the-script' }

export interface ScriptedRequest {
  readonly action: string
  /** `GET /api/v2/instances?PageNumber=1`, as it came. */
  readonly line: string
  readonly body: unknown
}

/** What it answers: an object as JSON, or what a function does. */
export type ScriptedAnswer = object | ((response: ServerResponse, request: ScriptedRequest) => void)

/** An API that answers each action as it is told, and notes what came. A request that is not signed well is an error here. */
export async function openScriptedApi(answers: Readonly<Record<string, ScriptedAnswer>>) {
  const requests: ScriptedRequest[] = []
  const server = createServer((incoming, response) => {
    void answer(incoming, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
  })
  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(incoming)
    const [rawPath = '', rawQuery = ''] = (incoming.url ?? '').split('?')
    const headers = incoming.headersDistinct
    const received = { method: incoming.method ?? '', rawPath, rawQuery, headers, bodySha256: hash('sha256', body) }
    const authorization = parseAuthorization(headers)
    verifySignature(received, authorization, SCRIPTED_KEY.secret)
    const action = String(incoming.headers['x-acs-action'])
    const parsed: unknown = body.length === 0 ? undefined : JSON.parse(body.toString())
    const request = { action, line: `${incoming.method} ${incoming.url}`, body: parsed }
    requests.push(request)
    const scripted = answers[action]
    if (typeof scripted === 'function') return scripted(response, request)
    if (scripted === undefined) return refuse(response, 404, { Code: 'ValidationError', Message: `No ${action} here.` })
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(scripted))
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Answer with a failure; `own` is the server's code for it. */
export function refuse(response: ServerResponse, status: number, body: object, own?: string): void {
  response.writeHead(status, { 'content-type': 'application/json', ...(own && { 'x-tintype-error': own }) })
  response.end(JSON.stringify(body))
}
