import { systemClock } from '#base/clock.ts'
import { parseExclusion } from '#overlay/exclusions.ts'
import { bodyOf, chooseMode, loadedFrom, type Mode } from './chain/choose-mode.ts'
import { nextLayers, tooManyLayers } from './chain/choose-squash.ts'
import type { PreviewEvent } from './protocol.ts'
import { resultPath, sparseWarnings, unsavedMounts } from './describe.ts'
import { readerInit } from './reader-init.ts'
import { startReader, type ReaderProcess } from './reader-process.ts'
import type { Preview } from './result.ts'
import type { Source } from './source.ts'
import { openSpool } from './spool.ts'

export interface PreviewOptions {
  readonly exclusions: readonly string[]
  readonly home: string
  readonly workers?: number
  readonly signal?: AbortSignal
}

/** What a snapshot would take now, in the time of a metadata walk: no file is read, nothing is frozen. Throws AppError. */
export async function preview(source: Source, options: PreviewOptions): Promise<Preview> {
  const startMs = systemClock.monotonicMs()
  const exclusions = options.exclusions.map(parseExclusion)
  const mode = await chooseMode(source, { exclusions, home: options.home, isFrozen: true })
  const found = await look(source, { ...options, exclusions, mode })
  const changed = found.changed && { entries: found.changed.files, rawBytes: found.changed.bytes }
  const named = <T extends { path: string }>(items: readonly T[]) =>
    items.map((item) => ({ ...item, path: resultPath(item.path) }))
  const unused = found.excluded.filter(({ entries }) => entries === 0)
  return {
    container: source.containerName,
    baseReference: source.base.name,
    mode: mode.mode,
    modeReason: mode.reason,
    ...(changed && { changed }),
    ...squashNext(source, mode, changed ?? found),
    entries: found.entries,
    rawBytes: found.rawBytes,
    largestDirectories: named(found.directories),
    largestFiles: named(found.files),
    excluded: named(found.excluded),
    likelySecrets: found.secrets.map(resultPath),
    skipped: named(found.skipped),
    unsavedMounts: unsavedMounts(source),
    warnings: [
      ...unused.map(
        ({ path }) =>
          `The exclusion /${Buffer.from(path, 'latin1').toString()} matches nothing that the container changed.`,
      ),
      ...(found.unnamed > 0 ? [`${found.unnamed} more paths look secret or are left out than are named here.`] : []),
      ...sparseWarnings(found.sparse),
    ],
    totalMs: Math.round(systemClock.monotonicMs() - startMs),
  }
}

/** Whether too many layers would lie on the first base. */
function squashNext({ base }: Source, mode: Mode, found: { readonly entries: number; readonly rawBytes: number }) {
  const chain = mode.mode === 'delta' ? mode.index.record.chain : undefined
  const below = chain ? chain.baseLayers + chain.layers.length : base.diffIDs.length
  const counts = nextLayers({ original: base.originalLayers, below }, found)
  const reason = tooManyLayers(counts)
  return reason === undefined ? {} : { squash: { layers: counts.ours, reason } }
}

interface LookOptions extends PreviewOptions {
  /** Byte paths. */
  readonly exclusions: readonly string[]
  /** What the reader begins with; without one, with nothing. */
  readonly mode?: Mode
}

/** What all is there, and what of it a delta would take. */
async function look(
  source: Source,
  { mode, ...options }: LookOptions & { readonly mode: Mode },
): Promise<PreviewEvent> {
  const lookAll = (reader: ReaderProcess) => reader.run({ command: 'preview' }, 'preview')
  if (mode.mode === 'full') return lookThrough(source, options, lookAll)
  await using _index = mode.index
  if (options.exclusions.length === 0) return await lookThrough(source, { ...options, mode }, lookAll)
  // The index has nothing of what is excluded, and its size is to be told.
  const [found, { files, bytes }] = await Promise.all([
    lookThrough(source, options, lookAll),
    lookThrough(source, { ...options, mode }, (reader) => reader.run({ command: 'look' }, 'looked')),
  ])
  return { ...found, changed: { files, bytes } }
}

/** One question to a reader of its own. */
async function lookThrough<T>(
  source: Source,
  { home, workers, signal, exclusions, mode }: LookOptions,
  ask: (reader: ReaderProcess) => Promise<T>,
): Promise<T> {
  await using spool = await openSpool(home)
  const codec = { name: 'none', level: 0 } as const
  const init = await readerInit(source, { exclusions, codec, spool, workers, ...(mode && loadedFrom(mode, source)) })
  const { upperdir } = source
  const index = mode && bodyOf(mode)
  await using reader = await startReader({ upperdir, spool, init, index, ...(signal && { signal }) })
  return await ask(reader)
}
