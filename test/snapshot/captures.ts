import assert from 'node:assert/strict'
import { describeTree, differences } from '#lab/describe-tree.ts'
import { assertReadable } from '../support/layers.ts'
import { applyEdits } from './edits.ts'
import { OverlayMount } from './overlay-mount.ts'
import { ReaderRun, type Saved } from './reader-run.ts'

export interface Captures<T> {
  /** Edits that make the base. */
  readonly base: readonly string[]
  readonly captures: readonly T[]
  /** What is edited before a capture begins. */
  readonly before: (capture: T) => readonly string[]
  /** One capture, up to and with its packing. */
  readonly take: (capture: T, lab: CaptureLab) => Promise<void>
}

export interface CaptureLab {
  readonly reader: ReaderRun
  readonly overlay: OverlayMount
  /** No capture was before: the reader knows nothing yet. */
  readonly isFirst: boolean
}

/**
 * Captures of one writable layer, each beginning from the index that the one before has left. After each, the base and all
 * layers so far must be what the overlay shows.
 */
export async function playCaptures<T>({ base, captures, before, take }: Captures<T>): Promise<void> {
  using overlay = new OverlayMount((lower) => applyEdits(base, lower))
  const chain: Buffer[] = []
  let saved: Saved | undefined
  try {
    for (const capture of captures) {
      applyEdits(before(capture), overlay.merged)
      await using reader = await ReaderRun.open(overlay.upper, {}, saved)
      await take(capture, { reader, overlay, isFirst: saved === undefined })
      const unpacked = await describeTree(await reader.unpack([overlay.baseLayer(), ...chain]))
      assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
      assertReadable(reader.layers)
      chain.push(...reader.layers)
      saved?.[Symbol.dispose]()
      saved = await reader.save()
    }
  } finally {
    saved?.[Symbol.dispose]()
  }
}
