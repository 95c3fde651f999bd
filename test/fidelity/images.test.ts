/** Whole images: nothing changed, saved again and again, mounts, exclusions; on every engine, before three judges. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startContainer } from '#lab/container.ts'
import type { ContainerOptions } from '#lab/container.ts'
import { differences } from '#lab/describe-tree.ts'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry } from '#lab/registry.ts'
import type { Registry } from '#lab/registry.ts'
import type { Captured } from '#snapshot/result.ts'
import { assertReadable, listLayer } from '../support/layers.ts'
import { expectedOf } from './exceptions.ts'
import { describeContainer, judge, save } from './judges.ts'
import type { Tree } from './judges.ts'

const root = mkdtempSync(join(tmpdir(), 'images-'))
let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(async () => {
  await registry.stop()
  rmSync(root, { recursive: true })
})

interface History extends ContainerOptions {
  readonly image: string
  readonly script: string
  readonly reference: string
  /** Given to `--exclude`, and left out of what was seen. */
  readonly exclusions?: readonly string[]
  /** More arguments of `tintype snapshot`. */
  readonly saveArgs?: readonly string[]
}

/** Run `script` in a container of `image`, save it, and say what it showed before and after. */
async function saveAfter(
  engine: Engine,
  { image, script, reference, exclusions = [], saveArgs = [], ...options }: History,
) {
  await using container = await startContainer(engine, image, options)
  const first = await describeContainer(container)
  await container.exec(['sh', '-es'], { input: script })
  const seen = await describeContainer(container, exclusions)
  const args = [...saveArgs, ...exclusions.flatMap((path) => ['--exclude', path])]
  const captured = await save(engine, container, { reference, home: join(root, engine.name), args })
  return { first, seen, captured }
}

/** Every judge finds `expected`, as far as its engine can show it, but for `skipped` paths and what is below them; our layers have no forbidden form. */
async function assertJudged(engine: Engine, captured: Captured, expected: Tree, skipped: readonly string[] = []) {
  const { trees, layers } = await judge(engine, captured.reference, root)
  const ours = layers.slice(layers.length - captured.layers.length)
  assertReadable(ours)
  const isSkipped = (path: string) => skipped.some((each) => `${path}/`.startsWith(`${each}/`))
  const without = (tree: Tree) => new Map([...tree].filter(([path]) => !isSkipped(path)))
  for (const [by, tree] of trees)
    assert.deepEqual(differences(without(tree), without(expectedOf(expected, by))), [], `judged by ${by}`)
  assert.equal(trees.size, testedEngines().filter((name) => !whyNoEngine(name)).length + 1)
  return ours.flatMap(listLayer).map(({ name }) => name)
}

/** What is done to a container, to one of its image, and to one of that one's; each is saved in another way. */
const GENERATIONS: readonly (readonly [script: string, ...args: string[]])[] = [
  [
    `rm /base/file; rm -rf /base/dir; mkdir /base/dir; echo 1 > /base/dir/mine
     mkdir -p /work/sub /work/gone; echo 1 > /work/a; ln /work/a /work/sub/b; echo 1 > /work/gone/x; chmod 1700 /work/sub`,
    '--single-pass',
  ],
  [
    `rm /work/a; rm -rf /work/gone; mkdir /work/gone; echo 2 > /base/file; rm /base/dir/mine; mkdir -p /base/dir/sub
     echo 2 > /base/dir/sub/c; chown 5:6 /work/sub; ln /work/sub/b /work/c; ln -s gone /work/link`,
    '--no-freeze',
    '--compression=none',
  ],
  [
    `rm -rf /base/dir; echo 3 > /base/dir; rm /work/link; mkdir /work/link; echo 3 >> /work/c; mv /work/sub /work/moved
     rm /base/file; rmdir /work/gone`,
  ],
]

for (const name of testedEngines())
  test(`images of ${name}`, { skip: whyNoEngine(name) }, async (t) => {
    await using engine = await labEngine(name)
    const busybox = await busyboxImage(engine)
    const referenceOf = (tag: string) => `${registry.host}/images/${name}:${tag}`

    await t.test('of a container in which nothing has changed', async () => {
      const reference = referenceOf('untouched')
      const { seen, captured } = await saveAfter(engine, { image: busybox, script: '', reference })
      await assertJudged(engine, captured, seen)
    })

    await t.test('saved from an image that was saved from an image', async () => {
      let image = busybox
      let before: Tree | undefined
      for (const [generation, [script, ...args]] of GENERATIONS.entries()) {
        const reference = referenceOf(`generation-${generation}`)
        const { first, seen, captured } = await saveAfter(engine, { image, script, reference, saveArgs: args })
        if (before) assert.deepEqual(differences(first, before), [], 'it begins where the one before ended')
        assert.equal(captured.layers.filter(({ reused }) => !reused).length, 1)
        if (generation === GENERATIONS.length - 1) await assertJudged(engine, captured, seen)
        await engine.docker(['pull', '--quiet', reference])
        image = reference
        before = seen
      }
    })

    await t.test('of a container with mounts: neither their content nor their places are in the layer', async () => {
      const host = mkdtempSync(join(root, 'mounted-'))
      mkdirSync(join(host, 'directory'))
      writeFileSync(join(host, 'directory', 'secret'), 'of the host')
      writeFileSync(join(host, 'file'), 'of the host')
      const args = ['-v', '/mounted/volume', '-v', '/base/empty', '--tmpfs', '/mounted/tmpfs']
      args.push('-v', `${host}/directory:/mounted/deep/directory`, '-v', `${host}/file:/mounted/deep/file`)
      const script = `for path in /mounted/volume /base/empty /mounted/tmpfs /mounted/deep/directory
        do echo written > $path/inside; done
        echo 127.0.0.2 more >> /etc/hosts; echo beside > /mounted/beside; echo kept > /base/file`
      const { seen, captured } = await saveAfter(engine, {
        image: busybox,
        script,
        reference: referenceOf('mounts'),
        args,
      })
      const mounts = [
        '/base/empty',
        '/mounted/deep/directory',
        '/mounted/deep/file',
        '/mounted/tmpfs',
        '/mounted/volume',
      ]
      assert.deepEqual(captured.unsavedMounts.toSorted(), mounts)
      const places = mounts.map((path) => path.slice(1))
      const members = await assertJudged(engine, captured, seen, places)
      assert.deepEqual(
        members.filter((member) => [...places, 'etc/hosts'].includes(member.replace(/\/$/, ''))),
        [],
      )
    })

    await t.test('with exclusions: what the base image has stays there, links find another first one', async () => {
      const script = `mkdir -p /a/excluded /work/cache/deep; echo 1 > /a/excluded/first; echo x > /work/cache/deep/x
        ln /a/excluded/first /work/second; ln /a/excluded/first /work/third
        echo mine > /base/file; rm /base/other; rm -rf /base/dir; mkdir /base/linked-directory; echo kept > /base/owned`
      const exclusions = ['/a/excluded', '/work/cache', '/base/file', '/base/other', '/base/dir', '/nowhere']
      const reference = referenceOf('exclusions')
      const { first, seen, captured } = await saveAfter(engine, { image: busybox, script, reference, exclusions })
      const ofBase = [...first].filter(([path]) => /^base\/(?:file|other|dir)(?:\/|$)/.test(path))
      const members = await assertJudged(engine, captured, new Map([...seen, ...ofBase]))
      assert.deepEqual(
        members.filter((member) => /excluded|cache|base\/(?:\.wh\.|file|other|dir)/.test(member)),
        [],
      )
      assert.deepEqual(
        captured.warnings.filter((warning) => warning.startsWith('The exclusion')),
        ['The exclusion /nowhere matches nothing that the container changed.'],
      )
    })
  })
