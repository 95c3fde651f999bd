/**
 * What is done to one path over several snapshots of one container (design.md §4.9, attacks.md A7): after each of them the
 * image is the container, no layer has a form that an engine refuses, and every engine pulls and runs it.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { openDeltaLab } from './lab.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(() => registry.stop())

/** In each sequence's directory of the base image. */
const BASE = 'mkdir -p doc/sub/deep; echo a > doc/a; echo b > doc/sub/b; echo c > doc/sub/deep/c; echo f > file'

const SEQUENCES: readonly (readonly [what: string, ...steps: string[]])[] = [
  [
    'a directory becomes opaque in a delta, and what it holds changes after that',
    'touch x',
    'rm -rf doc; mkdir doc; echo n > doc/new',
    'echo more > doc/more; chmod 700 doc',
    'rm doc/new; touch doc',
  ],
  [
    'an opaque directory is made anew, and anew',
    'rm -rf doc; mkdir doc; echo 1 > doc/a',
    'rm -rf doc; mkdir doc; echo 2 > doc/two',
    'echo 3 > doc/three',
    'rm -rf doc; mkdir doc',
  ],
  [
    'removed, saved, and made again: nothing of the base comes back',
    'rm -rf doc',
    'mkdir doc',
    'echo x > doc/a; mkdir doc/sub',
    'rm -rf doc',
  ],
  [
    'a directory of the base, a file, a directory, a file',
    'rm -rf doc; echo f > doc',
    'rm doc; mkdir doc; echo x > doc/a',
    'rm -rf doc; echo g > doc',
    'rm doc; mkdir -p doc/sub',
  ],
  [
    'a directory of an earlier snapshot, a file, a directory',
    'mkdir own; echo 1 > own/1; mkdir own/sub; echo 2 > own/sub/2',
    'rm -rf own; echo f > own',
    'rm own; mkdir own; echo 3 > own/3',
    'rm -rf own; mkdir own',
  ],
  [
    'a directory of an earlier snapshot is made anew at once',
    'mkdir own; echo 1 > own/1; mkdir own/sub; echo 2 > own/sub/2',
    'rm -rf own; mkdir own; echo 3 > own/3',
    'rm -rf own; mkdir -p own/sub',
    'rm -rf own',
  ],
  [
    'an inner directory becomes opaque below one that is not, and then that one too',
    'rm -rf doc/sub; mkdir doc/sub; echo y > doc/sub/y',
    'rm -rf doc; mkdir -p doc/sub; echo z > doc/sub/z',
    'rm -rf doc/sub; mkdir doc/sub',
    'echo w > doc/sub/deep',
  ],
  ['a file of the base goes and comes', 'rm file', 'echo new > file', 'rm file', 'mkdir file; echo x > file/x'],
  [
    'a directory of the base is moved there and back',
    'mv doc moved',
    'echo x >> moved/sub/b; mv moved doc',
    'mv doc/sub sub',
    'mv sub doc/a.d; rm -rf doc/a',
  ],
  [
    'two directories change places',
    'mkdir b; cp -a doc b/doc',
    'mv doc t; mv b doc; mv t b',
    'mv doc t; mv b doc; mv t b',
  ],
  [
    'names of one file come and go',
    'echo 1 > one; ln one two',
    'rm one; ln two doc/three',
    'echo 2 >> doc/three; ln two one',
    'rm two doc/three',
  ],
  ['a name of a linked file is replaced', 'echo 1 > one; ln one two', 'rm one; echo other > one', 'rm two; ln one two'],
  ['a link, a directory, a pipe', 'ln -s doc link', 'rm link; mkdir link; echo x > link/x', 'rm -rf link; mkfifo link'],
  ['a link to a directory of the base takes its place', 'mv doc real; ln -s real doc', 'rm doc; mv real doc'],
  [
    'only metadata, of a directory of the base',
    'chmod 1777 doc/sub',
    'chown 5:6 doc/sub',
    'setfattr -n user.x -v y doc/sub',
  ],
  [
    'metadata of what lies in an earlier layer',
    'echo x > own',
    'chmod 4711 own',
    'chown 7:8 own',
    'setfattr -n user.x -v y own',
  ],
  ['a deep tree goes branch by branch', 'rm doc/sub/deep/c', 'rm -rf doc/sub/deep', 'rm -rf doc/sub', 'rm -rf doc'],
  [
    'a deep tree grows',
    'mkdir -p n/o; echo p > n/o/p',
    'mkdir -p n/o/q/r; echo s > n/o/q/r/s',
    'rm -rf n/o/q; echo q > n/o/q',
  ],
  ['nothing at all', 'true'],
]
const STEPS = Math.max(...SEQUENCES.map(([, ...steps]) => steps.length))

/** A step of each sequence, in its own directory. */
function doStep(work: string, stepOf: (steps: readonly string[]) => string | undefined): void {
  const lines = SEQUENCES.map(([, ...steps], i) => {
    const step = stepOf(steps)
    return step === undefined ? '' : `mkdir -p ${i}; (cd ${i}; set -e; ${step}) || exit 1`
  })
  execFileSync('sh', ['-c', lines.join('\n')], { cwd: work, stdio: 'ignore' })
}

for (const name of testedEngines())
  test(`${name}: ${SEQUENCES.length} sequences over ${STEPS} snapshots`, { skip: whyNoEngine(name) }, async (t) => {
    await using engine = await labEngine(name)
    await using lab = await openDeltaLab({ engine, registry, fillBase: (work) => doStep(work, () => BASE) })
    for (let step = 0; step < STEPS; step++)
      await t.test(`snapshot ${step + 1}`, async () => {
        doStep(lab.work, (steps) => steps[step])
        const captured = await lab.save()
        assert.equal(captured.mode, step === 0 ? 'full' : 'delta')
        await lab.assertRight(captured)
      })
    await t.test('a snapshot of nothing new has no layer of its own', async () => {
      const { layers, files } = await lab.save()
      assert.deepEqual([layers.filter(({ reused }) => !reused), files], [[], 0])
    })
    await t.test('each image is pulled and run', () => lab.assertRuns())
  })
