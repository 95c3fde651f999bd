import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { describeTree, differences } from '#lab/describe-tree.ts'
import { assertReadable } from '../support/layers.ts'
import { applyEdits, edits } from './edits.ts'
import { OverlayMount } from './overlay-mount.ts'
import { ReaderRun } from './reader-run.ts'

const RUNS = process.env['TINTYPE_TEST_LONG'] ? 60 : 8

test('whatever is edited between the passes, the layers together are the container at the freeze', async () => {
  const history = fc.record({
    base: edits,
    passes: fc.array(edits, { minLength: 1, maxLength: 4 }),
    layerBytes: fc.constantFrom(2 ** 31, 4000),
  })
  await fc.assert(
    fc.asyncProperty(history, async ({ base, passes, layerBytes }) => {
      using overlay = new OverlayMount((lower) => applyEdits(base, lower))
      await using reader = await ReaderRun.open(overlay.upper, { layerBytes })
      for (const each of passes.slice(0, -1)) {
        applyEdits(each, overlay.merged)
        await reader.pass()
      }
      applyEdits(passes.at(-1) ?? [], overlay.merged)
      const kept = await reader.keep()
      assert.ok(kept.isOneState)
      await reader.pack()
      const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
      assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
      assertReadable(reader.layers)
    }),
    { numRuns: RUNS },
  )
})
