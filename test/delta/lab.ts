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
import type { Captured, CaptureOptions, Progress } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import type { Squashed } from '#snapshot/squash/squash.ts'
import { expectedOf } from '../fidelity/exceptions.ts'
import { describeContainer, describeUnpacked, type Tree } from '../fidelity/judges.ts'
import { runTintype, snapshot, type CommandOptions } from '../support/command.ts'
import { assertReadable } from '../support/layers.ts'
import { snapshotHere } from '../support/snapshot-here.ts'
import type { Editor } from './editor.ts'
import { openWatchedEngine } from './watched-engine.ts'

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
  /**
   * The same in this process, where the limits can be others. The editor is stopped in the freeze: until it is told to go on,
   * the container shows what the image has to show.
   */
  saveWhile(editor: Editor, more?: Partial<CaptureOptions>): Promise<Captured>
  /** `tintype squash` of a saved image, in place or to a tag beside it. */
  squash(captured: Captured, place: 'in place' | 'beside'): Promise<Squashed>
  /**
   * Throws unless the image, unpacked by umoci, is `seen` (default: what the container shows now), and no new layer has a
   * forbidden form.
   */
  assertRight(image: Captured | Squashed, seen?: Tree): Promise<void>
  /** Throws unless the engine, too, pulls it as `seen`. */
  assertPulled(image: Captured, seen: Tree): Promise<void>
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
  const nextReference = () => `${registry.host}/${name}/image:v${references.length}`
  return {
    engine,
    registry,
    container,
    options,
    work: `/proc/${container.pid}/root/work`,
    async save(args = [], reference = nextReference()) {
      references.push(reference)
      return await snapshot([container.id, reference, ...args], options)
    },
    async saveWhile(editor, more = {}) {
      const reference = nextReference()
      references.push(reference)
      const doorPath = join(directory, 'engine.sock')
      return await saveStopped([container.id, reference], { ...options, editor, more, doorPath })
    },
    squash: ({ reference }, place) =>
      squash([reference, ...(place === 'beside' ? [`${reference}-squashed`] : []), '--overwrite'], options),
    async assertRight(image, seen) {
      const from = `docker://${image.reference}`
      await mustRun('skopeo', ['copy', '--quiet', '--src-tls-verify=false', from, `oci:${layout}:t`])
      const expected = expectedOf(seen ?? (await describeContainer(container)), 'umoci')
      const why = 'modeReason' in image ? image.modeReason : 'squashed'
      assert.deepEqual(differences(await describeUnpacked(layout, directory), expected), [], why)
      if ('torn' in image) assert.deepEqual(image.torn, [])
      assertReadable(newLayers(image).map((digest) => blobOf(layout, digest)))
    },
    async assertPulled({ reference }, seen) {
      await engine.docker(['pull', '--quiet', reference])
      await using pulled = await startContainer(engine, reference)
      const expected = expectedOf(seen, engine.name)
      assert.deepEqual(differences(await describeContainer(pulled), expected), [], engine.name)
    },
    async assertRuns(only) {
      for (const reference of new Set(only ? [only.reference] : references)) {
        await engine.docker(['pull', '--quiet', reference])
        {
          await using run = await startContainer(engine, reference)
          await run.exec(['ls', '-laR', '/work'])
        }
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

interface SaveStopped extends CommandOptions {
  readonly editor: Editor
  readonly more: Partial<CaptureOptions>
  /** Where the socket is made through which the engine freezes. */
  readonly doorPath: string
}

async function saveStopped(args: readonly string[], options: SaveStopped): Promise<Captured> {
  const { editor, more, doorPath, home, socketPath } = options
  let phase: Progress['phase'] = 'locating'
  let isStopped = false
  await using door = await openWatchedEngine({
    behind: socketPath,
    socketPath: doorPath,
    // A barrier is a freeze, too, and edits go on after it.
    onFrozen() {
      if (phase !== 'frozen') return
      editor.stop()
      isStopped = true
    },
  })
  const captured = await snapshotHere(args, {
    home,
    socketPath,
    more: { onProgress: (now) => void (phase = now.phase), ...more },
    change: (source) => frozenThrough(source, door.socketPath),
  })
  assert.ok(isStopped, 'it was frozen')
  return captured
}

async function squash(args: readonly string[], options: CommandOptions): Promise<Squashed> {
  const { code, out, err } = await runTintype(['squash', ...args, '--json', '--quiet'], options)
  assert.equal(code, 0, err + out)
  return JSON.parse(out) as Squashed
}

/** A container that its engine freezes through another socket. */
function frozenThrough(source: Source, socketPath: string): Source {
  const { freezer } = source
  assert.equal(freezer?.kind, 'engine')
  return { ...source, freezer: { ...freezer, socketPath } }
}

/** Digests of what a snapshot or a squash has made. */
function newLayers({ layers }: Captured | Squashed): readonly string[] {
  return layers.flatMap((layer) => ('reused' in layer && layer.reused ? [] : [layer.digest]))
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
