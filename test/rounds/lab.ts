/** Instances that are saved, stopped, and started again from what was saved. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startContainer, type Container } from '#lab/container.ts'
import { differences } from '#lab/describe-tree.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import type { Registry } from '#lab/registry.ts'
import type { Captured, CaptureOptions } from '#snapshot/result.ts'
import { describeContainer, type Tree } from '../fidelity/judges.ts'
import { snapshotHere } from '../support/snapshot-here.ts'

export interface Rounds extends AsyncDisposable {
  readonly container: Container
  readonly home: string
  /** Run a script in the instance. */
  change(script: string): Promise<void>
  /** `tintype snapshot`, with other limits and ears than the command's. */
  save(tag: string, more?: Partial<CaptureOptions>): Promise<Captured>
  referenceOf(tag: string): string
  /** Stop the instance, and start it from the image of `tag`. Throws unless it shows what it showed before. */
  restart(tag: string): Promise<void>
  /** Sizes of the image's layers, base first; undefined where there is no such tag. */
  layerSizes(tag: string): Promise<readonly number[] | undefined>
}

let opened = 0

/** An instance of a base image of one layer, which is in the registry. */
export async function openRounds(engine: Engine, registry: Registry): Promise<Rounds> {
  const name = `rounds-${process.pid}-${opened++}`
  const directory = mkdtempSync(join(tmpdir(), 'rounds-'))
  const home = join(directory, 'home')
  const referenceOf = (tag: string) => `${registry.host}/${name}:${tag}`
  await engine.docker(['tag', await busyboxImage(engine, { unique: name }), referenceOf('base')])
  await engine.docker(['push', '--quiet', referenceOf('base')])
  let image = referenceOf('base')
  let container = await startContainer(engine, image)
  return {
    get container() {
      return container
    },
    home,
    referenceOf,
    change: async (script) => void (await container.exec(['sh', '-es'], { input: script })),
    save: (tag, more = {}) =>
      snapshotHere([container.id, referenceOf(tag)], { home, socketPath: engine.socketPath, more }),
    async restart(tag) {
      const expected = await describeContainer(container)
      await container.remove()
      const before = image
      image = referenceOf(tag)
      await engine.docker(['pull', '--quiet', image])
      await engine.docker(['rmi', '--force', before]) // after the pull: what they have in common stays
      container = await startContainer(engine, image)
      assertSame(await describeContainer(container), expected, tag)
    },
    async layerSizes(tag) {
      const headers = { accept: 'application/vnd.oci.image.manifest.v1+json' }
      const answer = await fetch(`http://${registry.host}/v2/${name}/manifests/${tag}`, { headers })
      if (answer.status === 404) return undefined
      const manifest = (await answer.json()) as { layers: readonly { size: number }[] }
      return manifest.layers.map(({ size }) => size)
    },
    async [Symbol.asyncDispose]() {
      await container.remove()
      await engine.docker(['rmi', '--force', image])
      rmSync(directory, { recursive: true })
    },
  }
}

export function assertSame(actual: Tree, expected: Tree, what: string): void {
  assert.deepEqual(differences(actual, expected), [], what)
}
