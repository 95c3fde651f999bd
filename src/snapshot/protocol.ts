import { AppError, ERRORS, type Details, type ErrorCode } from '#base/errors.ts'
import type { IdRange } from '#overlay/id-map.ts'
import type { CodecChoice } from './codec.ts'

/**
 * What the capture and its jailed reader say to each other, a line of JSON each. Content never comes this way: frames go to
 * the spool file, of which the reader holds an open descriptor.
 */
export interface ReaderInit {
  /** (dev, ino) that `/` must have in the jail. */
  readonly root: { readonly dev: number; readonly ino: number }
  /** A file with a `trusted.overlay.*` attribute: a reader without the right to see those would lose `opaque` in silence (A5). */
  readonly probePath: string
  readonly workers: number
  readonly codec: CodecChoice
  /** The most entries that the walk may find. */
  readonly capacity: number
  /** Byte paths (one char a byte). */
  readonly exclusions: readonly string[]
  readonly stubs: readonly string[]
  readonly overlayPrefix: 'trusted.overlay.' | 'user.overlay.'
  readonly uidMap: readonly IdRange[]
  readonly gidMap: readonly IdRange[]
  /** What an earlier capture has left: the first pass compares with it, and its layers hold what it says. */
  readonly index?: LoadedIndex
  /** The most raw bytes of a layer, unless one file alone is more. */
  readonly mostLayerBytes?: number
  /** Close layers at this size; only tests set it. */
  readonly layerBytes?: number
}

/** How much an index holds. */
export interface IndexCounts {
  readonly rows: number
  readonly nameBytes: number
}

export interface LoadedIndex extends IndexCounts {
  /** So much earlier every row counts as read, microseconds: after a reboot the clock may have been another (attacks.md A11). */
  readonly doubtMicros: number
  /** Exclusions that were met when directories were listed that need not be listed again. */
  readonly metExclusions: readonly string[]
  /** Stubs at which nothing is mounted any more: what has been put there has left no trace in the directory that has them. */
  readonly unmounted?: readonly string[]
}

/** The descriptors that the reader inherits beside its standard three. */
export const SPOOL_DESCRIPTOR = 3
export const TAIL_DESCRIPTOR = 4
/** The body of the index that was left, and where that of the next one goes; /dev/null where there is none. */
export const INDEX_DESCRIPTOR = 5
export const NEXT_INDEX_DESCRIPTOR = 6

/** What the spool can take now; where it is not given, everything. A pass that may need more pauses before, and after each layer. */
type RoomBytes = number

/** `trustsNothing`: the clock was set back, so that no time says anything (attacks.md A2): everything is read again. */
export type ReaderCommand =
  | {
      /** Walk and put what changed into layers. */
      readonly command: 'pass'
      /** min(S, B) in microseconds (attacks.md A11); 0 when nothing that is read now may be trusted. */
      readonly readMicros: number
      /** The file system could not be synced as a whole: start the writeback of each file before its stat. */
      readonly syncsEachFile: boolean
      readonly checksAfterRead: boolean
      /** F1, when the whole pass happens in a freeze. */
      readonly frozenMicros?: number
      readonly trustsNothing: boolean
      readonly roomBytes?: RoomBytes
    }
  /** Go on with a pass that has paused: what the spool held of it is gone. */
  | { readonly command: 'resume'; readonly roomBytes: RoomBytes }
  /** Walk the frozen container and keep a copy of what changed, if it is not more than the budget. */
  | {
      readonly command: 'keep'
      /** min(S, B) of what is read now. */
      readonly readMicros: number
      readonly frozenMicros: number
      readonly budgetBytes: number
      readonly trustsNothing: boolean
      /** What the watch has named since the last pass: then nothing else is looked at. */
      readonly named?: NamedInodes
    }
  /** Count the inodes of the container among these: what changed in a freeze. */
  | { readonly command: 'count'; readonly named: NamedInodes }
  /** Compare, and say what the next pass would take. What is found to have changed stays marked for it. */
  | {
      readonly command: 'look'
      /** Both as in `keep`. */
      readonly trustsNothing?: boolean
      readonly named?: NamedInodes
    }
  /** Compare a few times, as the frozen pass will: so that its code is compiled and its metadata cached when it counts. */
  | { readonly command: 'rehearse' }
  /** Put what was kept into a layer; `readMicros` as it was kept with. */
  | { readonly command: 'pack'; readonly readMicros: number; readonly roomBytes?: RoomBytes }
  /** Write the rows down for the next capture. */
  | { readonly command: 'save' }
  /** Walk, and say what all is there; with an index, which has nothing of what is excluded, there may be no exclusions. */
  | { readonly command: 'preview' }
  /** The paths for the result. */
  | { readonly command: 'report' }

/** What puts something into layers, and so needs room in the spool. */
export type LayersCommand = Extract<ReaderCommand, { command: 'pass' | 'pack' }>

/** Inodes whose ctime was set, three numbers each: inode, seconds and nanoseconds of the ctime; seconds null: it has changed. */
export type NamedInodes = readonly (number | null)[]

export interface FrameEvent {
  readonly event: 'frame'
  readonly layer: number
  /** Where in the spool the frame is, and how long. */
  readonly offset: number
  readonly size: number
  readonly rawBytes: number
  readonly files: number
}

export interface LayerEvent {
  readonly event: 'layer'
  readonly layer: number
  readonly diffID: string
  readonly rawBytes: number
}

export interface PassedEvent {
  readonly event: 'passed'
  readonly files: number
  readonly bytes: number
  readonly torn: number
  /** False when a frozen pass did not see one state. */
  readonly isOneState: boolean
  /** Not everything is in layers: `resume`, when the spool has room again. */
  readonly isPaused: boolean
}

/** What a pass would take now. */
export interface LookedEvent {
  readonly event: 'looked'
  readonly files: number
  readonly bytes: number
}

export interface KeptEvent {
  readonly event: 'kept'
  readonly files: number
  readonly bytes: number
  readonly isWithinBudget: boolean
  readonly isOneState: boolean
}

export interface CountedEvent {
  readonly event: 'counted'
  readonly count: number
}

/** A file with large holes, which a layer has as zeros. */
export interface SparseFile {
  /** Byte path, relative. */
  readonly path: string
  readonly bytes: number
  /** What it takes on the disk. */
  readonly storedBytes: number
}

export interface ReportEvent {
  readonly event: 'report'
  /** Byte paths, relative. */
  readonly torn: readonly string[]
  readonly skipped: readonly { readonly path: string; readonly reason: string }[]
  /** How many more there are of both than a report names. */
  readonly unnamed: number
  readonly unmappedIds: number
  readonly unusedExclusions: readonly string[]
  readonly sparse: readonly SparseFile[]
}

export interface SavedEvent extends IndexCounts {
  readonly event: 'saved'
  /** Of the files that are there now, hardlinks once. */
  readonly contentBytes: number
  /** Of the files that this capture has put into layers, those that it superseded itself too. */
  readonly writtenBytes: number
}

export interface PreviewEvent {
  readonly event: 'preview'
  /** What of it the next layer would take; missing where the reader has no index. */
  readonly changed?: { readonly files: number; readonly bytes: number }
  readonly entries: number
  readonly rawBytes: number
  readonly directories: readonly { readonly path: string; readonly bytes: number; readonly entries: number }[]
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  readonly excluded: readonly { readonly path: string; readonly bytes: number; readonly entries: number }[]
  readonly secrets: readonly string[]
  readonly skipped: readonly { readonly path: string; readonly reason: string }[]
  /** How many more secrets and skipped paths there are than are named. */
  readonly unnamed: number
  readonly sparse: readonly SparseFile[]
}

export type ReaderEvent =
  | { readonly event: 'ready' }
  | { readonly event: 'rehearsed' }
  | { readonly event: 'scanned'; readonly files: number; readonly bytes: number }
  | FrameEvent
  | LayerEvent
  | PassedEvent
  | LookedEvent
  | KeptEvent
  | CountedEvent
  | ReportEvent
  | SavedEvent
  | PreviewEvent
  | { readonly event: 'failed'; readonly code: ErrorCode; readonly message: string; readonly details: Details }

/** No line of the reader is longer: a report of many paths is cut before. */
export const MAX_LINE_BYTES = 16 << 20

type Check = (value: unknown) => boolean
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0
const isText: Check = (value) => typeof value === 'string' && value.length <= 1 << 20
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
const isFlag: Check = (value) => typeof value === 'boolean'
const listOf =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item)
const shape =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) => {
    if (typeof value !== 'object' || value === null) return false
    const entries = new Map(Object.entries(value))
    return Object.entries(fields).every(([name, check]) => check(entries.get(name)))
  }

const isDetail: Check = (value) => ['string', 'number', 'boolean'].includes(typeof value) || listOf(isText)(value)
const isDetails: Check = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isDetail)

const reasons = listOf(shape({ path: isText, reason: isText }))
const sparse = listOf(shape({ path: isText, bytes: isCount, storedBytes: isCount }))
const totals = listOf(shape({ path: isText, bytes: isCount, entries: isCount }))

const EVENTS: Readonly<Record<ReaderEvent['event'], Check>> = {
  ready: shape({}),
  rehearsed: shape({}),
  scanned: shape({ files: isCount, bytes: isCount }),
  frame: shape({ layer: isCount, offset: isCount, size: isCount, rawBytes: isCount, files: isCount }),
  layer: shape({
    layer: isCount,
    diffID: (v) => typeof v === 'string' && /^sha256:[0-9a-f]{64}$/.test(v),
    rawBytes: isCount,
  }),
  passed: shape({ files: isCount, bytes: isCount, torn: isCount, isOneState: isFlag, isPaused: isFlag }),
  looked: shape({ files: isCount, bytes: isCount }),
  kept: shape({ files: isCount, bytes: isCount, isWithinBudget: isFlag, isOneState: isFlag }),
  counted: shape({ count: isCount }),
  report: shape({
    torn: listOf(isText),
    skipped: reasons,
    unnamed: isCount,
    unmappedIds: isCount,
    unusedExclusions: listOf(isText),
    sparse,
  }),
  saved: shape({ rows: isCount, nameBytes: isCount, contentBytes: isCount, writtenBytes: isCount }),
  preview: shape({
    changed: optional(shape({ files: isCount, bytes: isCount })),
    entries: isCount,
    rawBytes: isCount,
    directories: totals,
    files: listOf(shape({ path: isText, bytes: isCount })),
    excluded: totals,
    secrets: listOf(isText),
    skipped: reasons,
    unnamed: isCount,
    sparse,
  }),
  failed: shape({
    code: (v) => typeof v === 'string' && Object.hasOwn(ERRORS, v),
    message: isText,
    details: isDetails,
  }),
}

/** One line of the reader, which may be under the container's control by now (attacks.md C14). Throws `reader_failed`. */
export function parseReaderEvent(line: string): ReaderEvent {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new AppError('reader_failed', 'The reader said something that is not JSON: report this with the log.', {
      cause,
    })
  }
  const name = typeof value === 'object' && value !== null && 'event' in value ? value.event : undefined
  const check = Object.entries(EVENTS).find(([event]) => event === name)?.[1]
  if (!check?.(value))
    throw new AppError('reader_failed', `The reader said something out of place: ${line.slice(0, 200)}`)
  return value as ReaderEvent
}
