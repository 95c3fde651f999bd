import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { describeTree, differences } from '#lab/describe-tree.ts'
import { NamedChanges } from '#snapshot/named-changes.ts'
import { openCtimeWatch } from '#watch/open.ts'
import { listLayer } from '../support/layers.ts'
import { playCaptures } from './captures.ts'
import { applyEdits, bases, edits } from './edits.ts'
import { OverlayMount } from './overlay-mount.ts'
import { ReaderRun } from './reader-run.ts'

const RUNS = process.env['TINTYPE_TEST_LONG'] ? 60 : 5

/** A watch of the upperdir's file system, as a capture has it; fails where the kernel has no tracepoints. */
async function openChanges(upperdir: string) {
  const recordDirectory = mkdtempSync(join(tmpdir(), 'named-'))
  const opened = await openCtimeWatch({ upperdir, recordDirectory })
  assert.ok('watch' in opened, JSON.stringify(opened))
  const { watch } = opened
  return {
    changes: new NamedChanges(watch),
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]()
      rmSync(recordDirectory, { recursive: true })
    },
  }
}

function taken(changes: NamedChanges) {
  const named = changes.take()
  assert.ok(named, changes.flaw ?? '')
  return named
}

test('a freeze that goes by tracepoints takes what a walk would have found', async () => {
  const history = fc.record({
    base: bases,
    captures: fc.array(fc.record({ before: edits, during: edits, isRead: fc.boolean() }), {
      minLength: 1,
      maxLength: 3,
    }),
  })
  await fc.assert(
    fc.asyncProperty(history, ({ base, captures }) =>
      playCaptures({
        base,
        captures,
        before: (capture) => capture.before,
        async take({ during, isRead }, { reader, overlay, isFirst }) {
          await using watch = await openChanges(overlay.upper)
          // The first capture reads everything while it is watched, later ones may only look.
          await (isRead || isFirst ? reader.pass() : reader.look())
          applyEdits(during, overlay.merged)
          const readMicros = Date.now() * 1000
          const kept = await reader.keepNamed(taken(watch.changes), readMicros)
          assert.ok(kept.isOneState)
          assert.equal(await reader.count(taken(watch.changes)), 0, 'nothing has changed since')
          await reader.pack(readMicros)
        },
      }),
    ),
    { numRuns: RUNS },
  )
})

test('tracepoints and walk give the same set: two readers that know the same make the same layers', async () => {
  const history = fc.record({ base: bases, before: edits, during: fc.array(edits, { minLength: 1, maxLength: 3 }) })
  await fc.assert(
    fc.asyncProperty(history, async ({ base, before, during }) => {
      using overlay = new OverlayMount((lower) => applyEdits(base, lower))
      applyEdits(before, overlay.merged)
      await new Promise((resolve) => setTimeout(resolve, 30)) // past the margin of a ctime: what is read is trusted
      await using watch = await openChanges(overlay.upper)
      await using named = await ReaderRun.open(overlay.upper)
      await using walking = await ReaderRun.open(overlay.upper)
      for (const reader of [named, walking]) await reader.pass()
      for (const each of during) applyEdits(each, overlay.merged)
      const readMicros = Date.now() * 1000
      const kept = [await named.keepNamed(taken(watch.changes), readMicros), await walking.keep({ readMicros })]
      assert.deepEqual(kept[0], kept[1])
      for (const reader of [named, walking]) await reader.pack(readMicros)
      const [byNames, byWalk] = [named, walking].map(({ layers }) => layers.map(listLayer))
      assert.deepEqual(byNames, byWalk)
      assert.ok(named.layers.every((layer, i) => layer.equals(walking.layers[i] ?? Buffer.alloc(0))))
    }),
    { numRuns: RUNS },
  )
})

test('what was left out, and is something else by the freeze, is taken', async () => {
  using overlay = new OverlayMount(() => {})
  applyEdits(['truncate -s 2T large', 'mkdir d'], overlay.merged)
  const names = Array.from({ length: 20 }, (_, i) => `d/ctl${i}`)
  const bind = 'import socket, sys\nfor name in sys.argv[1:]: socket.socket(socket.AF_UNIX).bind(name)'
  execFileSync('python3', ['-c', bind, ...names], { cwd: overlay.merged })
  await using watch = await openChanges(overlay.upper)
  await using reader = await ReaderRun.open(overlay.upper)
  await reader.pass()
  const numbers = () => names.map((name) => statSync(join(overlay.upper, name)).ino)
  const before = numbers()
  // ext4 gives the number of what has just gone to what comes next in the directory, unless somebody else takes it.
  applyEdits(['truncate -s 5 large', ...names.flatMap((name) => [`rm ${name}`, `echo x > ${name}`])], overlay.merged)
  const after = numbers()
  assert.ok(after.some((number, i) => number === before[i]))
  await reader.keepNamed(taken(watch.changes))
  await reader.pack()
  const unpacked = await describeTree(await reader.unpack([]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

test('what changes in a freeze is counted, what changes elsewhere on the disk is not', async () => {
  using overlay = new OverlayMount((lower) => applyEdits(['mkdir -p a', 'echo 1 > a/b'], lower))
  using elsewhere = new OverlayMount(() => {})
  applyEdits(['echo 2 > a/b', 'mkdir -p c'], overlay.merged)
  await using watch = await openChanges(overlay.upper)
  await using reader = await ReaderRun.open(overlay.upper)
  await reader.pass()
  await reader.keepNamed(taken(watch.changes))
  applyEdits(['echo 3 > x'], elsewhere.merged)
  assert.equal(await reader.count(taken(watch.changes)), 0)
  applyEdits(['echo 3 >> a/b'], overlay.merged)
  assert.equal(await reader.count(taken(watch.changes)), 1)
  applyEdits(['touch c/d'], overlay.merged)
  assert.equal(await reader.count(taken(watch.changes)), 1, 'its directory: nobody has seen the file yet')
})
