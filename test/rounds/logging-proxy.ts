/** A registry behind a proxy that keeps a log of what was asked, and can hold one request back. */
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Asked {
  readonly method: string
  /** With its query. */
  readonly path: string
}

export interface LoggingProxy extends AsyncDisposable {
  /** `127.0.0.1:PORT`, for references. */
  readonly host: string
  /** In the order in which they came. */
  readonly asked: readonly Asked[]
  /** The next request of which `isIt` is true is not handed on until `release`; `arrived` resolves when it has come. */
  hold(isIt: (asked: Asked) => boolean): { readonly arrived: Promise<void>; release(): void }
}

interface Held {
  readonly isIt: (asked: Asked) => boolean
  readonly arrive: () => void
  readonly released: Promise<void>
}

/** In front of a registry at `registryHost`, over plain HTTP. */
export async function startLoggingProxy(registryHost: string): Promise<LoggingProxy> {
  const asked: Asked[] = []
  let held: Held | undefined
  const server = createServer((incoming, outgoing) => {
    const { method = '', url: path = '' } = incoming
    asked.push({ method, path })
    if (!held?.isIt({ method, path })) return handOn(registryHost, incoming, outgoing)
    const { arrive, released } = held
    held = undefined
    arrive()
    void released.then(() => handOn(registryHost, incoming, outgoing))
  })
  server.requestTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    hold(isIt) {
      const arrived = Promise.withResolvers<void>()
      const released = Promise.withResolvers<void>()
      held = { isIt, arrive: arrived.resolve, released: released.promise }
      return { arrived: arrived.promise, release: released.resolve }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** With the Host that was asked: the registry's answers name the proxy. */
function handOn(registryHost: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const [hostname, port] = registryHost.split(':')
  const { method, url: path, headers } = incoming
  const onward = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(outgoing)
  })
  onward.on('error', () => outgoing.destroy())
  incoming.on('error', () => onward.destroy())
  incoming.pipe(onward)
}
