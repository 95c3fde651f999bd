import { statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { CodecChoice } from './codec.ts'
import { rawBytesWithin } from './layer-uploads.ts'
import type { LoadedIndex, ReaderInit } from './protocol.ts'
import type { Source } from './source.ts'
import type { Spool } from './spool.ts'

const MOST_WORKERS = 8
const MOST_ENTRIES = 16_000_000
const UNKNOWN_ENTRIES = 4_000_000
const ENTRIES_SLACK = 1_000_000
/** Live passes and freezes, with those that have to be repeated. */
const MOST_WALKS = 6

export interface InitParts {
  /** Byte paths. */
  readonly exclusions: readonly string[]
  readonly codec: CodecChoice
  readonly spool: Spool
  readonly workers: number | undefined
  /** As the registry stores it. */
  readonly maxLayerBytes?: number | undefined
  /** What an earlier capture has left. */
  readonly index?: LoadedIndex
  /** Byte paths of stubs beside those that the source tells of. */
  readonly stubs?: readonly string[]
}

/** What the reader is told of a source. */
export async function readerInit(
  source: Source,
  { exclusions, codec, spool, workers, maxLayerBytes, index, stubs = [] }: InitParts,
): Promise<ReaderInit> {
  const { dev, ino } = statSync(source.upperdir)
  return {
    root: { dev, ino },
    probePath: spool.probePath,
    workers: workers ?? Math.min(availableParallelism(), MOST_WORKERS),
    codec,
    capacity: await entryCapacity(source.upperdir, index?.rows ?? 0),
    exclusions,
    stubs: [...new Set([...source.mountPoints.map(({ path }) => path.toString('latin1')), ...stubs])],
    overlayPrefix: source.userXattr ? 'user.overlay.' : 'trusted.overlay.',
    uidMap: source.uidMap,
    gidMap: source.gidMap,
    ...(maxLayerBytes !== undefined && { mostLayerBytes: rawBytesWithin(maxLayerBytes) }),
    ...(index && { index }),
  }
}

/**
 * The upperdir cannot have more entries than its file system has inodes in use; btrfs does not count them. Names are links:
 * some more. A directory that has a new name takes new rows for all of its names. What is never used is never memory.
 */
async function entryCapacity(upperdir: string, known: number): Promise<number> {
  const { files, ffree } = await statfs(upperdir)
  const used = files > 0 ? files - ffree : UNKNOWN_ENTRIES
  return Math.min(MOST_ENTRIES, Math.max(used, known) * MOST_WALKS + ENTRIES_SLACK)
}
