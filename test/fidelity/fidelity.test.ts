/** What a container shows is in the image that is saved of it: every row of rows.ts, on every engine, before three judges. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startContainer } from '#lab/container.ts'
import { differences } from '#lab/describe-tree.ts'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import type { Engine } from '#lab/engine.ts'
import { startRegistry } from '#lab/registry.ts'
import type { Registry } from '#lab/registry.ts'
import type { Captured } from '#snapshot/result.ts'
import { assertReadable } from '../support/layers.ts'
import { makeRows, pushBase } from './container.ts'
import { expectedAlone, expectedOf, isSavable, lostAlone } from './exceptions.ts'
import { describeContainer, describeUnpacked, judge, save } from './judges.ts'
import type { Tree } from './judges.ts'
import { ROWS, SPARSE_BYTES } from './rows.ts'

const root = mkdtempSync(join(tmpdir(), 'f-')) // short: umoci puts it before paths of 3 800 bytes
let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(async () => {
  await registry.stop()
  rmSync(root, { recursive: true })
})

const withoutRows = (tree: Tree) => new Map([...tree].filter(([path]) => !/^(?:rows|alone)\//.test(path)))
const row = (tree: Tree, directory: string) =>
  new Map([...tree].filter(([path]) => path === `rows/${directory}` || path.startsWith(`rows/${directory}/`)))

/** Save a container with all rows, and what it showed. */
async function saveRows(engine: Engine, base: string, reference: string): Promise<{ seen: Tree; captured: Captured }> {
  // Podman gives its containers one right less than Docker: that to make devices.
  await using container = await startContainer(engine, base, { args: ['--cap-add', 'MKNOD'] })
  assert.deepEqual(lostAlone(await describeContainer(container)), expectedAlone(engine.name), 'what it loses by itself')
  await makeRows(container)
  const seen = await describeContainer(container)
  const captured = await save(engine, container, { reference, home: join(root, engine.name) })
  assert.deepEqual(differences(await describeContainer(container), seen), [], 'it stood still')
  return { seen, captured }
}

for (const name of testedEngines())
  test(`what a container of ${name} shows is in its image`, { skip: whyNoEngine(name) }, async (t) => {
    await using engine = await labEngine(name)
    const baseLayout = join(root, `base-${name}`)
    const base = await pushBase(engine, registry, baseLayout)
    assert.deepEqual(
      lostAlone(await describeUnpacked(baseLayout, root)),
      expectedAlone('umoci'),
      'what it loses by itself',
    )
    await engine.docker(['pull', '--quiet', base])
    const reference = `${registry.host}/fidelity/rows:${name}`
    const { seen, captured } = await saveRows(engine, base, reference)
    await engine.docker(['rmi', '--force', base])
    const { trees, layers } = await judge(engine, reference, root)

    for (const [judge, tree] of trees)
      await t.test(`judged by ${judge}`, async (t) => {
        const expected = expectedOf(seen, judge)
        for (const { directory, reason } of ROWS)
          await t.test(`${directory}: ${reason}`, () =>
            assert.deepEqual(differences(row(tree, directory), row(expected, directory)), []),
          )
        await t.test('all that no row has touched', () =>
          assert.deepEqual(differences(withoutRows(tree), withoutRows(expected)), []),
        )
      })

    await t.test('what was left out is reported, and nothing else', () => {
      const unsavable = [...seen.keys()].filter((path) => !isSavable(path) && isSavable(path.replace(/\/[^/]+$/, '')))
      const sockets = ['dir', 'new/deep/socket', 'other socket', 'socket'].map((name) => `rows/sockets/${name}`)
      const others = [...sockets, 'rows/xattrs/file']
      const reported = captured.skipped.map(({ path }) => path).toSorted()
      assert.deepEqual(reported, [...unsavable, ...others].map((path) => `/${path}`).toSorted())
      const warned = captured.warnings.map((warning) => warning.replace(/ has .*/, ''))
      const holes = SPARSE_BYTES > 2 ** 30 ? ['/rows/sparse_files/holes'] : []
      assert.deepEqual([captured.torn, warned, captured.unsavedMounts], [[], holes, []])
    })

    await t.test('GNU tar reads each of our layers, and none has a forbidden form', () =>
      assertReadable(layers.slice(-captured.layers.length)),
    )
  })
