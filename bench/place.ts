import { startContainer, type Container } from '#lab/container.ts'
import { labEngine, type Engine, type EngineName } from '#lab/engine.ts'
import { debianImage } from '#lab/images.ts'
import { ensurePackages } from '#lab/packages.ts'
import { clearWorkspace, openWorkspace } from '#lab/workspace.ts'
import type { Home } from './commands.ts'
import { openTarget, type Target } from './target.ts'

/** An engine, and a registry that has the base image of its containers. */
export interface Place {
  readonly engine: Engine
  readonly home: Home
  readonly target: Target
  /** A container in which nothing has happened; it is removed with the place. */
  start(): Promise<Container>
}

/** Start an engine and a registry, run `work`, and remove all of it again. */
export async function withPlace<T>(name: EngineName, work: (place: Place) => Promise<T>): Promise<T> {
  await ensurePackages(['tar', 'zstd', 'libisal2'])
  await using stack = new AsyncDisposableStack()
  const workspace = await openWorkspace('bench')
  stack.defer(() => clearWorkspace(workspace))
  const engine = stack.use(await labEngine(name))
  const image = await debianImage(engine)
  const directory = workspace.directory
  const env = { ...process.env, DOCKER_HOST: `unix://${engine.socketPath}`, TINTYPE_HOME: `${directory}/home` }
  const home = { directory, env }
  const start = async () => stack.use(await startContainer(engine, image))
  const untouched = await start()
  const target = stack.use(await openTarget({ engine, image, untouched: untouched.id, home }))
  return await work({ engine, home, target, start })
}
