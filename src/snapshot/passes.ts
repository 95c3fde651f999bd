import { ClockWatch } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { ContainerFreezer, Frozen } from '#freezer/freeze.ts'
import { keepChanges } from './keep-changes.ts'
import type { NamedChanges } from './named-changes.ts'
import type { PassesParts, PassesResult } from './passes-parts.ts'
import { SMALL_TAIL_BYTES, tailBytes } from './tail-bytes.ts'
import type { LayersCommand, PassedEvent } from './protocol.ts'

/** Live passes before the freeze, at the most (design.md §4.5). */
const LIVE_PASSES = 3
/** A pass this short leaves little behind it: the freeze can follow at once. */
const SHORT_PASS_MS = 1000
const FREEZES = 3
/** Opening a file and reading its attributes takes as long as copying so much. */
const FILE_COST_BYTES = 16 << 10
const SYNC_LIMIT_MS = 3000
/** A delta is not to wait for what other containers have written: what is read without a sync is only not trusted. */
const DELTA_SYNC_LIMIT_MS = 1000

/**
 * Read the container so that the layers together are its state at one moment: live passes while it works, each taking what
 * changed during the one before; then a freeze, in which only what still differs is copied (design.md §4.5).
 * Throws `freeze_budget_exceeded`, `container_gone`, and what the freezer and the reader throw; the container is thawed.
 */
export async function runPasses(parts: PassesParts): Promise<PassesResult> {
  const passes = new Passes(parts)
  if (parts.isUnfrozen) return passes.unfrozen()
  if (!parts.freezer) return passes.stopped()
  if (parts.singlePass) return passes.inOneFreeze(parts.freezer)
  return parts.isDelta ? passes.changesInOneFreeze(parts.freezer) : passes.liveThenFrozen(parts.freezer)
}

interface LivePassOptions {
  /** Compare each file's stat after its reading with what the walk saw. */
  readonly checksAfterRead?: boolean
  /** Since when nothing may have changed. */
  readonly frozenMicros?: number
}

class Passes {
  readonly #parts: PassesParts
  readonly #clock: ClockWatch
  #count = 0
  #barrierMs = 0
  #attempt = 0
  #reservedBytes = 0
  /** The last freeze found more than it could keep, and could have kept more in a larger spool. */
  #lacksRoom = false
  /** B, microseconds: before the last barrier or freeze. */
  #barrierMicros = 0
  /** S, microseconds: before the last writeback of the whole file system; 0 when there was none that ended in time. */
  #syncMicros = 0
  #changes: NamedChanges | undefined
  #freezeMethod: PassesResult['freezeMethod'] = 'none'

  constructor(parts: PassesParts) {
    this.#parts = parts
    this.#clock = new ClockWatch(parts.clock)
  }

  /** A running container that is not to be frozen: what was torn may hold still the next time. */
  async unfrozen(): Promise<PassesResult> {
    this.#startAlongside()
    let passed = await this.#unfrozenPass()
    while (passed.torn > 0 && this.#count < LIVE_PASSES) passed = await this.#unfrozenPass()
    return this.#takenUnfrozen()
  }

  /** There is no barrier, and no index comes of it: what the pass itself has not seen torn is not read again. */
  #unfrozenPass(): Promise<PassedEvent> {
    this.#barrierMicros = micros(this.#parts.clock.wallNs())
    return this.#livePass({ checksAfterRead: true })
  }

  /** A stopped container stands still, unless somebody copies into it (`docker cp`) or starts it meanwhile. */
  async stopped(): Promise<PassesResult> {
    const { clock, assertStopped } = this.#parts
    this.#startAlongside()
    while (this.#count < LIVE_PASSES) {
      const startMicros = micros(clock.wallNs())
      this.#barrierMicros = startMicros // nothing runs, so nothing is in flight
      const { torn, isOneState } = await this.#livePass({ checksAfterRead: true, frozenMicros: startMicros })
      await assertStopped()
      if (isOneState && torn === 0) return this.#takenUnfrozen()
    }
    throw new AppError(
      'container_gone',
      'The stopped container was changed again and again while it was saved: try again.',
    )
  }

  #takenUnfrozen(): PassesResult {
    this.#parts.onTaken?.()
    return this.#result(0, this.#parts.clock.wallMs())
  }

  async inOneFreeze(freezer: ContainerFreezer): Promise<PassesResult> {
    this.#freezeMethod = 'walk'
    await this.#parts.alongside()
    await this.#sync(SYNC_LIMIT_MS)
    this.#parts.onPass(++this.#count, 'frozen')
    const frozen = await freezer.freeze()
    this.#barrierMicros = micros(frozen.f0Ns)
    try {
      const passed = await this.#takeLayers({
        command: 'pass',
        readMicros: this.#keptMicros(),
        syncsEachFile: false,
        checksAfterRead: true,
        frozenMicros: micros(frozen.f1Ns),
        trustsNothing: this.#clock.wasSetBack(),
      })
      if (!passed.isOneState || passed.torn > 0) throw moved()
      await frozen.stillFrozen()
    } finally {
      await frozen.thaw()
    }
    const { frozenMs } = await frozen.thaw()
    this.#parts.onTaken?.()
    return this.#result(frozenMs, Number(frozen.f0Ns / 1_000_000n))
  }

  async liveThenFrozen(freezer: ContainerFreezer): Promise<PassesResult> {
    this.#changes ??= await this.#parts.watch()
    await this.#barrier(freezer)
    this.#startAlongside()
    await this.#untilSmall(freezer)
    await this.#whenReady(freezer)
    return this.#untilTaken(freezer)
  }

  /** A look makes the walk of the freeze quick, and says whether the freeze can take all that has changed. */
  async changesInOneFreeze(freezer: ContainerFreezer): Promise<PassesResult> {
    this.#startAlongside()
    this.#changes = await this.#parts.watch()
    // A sync counts for what is read after it, in the freeze; the look says only what that will be.
    const [isLittle] = await Promise.all([this.#isLittleLeft(), this.#sync(DELTA_SYNC_LIMIT_MS)])
    if (!isLittle) return this.liveThenFrozen(freezer)
    await this.#whenReady(freezer)
    return this.#untilTaken(freezer)
  }

  async #untilTaken(freezer: ContainerFreezer): Promise<PassesResult> {
    while (this.#attempt < FREEZES) {
      const taken = await this.#frozenPass(freezer)
      if (taken) return taken
      if (++this.#attempt < FREEZES) await this.#livePass() // the freeze before was its barrier
    }
    if (this.#lacksRoom) this.#parts.reserveTail(this.#tailBytes(FREEZES - 1)) // says so
    throw new AppError(
      'freeze_budget_exceeded',
      `The container changes too fast to be saved within a freeze of ${this.#parts.maxFreezeMs} ms: raise --max-freeze-ms, exclude what it writes, or use --single-pass.`,
      { details: { maxFreezeMs: this.#parts.maxFreezeMs } },
    )
  }

  /** Live passes until the next would take little, or no longer less than the one before took. */
  async #untilSmall(freezer: ContainerFreezer): Promise<void> {
    const { clock } = this.#parts
    let before = Infinity
    for (let pass = 1; pass <= LIVE_PASSES; pass++) {
      const startMs = clock.monotonicMs()
      if (pass > 1) await this.#barrier(freezer)
      const { bytes } = await this.#livePass()
      const isShort = clock.monotonicMs() - startMs < SHORT_PASS_MS
      if (isShort || (pass > 1 && (bytes < SMALL_TAIL_BYTES || bytes >= before))) return
      if (pass < LIVE_PASSES && (await this.#isLittleLeft())) return
      before = bytes
    }
  }

  /** Whether the freeze can take the rest. Uploads go on meanwhile: a look needs no barrier, for nothing it sees is trusted. */
  async #isLittleLeft(): Promise<boolean> {
    const { files, bytes } = await this.#parts.reader.run({ command: 'look' }, 'looked')
    return bytes + files * FILE_COST_BYTES < SMALL_TAIL_BYTES
  }

  /** Wait for what must have ended before the freeze; when that took long, take what has changed meanwhile. Then rehearse. */
  async #whenReady(freezer: ContainerFreezer): Promise<void> {
    const { clock, alongside, quietUploads } = this.#parts
    const startMs = clock.monotonicMs()
    await alongside()
    if (clock.monotonicMs() - startMs >= SHORT_PASS_MS) {
      await this.#barrier(freezer)
      await this.#livePass()
    }
    await quietUploads()
    await this.#rehearse()
  }

  /** Do once what the frozen pass will do: its code is compiled by then, and what has been named so far is out of its way. */
  async #rehearse(): Promise<void> {
    const { reader } = this.#parts
    const parts = this.#changes?.takeInParts()
    if (!parts) await reader.run({ command: 'rehearse' }, 'rehearsed')
    const trustsNothing = this.#clock.wasSetBack()
    for (const named of parts ?? []) await reader.run({ command: 'look', named, trustsNothing }, 'looked')
  }

  /** Its failure is seen by whoever waits for it before the freeze. */
  #startAlongside(): void {
    this.#parts.alongside().catch(() => {})
  }

  async #barrier(freezer: ContainerFreezer): Promise<void> {
    const { quietUploads, resumeUploads } = this.#parts
    await quietUploads()
    const { beforeNs, durationMs } = await freezer.barrier().finally(resumeUploads)
    this.#barrierMs = Math.max(this.#barrierMs, durationMs)
    this.#barrierMicros = micros(beforeNs)
  }

  async #livePass({ checksAfterRead = false, frozenMicros }: LivePassOptions = {}): Promise<PassedEvent> {
    const { freezer, onPass } = this.#parts
    onPass(++this.#count, 'reading')
    // Later passes read little, and by then most of what is dirty on the disk is our own spool: file by file is quicker.
    const isSynced = this.#count === 1 && (await this.#sync(SYNC_LIMIT_MS))
    // A file that is synced alone is so before it is read, which is after the barrier: then B alone counts.
    const readMicros = isSynced ? Math.min(this.#syncMicros, this.#barrierMicros) : this.#barrierMicros
    const trustsNothing = this.#clock.wasSetBack()
    const command = { command: 'pass', readMicros, syncsEachFile: !isSynced, checksAfterRead, trustsNothing } as const
    const stillSince = frozenMicros === undefined ? {} : { frozenMicros }
    return this.#takeLayers({ ...command, ...stillSince }, freezer && this.#tailBytes())
  }

  /** All at once where the spool has room for it, else one layer after the other: each is gone from it before the next (attacks.md B8). */
  async #takeLayers(command: LayersCommand, forTail = 0): Promise<PassedEvent> {
    const { reader, roomBytes, makeRoom, onEvent } = this.#parts
    let passed = await reader.run({ ...command, roomBytes: await roomBytes(forTail) }, 'passed', onEvent)
    while (passed.isPaused) {
      await makeRoom()
      passed = await reader.run({ command: 'resume', roomBytes: await roomBytes(forTail) }, 'passed', onEvent)
    }
    return passed
  }

  /** What the next freeze may copy. */
  #tailBytes(attempt = this.#attempt): number {
    return tailBytes(attempt, this.#parts.maxFreezeMs)
  }

  async #sync(limitMs: number): Promise<boolean> {
    const startMicros = micros(this.#parts.clock.wallNs())
    const isSynced = await this.#parts.sync(limitMs)
    this.#syncMicros = isSynced ? startMicros : 0
    return isSynced
  }

  /** One try: undefined when the change was too large, took too long, or was not one state. */
  async #frozenPass(freezer: ContainerFreezer): Promise<PassesResult | undefined> {
    const { quietUploads, resumeUploads, onPass } = this.#parts
    onPass(++this.#count, 'frozen')
    const budgetBytes = await this.#reserve()
    await quietUploads()
    let taken: { readonly frozenMs: number } | undefined
    try {
      const frozen = await freezer.freeze()
      this.#barrierMicros = micros(frozen.f0Ns)
      taken = await this.#keep(frozen, budgetBytes)
      if (!taken) return undefined
      this.#parts.onTaken?.()
      resumeUploads()
      await this.#takeLayers({ command: 'pack', readMicros: this.#keptMicros() })
      return this.#result(taken.frozenMs, Number(frozen.f0Ns / 1_000_000n))
    } finally {
      resumeUploads()
    }
  }

  /** Reserve what the freeze may copy; where the spool has no room for more, it is what the try before had. Throws `spool_full`. */
  async #reserve(): Promise<number> {
    const bytes = this.#tailBytes()
    if (this.#reservedBytes > 0 && (await this.#parts.roomBytes(bytes)) < 0) return this.#reservedBytes
    this.#parts.reserveTail(bytes)
    return (this.#reservedBytes = bytes)
  }

  async #keep(frozen: Frozen, budgetBytes: number): Promise<{ readonly frozenMs: number } | undefined> {
    const kept = await keepChanges(this.#parts, frozen, {
      changes: this.#changes,
      readMicros: this.#keptMicros(),
      trustsNothing: this.#clock.wasSetBack(),
      budgetBytes,
    })
    this.#freezeMethod = kept.method
    this.#lacksRoom = kept.isOverBudget && budgetBytes < this.#tailBytes()
    return kept.taken
  }

  /** min(S, B) of what the freeze reads: what was last written before the last sync has no silent store behind it. */
  #keptMicros(): number {
    return Math.min(this.#syncMicros, this.#barrierMicros)
  }

  #result(frozenMs: number, takenAtMs: number): PassesResult {
    const freezeMethod = this.#freezeMethod
    return { passes: this.#count, frozenMs, barrierMs: this.#barrierMs, freezeMethod, takenAtMs }
  }
}

function micros(ns: bigint): number {
  return Number(ns / 1000n)
}

function moved(): AppError {
  return new AppError('container_gone', 'The container was removed or changed while it was frozen: try again.')
}
