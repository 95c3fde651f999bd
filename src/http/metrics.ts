import { createServer } from 'node:http'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ListenAddress } from '#config/values.ts'
import { listen } from './listen.ts'

/** Most answers come within milliseconds; none may take longer than a second or so. */
const BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

const NOTHING: ReadonlyMap<string, number> = new Map()

/** What the server counts for Prometheus. */
export interface Metrics {
  /** An answer that went out. `action` is an operation's name, never what a request called itself. */
  answered(action: string, status: number, seconds: number): void
  /** One more (1) or less (-1) stream of events. */
  streams(change: 1 | -1): void
  /** A number that is looked up when somebody asks. */
  gauge(name: string, help: string, read: () => number | Promise<number>): void
  /** The same, one number for each status. Left out while it cannot be looked up: the other numbers are told all the same. */
  gaugeByStatus(name: string, help: string, read: () => Promise<ReadonlyMap<string, number>>): void
  /** Everything, in the text format of Prometheus. */
  text(): Promise<string>
  readonly contentType: string
}

/** Metrics of their own registry, so that two servers in one process do not share counters. */
export function openMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const requests = new Counter({
    name: 'tintype_http_requests_total',
    help: 'Answers by operation and HTTP status.',
    labelNames: ['action', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'tintype_http_request_duration_seconds',
    help: 'From the first byte of a request to the last of its answer.',
    labelNames: ['action'],
    buckets: BUCKETS_S,
    registers,
  })
  const streams = new Gauge({
    name: 'tintype_http_event_streams',
    help: 'Streams of events that are open.',
    registers,
  })
  return {
    contentType: registry.contentType,
    answered(action, status, duration) {
      requests.inc({ action, status }, 1)
      seconds.observe({ action }, duration)
    },
    streams: (change) => streams.inc(change),
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await read())
        },
      })
    },
    gaugeByStatus(name, help, read) {
      new Gauge({
        name,
        help,
        labelNames: ['status'],
        registers,
        async collect() {
          this.reset()
          for (const [status, value] of await read().catch(() => NOTHING)) this.set({ status }, value)
        },
      })
    },
    text: () => registry.metrics(),
  }
}

/** Serve `GET /metrics`, and nothing else, on an address of its own. Throws `config_invalid` when it cannot listen. */
export async function serveMetrics(
  metrics: Metrics,
  address: ListenAddress,
): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    request.resume()
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('The metrics are at GET /metrics.\n')
      return
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500, { 'content-type': 'text/plain' }).end('The metrics cannot be read now.\n'),
    )
  })
  const url = await listen(server, address, 'TINTYPE_METRICS_LISTEN')
  return {
    url: `${url}/metrics`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
