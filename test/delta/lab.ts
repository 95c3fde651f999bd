import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startContainer, type Container } from '#lab/container.ts'
import { differences } from '#lab/describe-tree.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import type { Registry } from '#lab/registry.ts'
import { mustRun } from '#lab/workspace.ts'
import type { Captured } from '#snapshot/result.ts'
import { expectedOf } from '../fidelity/exceptions.ts'
import { describeContainer, describeUnpacked } from '../fidelity/judges.ts'
import { snapshot, type CommandOptions } from '../support/command.ts'
import { assertReadable } from '../support/layers.ts'

/** A container that is saved again and again, as its user does it. */
export interface DeltaLab extends AsyncDisposable {
  readonly engine: Engine
  readonly registry: Registry
  readonly container: Container
  readonly options: CommandOptions
  /** `/work` of the container, as the host sees it. */
  readonly work: string
  /** `tintype snapshot` to the next tag of the repository, or to `reference`. */
  save(args?: readonly string[], reference?: string): Promise<Captured>
  /** Throws unless the image, unpacked by umoci, is what the container shows now, and no layer of ours has a forbidden form. */
  assertRight(captured: Captured): Promise<void>
  /** Each image that was saved so far, or this one, is pulled by the engine and run. */
  assertRuns(only?: Captured): Promise<void>
}

export interface LabOptions {
  readonly engine: Engine
  readonly registry: Registry
  /** Makes `/work` of the base image, in which it is run. */
  readonly fillBase: (work: string) => void
}

const NAMES = { next: 0 }

/** A container of an image of its own, which is in the registry. */
export async function openDeltaLab({ engine, registry, fillBase }: LabOptions): Promise<DeltaLab> {
  const name = `delta-${process.pid}-${NAMES.next++}`
  const directory = mkdtempSync(join(tmpdir(), 'delta-'))
  const base = `${registry.host}/${name}/base:v1`
  await makeBase(engine, { reference: base, archive: join(directory, 'base.tar'), fill: fillBase })
  const container = await startContainer(engine, base)
  const options = { home: join(directory, 'home'), socketPath: engine.socketPath }
  const layout = join(directory, 'layout')
  const references: string[] = []
  return {
    engine,
    registry,
    container,
    options,
    work: `/proc/${container.pid}/root/work`,
    async save(args = [], reference = `${registry.host}/${name}/image:v${references.length}`) {
      references.push(reference)
      return await snapshot([container.id, reference, ...args], options)
    },
    async assertRight(captured) {
      const from = `docker://${captured.reference}`
      await mustRun('skopeo', ['copy', '--quiet', '--src-tls-verify=false', from, `oci:${layout}:t`])
      const seen = expectedOf(await describeContainer(container), 'umoci')
      assert.deepEqual(differences(await describeUnpacked(layout, directory), seen), [], captured.modeReason)
      assert.deepEqual(captured.torn, [])
      const files = captured.layers.filter(({ reused }) => !reused).map(({ digest }) => blobOf(layout, digest))
      assertReadable(files)
    },
    async assertRuns(only) {
      for (const reference of new Set(only ? [only.reference] : references)) {
        await engine.docker(['pull', '--quiet', reference])
        await engine.docker(['run', '--rm', '--network', 'none', reference, 'ls', '-laR', '/work'])
        await engine.docker(['rmi', '--force', reference])
      }
    },
    async [Symbol.asyncDispose]() {
      await container.remove()
      await engine.docker(['rmi', '--force', base])
      rmSync(directory, { recursive: true })
    },
  }
}

interface BaseParts {
  readonly reference: string
  readonly archive: string
  readonly fill: (work: string) => void
}

/** Imported, not committed: the containerd store runs what was committed on more layers than its image has. */
async function makeBase(engine: Engine, { reference, archive, fill }: BaseParts): Promise<void> {
  await using first = await startContainer(engine, await busyboxImage(engine))
  await first.exec(['mkdir', '/work'])
  fill(`/proc/${first.pid}/root/work`)
  await engine.docker(['export', '--output', archive, first.id])
  await engine.docker(['import', archive, reference])
  await engine.docker(['push', '--quiet', reference])
}

function blobOf(layout: string, digest: string): string {
  return join(layout, 'blobs', digest.replace(':', '/'))
}
