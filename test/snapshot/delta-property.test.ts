import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { describeTree, differences } from '#lab/describe-tree.ts'
import type { ReaderInit } from '#snapshot/protocol.ts'
import { STAT } from '#posix/stat.ts'
import { ROW_BYTES } from '#snapshot/reader/rows.ts'
import { playCaptures } from './captures.ts'
import { applyEdits, bases, edits } from './edits.ts'
import { OverlayMount } from './overlay-mount.ts'
import { ReaderRun, type Saved } from './reader-run.ts'

const RUNS = process.env['TINTYPE_TEST_LONG'] ? 60 : 6

test('whatever is edited between captures, base and chain together are the container at each freeze', async () => {
  const history = fc.record({
    base: bases,
    captures: fc.array(fc.record({ live: edits, last: edits, hasLivePass: fc.boolean() }), {
      minLength: 2,
      maxLength: 5,
    }),
  })
  await fc.assert(
    fc.asyncProperty(history, ({ base, captures }) =>
      playCaptures({
        base,
        captures,
        before: ({ live }) => live,
        async take({ last, hasLivePass }, { reader, overlay }) {
          if (hasLivePass) await reader.pass()
          applyEdits(last, overlay.merged)
          const readMicros = Date.now() * 1000 // as if a sync had been now
          const kept = await reader.keep({ readMicros })
          assert.ok(kept.isOneState)
          await reader.pack(readMicros)
        },
      }),
    ),
    { numRuns: RUNS },
  )
})

/** A whole capture of what nobody changes; its rows belong to the caller. */
async function captureAtRest(overlay: OverlayMount, init: Partial<ReaderInit> = {}) {
  await new Promise((resolve) => setTimeout(resolve, 30)) // past the margin of a ctime
  const readMicros = Date.now() * 1000
  await using reader = await ReaderRun.open(overlay.upper, init)
  await reader.keep({ readMicros })
  await reader.pack(readMicros)
  return { layers: reader.layers, saved: await reader.save() }
}

test('what has not changed since the capture before is not read again', async () => {
  using overlay = new OverlayMount((lower) => applyEdits(['mkdir -p a/b', 'echo 1 > a/b/c'], lower))
  applyEdits(['mkdir -p big', 'head -c 3000000 /dev/zero > big/file', 'echo x > a/b/d', 'rm a/b/c'], overlay.merged)
  const { saved } = await captureAtRest(overlay)
  using _ = saved
  assert.deepEqual([saved.counts.contentBytes, saved.counts.writtenBytes], [3_000_002, 3_000_002])

  await using second = await ReaderRun.open(overlay.upper, {}, saved)
  const kept = await second.keep({ readMicros: Date.now() * 1000 })
  assert.deepEqual([kept.files, kept.bytes], [0, 0])
  await second.pack()
  assert.deepEqual(second.layers, [])
})

// attacks.md A11: before the clock was set right, what was written may have a time that says it is older than it is.
test('after a reboot what had changed shortly before the last capture is read again, though it looks the same', async () => {
  using overlay = new OverlayMount((lower) => applyEdits(['mkdir -p a/b', 'echo 1 > a/b/c'], lower))
  applyEdits(['mkdir big', 'head -c 3000000 /dev/zero > big/file', 'echo x > a/b/d'], overlay.merged)
  const { saved } = await captureAtRest(overlay)
  using _ = saved
  const index = { ...saved.counts, metExclusions: [], doubtMicros: 120e6 }
  await using second = await ReaderRun.open(overlay.upper, { index }, saved)
  const kept = await second.keep({ readMicros: Date.now() * 1000 })
  assert.equal(kept.bytes, 3_000_002)
})

/** What a mount hid when its directory was listed, and the directory does not tell of. */
const HIDDEN: readonly (readonly [what: string, make: string, change: string])[] = [
  ['a directory', 'mkdir -p m/at', 'echo x > m/at/x; mkdir m/at/sub; echo y > m/at/sub/y'],
  ['a file', 'mkdir m; : > m/at', 'echo x > m/at'],
  ['nothing but an empty directory', 'mkdir -p m/at', 'true'],
]
for (const [what, make, change] of HIDDEN)
  test(`what was put into ${what} that was a mount point at the capture before is taken`, async () => {
    using overlay = new OverlayMount(() => {})
    applyEdits([make], overlay.merged)
    const stubs = ['/m/at']
    const { layers, saved } = await captureAtRest(overlay, { stubs })
    using _ = saved

    applyEdits([change], overlay.merged)
    const index = { ...saved.counts, metExclusions: [], doubtMicros: 0, unmounted: stubs }
    await using second = await ReaderRun.open(overlay.upper, { stubs, index }, saved)
    await second.keep({ readMicros: Date.now() * 1000 })
    await second.pack()
    const unpacked = await describeTree(await second.unpack([overlay.baseLayer(), ...layers]))
    const seen = new Map(await describeTree(overlay.merged))
    if (change === 'true') seen.delete('m/at') // an empty one at a mount point is the runtime's own
    assert.deepEqual(differences(unpacked, seen), [])
  })

test('links are links when the device of the file system has another number than at the capture before', async () => {
  using overlay = new OverlayMount(() => {})
  applyEdits(['mkdir d e', 'echo 1 > d/x', 'ln d/x e/x'], overlay.merged)
  const { layers, saved } = await captureAtRest(overlay)
  using _ = saved
  const rows = readFileSync(saved.path)
  for (let row = 0; row < saved.counts.rows; row++) rows.writeUInt32LE(0x12345, row * ROW_BYTES + STAT.dev * 4)
  writeFileSync(saved.path, rows)

  applyEdits(['mv d moved'], overlay.merged)
  await using second = await ReaderRun.open(overlay.upper, {}, saved)
  await second.keep({ readMicros: Date.now() * 1000 })
  await second.pack()
  const unpacked = await describeTree(await second.unpack([overlay.baseLayer(), ...layers]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

test('what a layer cannot hold exactly is named by each capture until it can', async () => {
  using overlay = new OverlayMount(() => {})
  applyEdits(['mkdir d', 'echo 1 > d/file', 'echo 2 > d/other', "setfattr -n 'user.a=b' -v x d/file"], overlay.merged)
  let before: Saved | undefined
  const named: string[][] = []
  for (const edit of ['true', 'true', 'echo 3 > d/other', "setfattr -x 'user.a=b' d/file", 'true']) {
    applyEdits([edit], overlay.merged)
    await new Promise((resolve) => setTimeout(resolve, 30)) // past the margin of a ctime
    const readMicros = Date.now() * 1000
    await using reader = await ReaderRun.open(overlay.upper, {}, before)
    await reader.keep({ readMicros })
    await reader.pack(readMicros)
    named.push((await reader.report()).skipped.map(({ path }) => path))
    before?.[Symbol.dispose]()
    before = await reader.save()
  }
  before?.[Symbol.dispose]()
  assert.deepEqual(named, [['d/file'], ['d/file'], ['d/file'], [], []])
})
