import type { ServerResponse } from 'node:http'
import type { ServerSentEvent } from './route.ts'

/** Proxies close connections that are silent for a minute, some after half of one. */
const HEARTBEAT_MS = 15_000

export interface EventStreamOptions {
  readonly headers: Readonly<Record<string, string>>
  /** Fires when the client has gone, or the server ends. */
  readonly signal: AbortSignal
  readonly heartbeatMs?: number
  /** The last event of a stream that failed, as the client is to see it. */
  readonly describeFailure: (error: unknown) => ServerSentEvent
}

/**
 * Send events (HTML standard, § Server-sent events) until there are no more, or nobody listens. A slow reader is waited
 * for, so that nothing piles up. Resolves when the response has ended; never rejects.
 */
export async function sendEvents(
  response: ServerResponse,
  events: AsyncIterable<ServerSentEvent>,
  options: EventStreamOptions,
): Promise<void> {
  const { signal, heartbeatMs = HEARTBEAT_MS } = options
  response.writeHead(200, {
    ...options.headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no', // or nginx holds events back
  })
  response.flushHeaders()
  // A comment line: clients skip it, and a connection that is gone is noticed.
  const heartbeat = setInterval(() => response.write(':\n\n'), heartbeatMs)
  try {
    for await (const event of events) {
      if (signal.aborted) break
      if (!response.write(encodeEvent(event))) await drained(response, signal)
    }
  } catch (error) {
    if (!signal.aborted) response.write(encodeEvent(options.describeFailure(error)))
  } finally {
    clearInterval(heartbeat)
    response.end()
  }
}

/** JSON has no raw line breaks, so that `data` is one line. */
export function encodeEvent({ event, data, id }: ServerSentEvent): string {
  const idLine = id === undefined ? '' : `id: ${oneLine(id)}\n`
  return `${idLine}event: ${oneLine(event)}\ndata: ${JSON.stringify(data)}\n\n`
}

const oneLine = (text: string) => text.replaceAll(/[\r\n\0]/g, ' ')

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    response.once('drain', done)
    response.once('close', done)
    signal.addEventListener('abort', done, { once: true })
  })
}
