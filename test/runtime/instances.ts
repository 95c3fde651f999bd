import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pack } from 'tar-stream'
import { testedEngines, type Engine } from '#lab/engine.ts'
import { busyboxImage, hasImage } from '#lab/images.ts'
import { mustRun } from '#lab/workspace.ts'
import { openDockerRuntime } from '#runtime/docker/docker-runtime.ts'
import type { InstanceSpec, Runtime, RuntimeHandle, RuntimeState } from '#runtime/runtime.ts'

/** Instances live on Docker; of Podman only containers that were made otherwise are captured. */
export const instanceEngines = () => testedEngines().filter((name) => name !== 'podman')

/** A runtime on an engine of the lab, and what was made with it. Closing it removes all of that. */
export interface TestRuntime extends AsyncDisposable {
  readonly runtime: Runtime
  readonly engine: Engine
  /** TINTYPE_HOME, where both engines of the lab see it. */
  readonly home: string
  /** A spec of an id of its own on the lab's busybox. */
  spec(changes?: Partial<InstanceSpec>): InstanceSpec
  /** Create and start. */
  run(changes?: Partial<InstanceSpec>): Promise<RuntimeHandle>
  /** Run a command in an instance: what it prints. */
  exec(handle: RuntimeHandle, ...command: readonly string[]): Promise<string>
}

let made = 0

export async function openTestRuntime(engine: Engine): Promise<TestRuntime> {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-runtime-'))
  const home = join(directory, 'home')
  mkdirSync(home)
  const runtime = openDockerRuntime({ socketPath: engine.socketPath, home, zstdEverywhere: false })
  const imageUrl = await busyboxImage(engine)
  const ids: string[] = []
  const spec = (changes: Partial<InstanceSpec> = {}): InstanceSpec => {
    const instanceId = `dsw-${process.pid}-${++made}`
    ids.push(instanceId)
    return {
      instanceId,
      imageUrl,
      environment: {},
      binds: [],
      workspaceVolume: `tintype-${instanceId}`,
      labels: {},
      accessToken: 'a-token',
      basePath: `/${instanceId}/`,
      ...changes,
    }
  }
  return {
    runtime,
    engine,
    home,
    spec,
    async run(changes) {
      const handle = await runtime.create(spec(changes))
      await runtime.start(handle)
      return handle
    },
    exec: (handle, ...command) => engine.docker(['exec', handle.containerId, ...command]),
    async [Symbol.asyncDispose]() {
      for (const id of ids) {
        const handle = await runtime.find(id)
        if (handle) await runtime.remove(handle.instanceId, { volumes: true })
      }
      rmSync(directory, { recursive: true })
    },
  }
}

export interface ImageParts {
  readonly from?: string
  readonly files?: Readonly<Record<string, string>>
  /** Of its Dockerfile. */
  readonly lines?: readonly string[]
}

/** An image on the lab's busybox (or `from`) with other files and another command. Returns its name. */
export async function imageWith(
  engine: Engine,
  name: string,
  { files = {}, lines = [], from }: ImageParts,
): Promise<string> {
  const reference = `tintype-lab/${name}:test`
  if (await hasImage(engine, reference)) return reference
  const base = from ?? (await busyboxImage(engine))
  const tar = pack()
  for (const [path, content] of Object.entries(files)) tar.entry({ name: `files/${path}`, mode: 0o755 }, content)
  const copy = Object.keys(files).length > 0 ? ['COPY files/ /'] : []
  tar.entry({ name: 'Dockerfile' }, [`FROM ${base}`, ...copy, ...lines].join('\n'))
  tar.finalize()
  const [program, ...before] = engine.command
  const context = Buffer.concat(await Array.fromAsync(tar as unknown as AsyncIterable<Buffer>))
  await mustRun(program, [...before, 'build', '--quiet', '--tag', reference, '-'], { env: engine.env, input: context })
  return reference
}

/** Ask until it is so; throws what was seen last when it never is. Engines tell nobody of what a container prints. */
export async function eventually<T>(ask: () => Promise<T>, isSo: (seen: T) => boolean, limitMs = 60_000): Promise<T> {
  const deadline = performance.now() + limitMs
  for (;;) {
    const seen = await ask()
    if (isSo(seen)) return seen
    if (performance.now() > deadline) throw new Error(`Never so: ${JSON.stringify(seen)}`)
    await wait(50)
  }
}

/** The state once it has ended. */
export async function ended(runtime: Runtime, handle: RuntimeHandle): Promise<RuntimeState> {
  const state = await eventually(
    () => runtime.inspect(handle),
    (seen) => seen?.status === 'exited',
  )
  return state!
}
