import { cpSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '#base/errors.ts'
import type { Engine } from '#lab/engine.ts'
import { startRegistry, type DistributionRegistry } from '#lab/registry.ts'
import { mustRun } from '#lab/workspace.ts'
import { snapshot, type Home } from './commands.ts'

/** Where images go: a registry and a layout on disk, that can be set back to holding the base image alone. */
export interface Target extends AsyncDisposable {
  /** `HOST/bench/w` */
  readonly repository: string
  /** `oci:DIRECTORY` */
  readonly layout: string
  /** As if nothing had been pushed; the base layers are there. */
  reset(): Promise<void>
  /** Stored bytes of an image's topmost layer. */
  topLayerBytes(tag: string): Promise<number>
  registryPid(): number
}

export interface TargetOptions {
  readonly engine: Engine
  readonly image: string
  /** A container of that image in which nothing has happened. */
  readonly untouched: string
  readonly home: Home
}

/** Start a registry that has the base image, which the engine knows to be there, and a layout with it. */
export async function openTarget({ engine, image, untouched, home }: TargetOptions): Promise<Target> {
  const registry = await startRegistry()
  const repository = `${registry.host}/bench/w`
  const directory = `${home.directory}/layout`
  try {
    await engine.docker(['tag', image, `${repository}:base`])
    await engine.docker(['push', `${repository}:base`])
    await snapshot(home, { container: untouched, reference: `${repository}:untouched` })
    await snapshot(home, { container: untouched, reference: `oci:${directory}:untouched` })
    await registry.halt()
    const stores = [registry.directory, directory]
    for (const store of stores) cpSync(store, pristine(store), { recursive: true })
    await registry.restart()
    const stop = async () => {
      await engine.docker(['rmi', `${repository}:base`])
      await registry.stop()
    }
    return target(registry, { repository, directory, stores, stop })
  } catch (error) {
    await registry.stop()
    throw error
  }
}

const pristine = (store: string) => `${store}-with-base`

interface Places {
  readonly repository: string
  readonly directory: string
  readonly stores: readonly string[]
  readonly stop: () => Promise<void>
}

function target(registry: DistributionRegistry, { repository, directory, stores, stop }: Places): Target {
  return {
    repository,
    layout: `oci:${directory}`,
    async reset() {
      await registry.halt()
      for (const store of stores) {
        rmSync(store, { recursive: true })
        cpSync(pristine(store), store, { recursive: true })
      }
      await registry.restart()
      await mustRun('sync', [])
    },
    topLayerBytes: (tag) => topLayerBytes(registry.host, tag),
    registryPid: () => registryPid(registry),
    [Symbol.asyncDispose]: stop,
  }
}

async function topLayerBytes(host: string, tag: string): Promise<number> {
  const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
  const response = await fetch(`http://${host}/v2/bench/w/manifests/${tag}`, { headers: { accept } })
  if (!response.ok) throw new AppError('internal', `The registry answered ${response.status} for the image of docker.`)
  const { layers } = (await response.json()) as { readonly layers: readonly { readonly size: number }[] }
  return layers.at(-1)!.size
}

/** The lab notes each daemon that it starts; the last one is the registry that runs. */
function registryPid({ directory }: DistributionRegistry): number {
  const started = readFileSync(`${dirname(directory)}/daemons`, 'utf8')
    .trim()
    .split('\n')
  return Number(started.at(-1)!.split(' ')[0])
}
