import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { groupByDirectory } from '#overlay/exclusions.ts'
import { NEXT_INDEX_DESCRIPTOR } from '#snapshot/protocol.ts'
import type { NamedInodes, PassedEvent, ReaderCommand, ReaderEvent, ReaderInit } from '#snapshot/protocol.ts'
import { encodeLayers } from './encode-layers.ts'
import type { KeptEntry } from './encode.ts'
import type { EncodedReply } from './messages.ts'
import { saveRows } from './index-body.ts'
import { NamedPaths } from './named-paths.ts'
import { LayerSteps, type TakeOptions } from './layer-steps.ts'
import { countNamed, markNamed } from './named-rows.ts'
import { planLayers, type Segment } from './plan.ts'
import { allSettled, type WorkerThread } from './pool.ts'
import { summarize, skippedEntries, unusedExclusions } from './preview.ts'
import { DiskReads } from './read-ahead.ts'
import { FLAG, ROOT, type Rows } from './rows.ts'
import { sparseFiles } from './sparse.ts'
import { sawOneState, settle, type HardlinkGroups } from './settle.ts'
import { fileSync } from './sync-file.ts'
import { changedTotals, contentTotal, tailLanes } from './tail.ts'
import { isTrustedRow } from './trust.ts'
import { queueDirectories } from './queue-directories.ts'
import type { WorkQueue } from './work-queue.ts'

export interface SessionParts {
  readonly init: ReaderInit
  readonly rows: Rows
  readonly queue: WorkQueue
  readonly workers: readonly WorkerThread[]
  readonly emit: (event: ReaderEvent) => void
}

interface WalkMode {
  readonly frozenMicros?: number | undefined
  /** Walk into what is excluded too, to tell its size. */
  readonly isPreview?: boolean
  readonly trustsNothing?: boolean
  /** Visit only what the watch has named. */
  readonly named?: NamedInodes | undefined
}

type Command<Name> = Extract<ReaderCommand, { command: Name }>

/** The first walk that compares takes about twice as long as the fifth; in a large container it gets fast on the way. */
const REHEARSED_WALKS = 5
const REHEARSAL_MS = 100

/** One capture inside the jail: the rows, and what each command makes of them. */
export class ReaderSession {
  readonly #parts: SessionParts
  /** With those of earlier captures, of which the index tells. */
  #walks = 0
  /** What the last walk took. */
  #walkMs = 0
  #nextLayer = 0
  #passes = 0
  #writtenBytes = 0
  #kept = new Map<number, KeptEntry>()
  #groups: HardlinkGroups = new Map()
  /** Byte paths; what the last pass could not read as one state. */
  #torn = new NamedPaths()
  /** What layers hold of them is not whole, whatever the pass. */
  readonly #leftOut = new NamedPaths()
  /** The pass that goes on with `resume`. */
  #taking: { readonly steps: LayerSteps; readonly passed: Omit<PassedEvent, 'torn' | 'isPaused'> } | undefined
  #unmappedIds = 0
  readonly #metExclusions = new Set<string>()
  readonly #diskReads = new DiskReads()

  constructor(parts: SessionParts) {
    this.#parts = parts
    const { index } = parts.init
    if (!index) return
    this.#walks = 1
    this.#passes = 1
    for (const path of index.metExclusions) this.#metExclusions.add(path)
  }

  /** Carry out one command; its events tell what came of it. Throws AppError. */
  async run(command: ReaderCommand): Promise<void> {
    const { rows, emit } = this.#parts
    switch (command.command) {
      case 'pass':
        return this.#pass(command)
      case 'resume':
        return this.#resume(command)
      case 'keep':
        return this.#keep(command)
      case 'look':
        return this.#look(command)
      case 'rehearse':
        return this.#rehearse()
      case 'pack':
        return this.#pack(command)
      case 'count':
        return emit({ event: 'counted', count: countNamed(rows, command.named) })
      case 'save':
        return this.#save()
      case 'preview':
        return this.#preview()
      case 'report':
        return this.#report()
    }
  }

  async #pass(command: Command<'pass'>): Promise<void> {
    const { rows, emit } = this.#parts
    const { frozenMicros, trustsNothing } = command
    const isOneState = await this.#walk(command.readMicros, { frozenMicros, trustsNothing })
    const { files, bytes } = changedTotals(rows, this.#groups)
    this.#writtenBytes += bytes
    emit({ event: 'scanned', files, bytes })
    this.#taking = { steps: this.#layerSteps(command), passed: { event: 'passed', files, bytes, isOneState } }
    await this.#resume(command)
  }

  async #resume({ roomBytes = Infinity }: { readonly roomBytes?: number | undefined }): Promise<void> {
    if (!this.#taking) throw new AppError('internal', 'No pass has paused.')
    const { steps, passed } = this.#taking
    const isComplete = await steps.next(roomBytes)
    if (isComplete) this.#taking = undefined
    this.#parts.emit({ ...passed, torn: this.#torn.count, isPaused: !isComplete })
  }

  /** Walk or, after the first time, compare with what the walk before saw. True when a frozen container stood still. */
  async #walk(
    readMicros: number,
    { frozenMicros, isPreview = false, trustsNothing = false, named }: WalkMode,
  ): Promise<boolean> {
    const { init, rows, queue, workers } = this.#parts
    queue.reset()
    const startMs = systemClock.monotonicMs()
    if (named) this.#queueNamed(named, trustsNothing)
    else if (this.#walks > 0) queueDirectories(rows, queue)
    else queue.push(ROOT, true)
    const options = {
      readMicros,
      trustsNothing,
      isOfNamed: named !== undefined,
      ...(frozenMicros !== undefined && { frozenMicros }),
      exclusions: groupByDirectory(isPreview ? [] : init.exclusions),
      stubs: groupByDirectory(init.stubs),
      overlayPrefix: init.overlayPrefix,
    }
    const replies = await allSettled(workers.map((worker) => worker.ask({ type: 'walk', options }, 'walked')))
    const results = replies.map(({ result }) => result)
    for (const path of results.flatMap(({ excluded }) => excluded)) this.#metExclusions.add(path)
    const isOneState = frozenMicros === undefined || sawOneState(rows, results)
    this.#groups = settle(rows, results)
    rows.eachWith(FLAG.named, (row) => rows.unmark(row, FLAG.named))
    if (named) return isOneState
    this.#walks++
    this.#walkMs = systemClock.monotonicMs() - startMs
    return isOneState
  }

  #queueNamed(named: NamedInodes, trustsNothing: boolean): void {
    const { rows, queue } = this.#parts
    const isTrusted = (row: number) => !trustsNothing && isTrustedRow(rows, row)
    for (const directory of markNamed(rows, named, isTrusted)) queue.push(directory, false)
  }

  #layerSteps(options: TakeOptions): LayerSteps {
    const { rows, init } = this.#parts
    this.#torn = new NamedPaths()
    this.#passes++
    return new LayerSteps(rows, {
      groups: this.#groups,
      plan: (fitBytes) =>
        planLayers(rows, {
          firstLayer: this.#nextLayer,
          readMicros: options.readMicros,
          groups: this.#groups,
          fitBytes: () => Math.min(fitBytes(), init.mostLayerBytes ?? Infinity),
          ...(init.layerBytes !== undefined && { layerBytes: init.layerBytes }),
          ...(options.syncsEachFile && { beforeFile: fileSync(rows) }),
        }),
      encode: (segments) => this.#encode(segments, options),
    })
  }

  async #encode(segments: Iterator<Segment>, options: TakeOptions): Promise<void> {
    const { workers, emit } = this.#parts
    await encodeLayers(segments, {
      workers,
      checksAfterRead: options.checksAfterRead,
      isCold: () => options.kept === undefined && this.#diskReads.isCold(),
      ...(options.kept && { kept: options.kept }),
      emit: (event) => {
        if (event.event === 'layer') this.#nextLayer = event.layer + 1
        emit(event)
      },
      onEncoded: (reply) => this.#noteEncoded(reply),
    })
  }

  #noteEncoded({ torn, absent, leftOut, unmappedIds }: EncodedReply): void {
    const { rows } = this.#parts
    this.#unmappedIds += unmappedIds
    for (const row of [...torn, ...absent]) {
      for (const member of this.#groups.get(row) ?? [row]) rows.setReadMicros(member, 0)
      this.#torn.add(rows.path(row))
    }
    for (const [row, what] of leftOut) {
      rows.mark(row, FLAG.inexact)
      this.#leftOut.add(rows.path(row), what)
    }
    // In the first pass no layer before can hold the path; later one may, and a whiteout of it does no harm.
    if (this.#passes === 1) for (const row of absent) rows.unmark(row, FLAG.emitted)
  }

  async #look({ trustsNothing = false, named }: Command<'look'>): Promise<void> {
    await this.#walk(0, { trustsNothing, named })
    this.#parts.emit({ event: 'looked', ...changedTotals(this.#parts.rows, this.#groups) })
  }

  /** What is found to have changed stays marked, and belongs to the next layer as if the frozen pass had found it. */
  async #rehearse(): Promise<void> {
    for (
      let spentMs = 0;
      this.#walks < REHEARSED_WALKS && spentMs + this.#walkMs < REHEARSAL_MS;
      spentMs += this.#walkMs
    )
      await this.#walk(0, {})
    this.#parts.emit({ event: 'rehearsed' })
  }

  /** Walk the frozen container and copy what changed, unless that is more than the budget. */
  async #keep({ readMicros, frozenMicros, budgetBytes, trustsNothing, named }: Command<'keep'>): Promise<void> {
    const { rows, emit } = this.#parts
    const isOneState = await this.#walk(readMicros, { frozenMicros, trustsNothing, named })
    const { files, bytes } = changedTotals(rows, this.#groups)
    const isWithinBudget = bytes <= budgetBytes
    const isKept = isOneState && isWithinBudget && (files === 0 || (await this.#copyTail()))
    emit({ event: 'kept', files, bytes, isWithinBudget, isOneState: isOneState && (isKept || !isWithinBudget) })
  }

  async #copyTail(): Promise<boolean> {
    const { rows, workers } = this.#parts
    const lanes = tailLanes(rows, this.#groups, workers.length)
    const replies = await allSettled(
      workers.map((worker, i) => worker.ask({ type: 'copy', items: lanes[i] ?? [] }, 'copied')),
    )
    this.#kept = new Map()
    for (const { entries } of replies) for (const [row, entry] of entries ?? []) this.#kept.set(row, entry)
    return replies.every(({ entries }) => entries !== undefined)
  }

  async #pack({ readMicros, roomBytes }: Command<'pack'>): Promise<void> {
    const { files, bytes } = changedTotals(this.#parts.rows, this.#groups)
    this.#writtenBytes += bytes
    const passed = { event: 'passed', files, bytes, isOneState: true } as const
    if (files === 0) return this.#parts.emit({ ...passed, torn: 0, isPaused: false })
    const options = { readMicros, syncsEachFile: false, checksAfterRead: false, kept: this.#kept }
    this.#taking = { steps: this.#layerSteps(options), passed }
    await this.#resume({ roomBytes })
  }

  #save(): void {
    const { rows, emit } = this.#parts
    const contentBytes = contentTotal(rows)
    emit({ event: 'saved', ...saveRows(rows, NEXT_INDEX_DESCRIPTOR), contentBytes, writtenBytes: this.#writtenBytes })
  }

  async #preview(): Promise<void> {
    await this.#walk(0, { isPreview: true })
    const { rows, init, emit } = this.#parts
    emit({ ...summarize(rows, init.exclusions), ...(init.index && { changed: changedTotals(rows, this.#groups) }) })
  }

  #report(): void {
    const { rows, init, emit } = this.#parts
    const skipped = skippedEntries(rows)
    for (const { path, reason } of this.#leftOut.entries) skipped.add(path, reason)
    emit({
      event: 'report',
      torn: this.#torn.paths,
      skipped: skipped.entries,
      unnamed: this.#torn.unnamed + skipped.unnamed + this.#leftOut.unnamed,
      unmappedIds: this.#unmappedIds,
      unusedExclusions: unusedExclusions(init.exclusions, this.#metExclusions),
      sparse: sparseFiles(rows),
    })
  }
}
