import { closeSync, constants, openSync } from 'node:fs'
import { AppError, systemCode } from '#base/errors.ts'
import { openFreezer, type ContainerFreezer } from '#freezer/freeze.ts'
import { parseExclusion } from '#overlay/exclusions.ts'
import { tryLock } from '#posix/libc.ts'
import { bodyOf, chooseMode, loadedFrom, type Mode } from './chain/choose-mode.ts'
import { clockState, identityOf, openNextIndex, type NextIndex } from './chain/index-store.ts'
import { noIndexWarning } from './chain/keep-index.ts'
import type { ClockState, IndexIdentity } from './chain/record.ts'
import { chooseCodec, type ChosenCodec } from './choose-codec.ts'
import { LayerUploads } from './layer-uploads.ts'
import { openCaptureWatch, type CaptureWatch } from './open-watch.ts'
import { CaptureProgress } from './progress.ts'
import { readerInit } from './reader-init.ts'
import { startReader, type ReaderProcess } from './reader-process.ts'
import type { CaptureOptions } from './result.ts'
import type { Source } from './source.ts'
import { openSpool, type Spool } from './spool.ts'

const DEFAULT_MAX_FREEZE_MS = 2000
/** With `--single-pass` the whole reading is frozen, and only the watchdog ends it (design.md §4.5). */
const SINGLE_PASS_FREEZE_MS = 15 * 60_000
/** Everything that lives as long as a capture; closing it leaves nothing behind: no freeze, no process, no spool. */
export interface OpenCapture extends AsyncDisposable {
  readonly source: Source
  readonly options: CaptureOptions
  readonly mode: Mode
  readonly identity: IndexIdentity
  /** Before anything was read: a clock that is set back later than this is noticed by the next capture (attacks.md A2). */
  readonly clock: ClockState
  /** Byte paths: where the runtime leaves stubs now, and where it did in earlier captures. */
  readonly stubs: readonly string[]
  /** Where the index for the next capture goes; undefined where none can be kept. */
  readonly next: NextIndex | undefined
  readonly codec: ChosenCodec
  readonly spool: Spool
  readonly reader: ReaderProcess
  readonly freezer: ContainerFreezer | undefined
  /** What the freeze need not look for. */
  readonly watch: CaptureWatch
  readonly uploads: LayerUploads
  readonly progress: CaptureProgress
  readonly maxFreezeMs: number
  /** Fires when the caller cancels and when a part of the capture has failed. */
  readonly signal: AbortSignal
  readonly warnings: string[]
  /** A part of the capture: when it fails, everything else is stopped. */
  guard<T>(part: Promise<T>): Promise<T>
}

/** Take the upperdir for this capture alone, and start the reader. Throws `capture_in_progress`, `exclusion_invalid`, `spool_full` … */
export async function openCapture(
  source: Source,
  options: CaptureOptions,
  { fullReason }: { readonly fullReason?: string | undefined } = {},
): Promise<OpenCapture> {
  const exclusions = options.exclusions.map(parseExclusion)
  const codec = chooseCodec(options)
  const clock = clockState()
  const stop = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal
  await using stack = new AsyncDisposableStack()
  stack.adopt(lockUpperdir(source), closeSync)
  const indexes = stack.use(await openIndexes(source, options, { exclusions, signal, fullReason }))
  const { mode, next } = indexes
  const spool = stack.use(await openSpool(options.home, options.spoolBytes))
  const maxFreezeMs = options.maxFreezeMs ?? (options.singlePass ? SINGLE_PASS_FREEZE_MS : DEFAULT_MAX_FREEZE_MS)
  const freezer = openFreezerOf(source, { isWanted: options.freeze, maxFreezeMs, signal })
  if (freezer) stack.use(freezer)
  const whyNot = whyNotWatched(options, { mode, isFrozen: freezer !== undefined })
  const { upperdir } = source
  const watch = stack.use(openCaptureWatch({ upperdir, scratch: spool.directory, signal, whyNot }))
  const parts = { exclusions, codec: codec.choice, spool, ...loadedFrom(mode, source) }
  const { workers, maxLayerBytes } = options
  const init = await readerInit(source, { ...parts, workers, maxLayerBytes })
  const reader = stack.use(await startReader({ upperdir, spool, init, signal, index: bodyOf(mode), next: next?.body }))
  const progress = new CaptureProgress(options.onProgress)
  const uploads = openUploads(options, { spool, codec, signal, progress })
  stack.defer(() => uploads.abandon(new AppError('cancelled', 'The capture has ended.')))
  const resources = stack.move()
  return {
    source,
    options,
    mode,
    next,
    identity: indexes.identity,
    clock,
    stubs: init.stubs,
    codec,
    spool,
    reader,
    freezer,
    watch,
    uploads,
    progress,
    maxFreezeMs,
    signal,
    warnings: [...codec.warnings, ...indexes.warnings],
    guard: (part) => guard(part, stop),
    async [Symbol.asyncDispose]() {
      stop.abort(new AppError('cancelled', 'The capture has ended.'))
      await resources.disposeAsync()
    },
  }
}

type Uploading = Pick<OpenCapture, 'spool' | 'codec' | 'signal' | 'progress'>

function openUploads(options: CaptureOptions, { spool, codec, signal, progress }: Uploading): LayerUploads {
  return new LayerUploads({
    target: options.target,
    spool: spool.frames,
    mediaType: codec.mediaType,
    maxLayerBytes: options.maxLayerBytes,
    signal,
    onProgress: (bytes) => progress.setUploaded('layers', bytes),
  })
}

interface Indexes extends AsyncDisposable {
  readonly mode: Mode
  readonly identity: IndexIdentity
  readonly next: NextIndex | undefined
  readonly warnings: readonly string[]
}

interface IndexesOptions {
  readonly exclusions: readonly string[]
  readonly signal: AbortSignal
  readonly fullReason: string | undefined
}

/** The index that earlier captures have left, if the capture can begin from it, and room for the next one. */
async function openIndexes(
  source: Source,
  { home, target, repositoryOf, freeze, full }: CaptureOptions,
  { exclusions, signal, fullReason = full ? 'asked for with --full' : undefined }: IndexesOptions,
): Promise<Indexes> {
  await using stack = new AsyncDisposableStack()
  const identity = identityOf(source, exclusions)
  const isFrozen = !source.init || freeze
  const destination = { target, repositoryOf, signal }
  const mode = await chooseMode(source, {
    exclusions,
    home,
    isFrozen,
    destination,
    ...(fullReason !== undefined && { fullReason }),
  })
  if (mode.mode === 'delta') stack.use(mode.index)
  const { next, warnings = [] } = isFrozen ? await nextIndex(home, identity) : {}
  if (next) stack.use(next)
  const resources = stack.move()
  return { mode, identity, next, warnings, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** A snapshot that leaves no index is a snapshot all the same. */
async function nextIndex(home: string, identity: IndexIdentity): Promise<Partial<Pick<Indexes, 'next' | 'warnings'>>> {
  try {
    return { next: await openNextIndex(home, identity) }
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return { warnings: [noIndexWarning(error)] }
  }
}

/** A walk over so few rows takes less than a watch. */
const WALKED_ROWS = 20_000

function whyNotWatched(
  { singlePass, usesTracepoints = true, walkedRows = WALKED_ROWS }: CaptureOptions,
  { mode, isFrozen }: { readonly mode: Mode; readonly isFrozen: boolean },
): string | undefined {
  if (!isFrozen || singlePass) return 'the freeze is not to be short'
  if (!usesTracepoints) return 'TINTYPE_TRACEPOINTS is never'
  const isSmall = mode.mode === 'delta' && mode.index.record.body.rows < walkedRows
  return isSmall ? 'the container has few files' : undefined
}

async function guard<T>(part: Promise<T>, stop: AbortController): Promise<T> {
  try {
    return await part
  } catch (error) {
    stop.abort(error)
    throw error
  }
}

/** One capture of an upperdir at a time, by whoever (attacks.md B7). The lock goes with the descriptor. */
function lockUpperdir({ upperdir, containerName }: Source): number {
  let descriptor: number
  try {
    descriptor = openSync(upperdir, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (cause) {
    const isGone = systemCode(cause) === 'ENOENT'
    throw new AppError(
      isGone ? 'container_gone' : 'permission_denied',
      isGone ? `The container ${containerName} was removed.` : `${upperdir} cannot be read: run as root.`,
      { cause },
    )
  }
  if (tryLock(descriptor)) return descriptor
  closeSync(descriptor)
  throw new AppError(
    'capture_in_progress',
    `The container ${containerName} is being saved already: wait until that has ended.`,
  )
}

function openFreezerOf(
  { freezer, init, upperdir }: Source,
  { isWanted, maxFreezeMs, signal }: { isWanted: boolean; maxFreezeMs: number; signal: AbortSignal },
): ContainerFreezer | undefined {
  return freezer && init && isWanted ? openFreezer({ freezer, init, upperdir, maxFreezeMs, signal }) : undefined
}
