/** An engine that tells of each freeze while it lasts. */
import { once } from 'node:events'
import { createServer, request } from 'node:http'

export interface WatchedEngine extends AsyncDisposable {
  /** Of a door to the engine, for a freezer. */
  readonly socketPath: string
}

/**
 * A door to the engine at `behind`. Who pauses a container there hears of it after `onFrozen`: the container is frozen for
 * certain while that runs, and no clock decides about it.
 */
export async function openWatchedEngine(options: {
  readonly behind: string
  readonly socketPath: string
  readonly onFrozen: () => void
}): Promise<WatchedEngine> {
  const { behind, socketPath, onFrozen } = options
  const server = createServer((incoming, outgoing) => {
    const { method, url: path = '', headers } = incoming
    const onward = request({ socketPath: behind, method, path, headers, agent: false }, (answer) => {
      const { statusCode = 502 } = answer
      if (path.endsWith('/pause') && statusCode === 204) onFrozen()
      outgoing.writeHead(statusCode, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    incoming.on('error', () => onward.destroy())
    incoming.pipe(onward)
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    socketPath,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
