import { throwIfAborted } from '#base/abort.ts'
import { parseProgress } from './details.ts'
import type { CaptureParts } from './capture.ts'
import type { SnapshotProgress } from './progress.ts'
import type { SnapshotRecord } from '#store/snapshot-record.ts'

export interface SnapshotEvent {
  readonly snapshot: SnapshotRecord
  readonly progress: SnapshotProgress | undefined
}

/** Eyes do not read faster, and rows are not read more often. */
const QUICKEST_MS = 250
/** How often another server's progress is looked for: it writes it once a second. */
const SLOWEST_MS = 1_000

/**
 * What becomes of a snapshot: how it is now, then each change, until it is `Saved` or `Failed`. Ends as well when it is
 * deleted. Any server answers for any snapshot: from memory for its own, else from the row.
 */
export async function* watchSnapshot(
  snapshotId: string,
  { store, board }: Pick<CaptureParts, 'store' | 'board'>,
  signal: AbortSignal,
): AsyncIterable<SnapshotEvent> {
  let told = ''
  for (;;) {
    const news = waitBetween(board.waitForNews.bind(board, snapshotId), signal)
    const found = await store.snapshots.find(snapshotId)
    if (found === undefined) return
    const { progress: stored, result: _result, manifest: _manifest, ...snapshot } = found
    const progress = board.get(snapshotId) ?? parseProgress(stored)
    const text = JSON.stringify([snapshot.status, snapshot.reasonCode, progress])
    if (text !== told) yield { snapshot, progress }
    told = text
    if (!snapshot.isUnfinished) return
    await news
    throwIfAborted(signal)
  }
}

/** Resolves at the next news, but not before the quickest and not after the slowest time. */
async function waitBetween(waitForNews: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
  const least = new Promise((resolve) => setTimeout(resolve, QUICKEST_MS))
  await Promise.all([waitForNews(AbortSignal.any([signal, AbortSignal.timeout(SLOWEST_MS)])), least])
}
