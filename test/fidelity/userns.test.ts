/** A container in a user namespace: its files belong to other ids on the host, and to its own in the image. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startContainer } from '#lab/container.ts'
import { differences } from '#lab/describe-tree.ts'
import { REMAPPED_ROOT, startRemappedEngine, whyNoEngine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry } from '#lab/registry.ts'
import { assertReadable } from '../support/layers.ts'
import { describeContainer, judge, save } from './judges.ts'
import type { Tree } from './judges.ts'

const SCRIPT = `
mkdir /work; echo 1 > /work/root; echo 1 > /work/ada; chown 1000:1000 /work/ada; echo 1 > /work/last; chown 65535:65535 /work/last
chown 7:8 /base/file; rm /base/other; rm -rf /base/dir; mkdir /base/dir; chown 3:4 /base/dir; echo x > /base/dir/x
ln -s nowhere /work/link; chown -h 5:6 /work/link; mkfifo /work/pipe; chmod 4711 /work/root; ln /work/ada /work/two`

/** A tree as the container shows it to itself, from what it shows to the host. */
function unmapped(tree: Tree): Tree {
  const toInside = (id: number) => id - REMAPPED_ROOT
  return new Map(
    [...tree].map(([path, entry]) => [path, { ...entry, uid: toInside(entry.uid), gid: toInside(entry.gid) }]),
  )
}

test('ids are those that the container sees', { skip: whyNoEngine('docker20') }, async () => {
  const root = mkdtempSync(join(tmpdir(), 'userns-'))
  await using registry = await startRegistry()
  await using engine = await startRemappedEngine()
  const reference = `${registry.host}/userns/image:v1`
  const { seen, captured } = await (async () => {
    await using container = await startContainer(engine, await busyboxImage(engine))
    await container.exec(['sh', '-es'], { input: SCRIPT })
    const seen = unmapped(await describeContainer(container))
    return { seen, captured: await save(engine, container, { reference, home: join(root, 'home') }) }
  })()
  assert.deepEqual([seen.get('work/ada')?.uid, seen.get('work/last')?.gid, captured.warnings], [1000, 65535, []])
  const { trees, layers } = await judge(engine, reference, root)
  assertReadable(layers.slice(-captured.layers.length))
  for (const [by, tree] of trees)
    assert.deepEqual(differences(by === engine.name ? unmapped(tree) : tree, seen), [], `judged by ${by}`)
  rmSync(root, { recursive: true })
})
