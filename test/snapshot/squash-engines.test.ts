/** Squashed images before engines: what they pull is what they pulled, of images of ours and of images that docker built. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startContainer } from '#lab/container.ts'
import { differences } from '#lab/describe-tree.ts'
import { labEngine } from '#lab/engine.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage, multiLayerImage } from '#lab/images.ts'
import { startRegistry } from '#lab/registry.ts'
import type { Registry } from '#lab/registry.ts'
import type { Captured, Preview } from '#snapshot/result.ts'
import type { Squashed } from '#snapshot/squash/squash.ts'
import { describeContainer, judge, save } from '../fidelity/judges.ts'
import type { Tree } from '../fidelity/judges.ts'
import { runTintype } from '../support/command.ts'
import { assertReadable } from '../support/layers.ts'

const root = mkdtempSync(join(tmpdir(), 'squash-engines-'))
let engine: Engine
let registry: Registry
before(async () => {
  engine = await labEngine('docker20')
  registry = await startRegistry()
})
after(async () => {
  await registry.stop()
  await engine.stop()
  rmSync(root, { recursive: true })
})

async function squash(args: readonly string[]): Promise<Squashed> {
  const home = join(root, 'home')
  // No engine is needed: there is none at this socket.
  const command = ['squash', ...args, '--json', '--quiet']
  const { code, out, err } = await runTintype(command, { home, socketPath: join(root, 'nothing.sock') })
  assert.equal(code, 0, err + out)
  return JSON.parse(out) as Squashed
}

async function describePulled(reference: string): Promise<Tree> {
  await engine.docker(['pull', '--quiet', reference])
  await using container = await startContainer(engine, reference)
  return await describeContainer(container)
}

/** Every judge shows `expected`, and the layers above the base have no form that some engine cannot pull. */
async function assertSame(squashed: Squashed, expected: Tree): Promise<void> {
  const { trees, layers } = await judge(engine, squashed.reference, root)
  assertReadable(layers.slice(squashed.baseLayers))
  assert.ok(trees.size >= 3, 'umoci and two engines')
  for (const [by, tree] of trees) assert.deepEqual(differences(tree, expected), [], `judged by ${by}`)
}

test('40 layers that docker built become one on nothing', async () => {
  const name = await multiLayerImage(engine, 40, { unique: `squash-${process.pid}` })
  const reference = `${registry.host}/squash/built:40`
  await engine.docker(['tag', name, reference])
  await engine.docker(['push', '--quiet', reference])
  const expected = await describePulled(reference)
  const squashed = await squash([reference, `${registry.host}/squash/built:1`])
  assert.deepEqual([squashed.squashedLayers, squashed.layers.length, squashed.baseLayers], [40, 1, 0])
  await assertSame(squashed, expected)
})

test('a preview says that the layers of earlier snapshots would be merged, and the snapshot merges as many', async () => {
  const name = await multiLayerImage(engine, 40, { unique: `squash-${process.pid}` })
  const image = `tintype-lab/labelled:${process.pid}`
  await using stopped = await startContainer(engine, name)
  await engine.docker(['commit', '--change', 'LABEL io.tintype.base.layers=7', stopped.id, image])
  await using container = await startContainer(engine, image)
  await container.exec(['sh', '-c', 'echo new > /new'])
  const options = { home: join(root, 'preview-home'), socketPath: engine.socketPath }
  const json = async (args: readonly string[]) => {
    const { code, out, err } = await runTintype([...args, '--json'], options)
    assert.equal(code, 0, err + out)
    return JSON.parse(out) as Preview & Captured
  }
  const reason = '34 layers would lie on the first base image, and 32 may' // 40, less 7, and the new one
  assert.deepEqual((await json(['preview', container.id])).squash, { layers: 34, reason })
  const saved = await json(['snapshot', container.id, `${registry.host}/squash/labelled:saved`, '--quiet'])
  assert.deepEqual(saved.squashed, { layers: 34, reason })
  assert.deepEqual((await json(['preview', container.id])).squash, undefined, 'the next one continues what was merged')
})

/** Each is done in a container of the image that the one before gave. */
const SCRIPTS = [
  'mkdir -p /work; echo 1 > /work/a; ln /work/a /work/b; rm -rf /base/dir; rm /base/file; echo x > /base/other',
  'mkdir /base/dir; echo new > /base/dir/new; rm /work/a; mkdir /base/file; echo 2 > /base/file/inside',
  'echo 3 > /work/a; rm -rf /base/empty; echo file > /base/empty; chmod 700 /base/dir; ln /work/b /work/c; mkfifo /work/p',
]

test('a container that was saved and started again and again, squashed in place onto the base', async () => {
  const base = `${registry.host}/squash/saved:base`
  await engine.docker(['tag', await busyboxImage(engine, { unique: `saved-${process.pid}` }), base])
  await engine.docker(['push', '--quiet', base])
  let image = base
  let expected: Tree = new Map()
  for (const [i, script] of SCRIPTS.entries()) {
    await using container = await startContainer(engine, image)
    await container.exec(['sh', '-es'], { input: script })
    expected = await describeContainer(container)
    image = `${registry.host}/squash/saved:v${i}`
    await save(engine, container, { reference: image, home: join(root, 'home') })
    await engine.docker(['pull', '--quiet', image])
  }
  await engine.docker(['rmi', '--force', image]) // its layers stay: those of the squashed image are others
  const squashed = await squash([image, '--overwrite'])
  assert.deepEqual([squashed.reference, squashed.squashedLayers, squashed.layers.length], [image, 3, 1])
  assert.equal(squashed.baseLayers, 1)
  await assertSame(squashed, expected)
})
