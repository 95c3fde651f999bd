import { labEngine, type Engine, type EngineName } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { startServer, type ServerOptions, type TestServer } from '#lab/server.ts'

/** A server with an engine and a registry, in which there is an image to start from. */
export interface World extends AsyncDisposable {
  readonly engine: Engine
  readonly registry: Registry
  readonly server: TestServer
  /** The image, by its name in the registry. */
  readonly imageUrl: string
  /** A command in the container of an instance: what it prints. */
  exec(instanceId: string, ...command: readonly string[]): Promise<string>
  /** The digest that a tag of the registry names; undefined where it has none. */
  digestOf(repository: string, tag: string): Promise<string | undefined>
}

/** `env` is more of the server's configuration. */
export async function openWorld(name: EngineName, env: ServerOptions['env'] = {}): Promise<World> {
  await using opened = new AsyncDisposableStack()
  const engine = opened.use(await labEngine(name))
  const registry = opened.use(await startRegistry())
  const imageUrl = `${registry.host}/lab/base:1`
  await engine.docker(['tag', await busyboxImage(engine), imageUrl])
  await engine.docker(['push', '--quiet', imageUrl])
  await engine.docker(['rmi', imageUrl]) // so that the server pulls it
  const server = opened.use(await startServer({ engine, env }))
  const closing = opened.move()
  return {
    engine,
    registry,
    server,
    imageUrl,
    async exec(instanceId, ...command) {
      const filter = ['--filter', `label=io.tintype.instance=${instanceId}`]
      const id = await engine.docker(['ps', '--quiet', ...filter])
      return await engine.docker(['exec', id, ...command])
    },
    async digestOf(repository, tag) {
      const accept = 'application/vnd.oci.image.manifest.v1+json'
      const url = `http://${registry.host}/v2/${repository}/manifests/${tag}`
      const answer = await fetch(url, { method: 'HEAD', headers: { accept } })
      return answer.headers.get('docker-content-digest') ?? undefined
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}
