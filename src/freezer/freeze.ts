import { lstatSync } from 'node:fs'
import { sleep, throwIfAborted } from '#base/abort.ts'
import { systemClock, type Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { Freezer, InitProcess } from './freezer.ts'
import { assertAlive, assertFreezable, isFrozen, pause } from './pause.ts'
import { identifyProcess } from './process-identity.ts'
import { RECORD_HOME, recordPath, removeRecord, writeRecord } from './record.ts'
import { thaw } from './thaw.ts'
import { startWatchdog, type Watchdog } from './watchdog-link.ts'
import type { RecordedFreeze } from './watchdog-protocol.ts'

export interface FreezerOptions {
  readonly freezer: Freezer
  readonly init: InitProcess
  /** Its identity is a part of what has to stay the same while frozen (attacks.md B3). */
  readonly upperdir?: string
  /** Where freezes are recorded. Default `/run/tintype`. */
  readonly home?: string
  readonly clock?: Clock
  /** The budget of a freeze: a second after it the watchdog thaws. */
  readonly maxFreezeMs: number
  readonly signal?: AbortSignal
}

/** The freezer of one capture: what it freezes is thawed by the same means, whatever happens to us (attacks.md A9). */
export interface ContainerFreezer extends AsyncDisposable {
  /** Freeze and thaw with nothing between: afterwards no write that began before `beforeNs` is in flight (attacks.md A11). */
  barrier(): Promise<Barrier>
  /**
   * Freeze; a return means that the kernel said FROZEN. A pause that fails is undone and tried again.
   * Throws `container_paused` when someone else froze it, `container_gone`, `container_not_running`, `freeze_failed`,
   * `engine_unavailable`, `cancelled`; then it is thawed.
   */
  freeze(options?: FreezeOptions): Promise<Frozen>
}

export interface FreezeOptions {
  /** When the watchdog thaws, milliseconds from the start. Default: a second past the budget. */
  readonly deadlineMs?: number
}

export interface Barrier {
  /** Wall clock, nanoseconds, before the first write to the freezer: B of the trust rule. */
  readonly beforeNs: bigint
  readonly durationMs: number
}

export interface Frozen {
  /** Wall clock, nanoseconds, before the first write to the freezer. */
  readonly f0Ns: bigint
  /** Wall clock, nanoseconds, when FROZEN had been seen. */
  readonly f1Ns: bigint
  /** Fires when the freeze is void: the watchdog is dead (`freeze_failed`) or has thawed (`freeze_budget_exceeded`). */
  readonly lost: AbortSignal
  /**
   * Returns when the container has stood still since `f1Ns` for all that can be seen: call it after the last read, before
   * the thaw. Throws the reason of `lost`, or `container_gone` when it was thawed, removed or restarted by someone else.
   */
  stillFrozen(): Promise<void>
  /** Thaw; `frozenMs` is from f0 until it is confirmed. Once done, again the same answer. Throws `freeze_failed`. */
  thaw(): Promise<{ readonly frozenMs: number }>
}

interface Current {
  readonly freeze: RecordedFreeze
  readonly lost: AbortController
  /** Before, a pause may still be on its way: only who waits for it can undo it. */
  isFrozen: boolean
  readonly thaw: () => Promise<{ readonly frozenMs: number }>
}

// attacks.md A11: 20 of 32 pauses failed while large writes were in flight; ten in a row are one in a hundred.
const ATTEMPTS = 10
const RETRY_MS = 50
const WATCHDOG_GRACE_MS = 1000
// The time in which a word of the watchdog that is on its way arrives.
const NOTICE_MS = 20
/** Errors which say that nothing of ours is frozen. */
const NOT_OURS: readonly string[] = ['container_paused', 'container_not_running', 'container_gone']

/** A freezer for one capture; its watchdog starts at once, and is waited for by the first freeze. Close it with `await using`. */
export function openFreezer(options: FreezerOptions): ContainerFreezer {
  return new OpenFreezer(options)
}

class OpenFreezer implements ContainerFreezer {
  readonly #options: FreezerOptions
  readonly #clock: Clock
  readonly #identity: string | undefined
  readonly #watchdog: Promise<Watchdog>
  #death: AppError | undefined
  #current: Current | undefined

  constructor(options: FreezerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#identity = this.#upperdirIdentity()
    this.#watchdog = startWatchdog({ onThawed: () => this.#onThawed(), onDeath: (error) => this.#onDeath(error) })
    this.#watchdog.catch((error) => (this.#death = error)) // thrown to the first freeze
  }

  async barrier(): Promise<Barrier> {
    const frozen = await this.freeze()
    const { frozenMs } = await frozen.thaw()
    return { beforeNs: frozen.f0Ns, durationMs: frozenMs }
  }

  async freeze({ deadlineMs = this.#options.maxFreezeMs + WATCHDOG_GRACE_MS }: FreezeOptions = {}): Promise<Frozen> {
    if (this.#current !== undefined) throw new AppError('internal', 'The container is frozen already: thaw it first.')
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#freezeOnce(deadlineMs)
      } catch (error) {
        const mayRetry = error instanceof AppError && error.code === 'freeze_failed' && this.#death === undefined
        if (!mayRetry || attempt === ATTEMPTS) throw error
        await sleep(RETRY_MS * attempt, this.#options.signal)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#current?.thaw()
    } finally {
      const watchdog = await this.#watchdog.catch(() => undefined)
      watchdog?.close()
    }
  }

  async #freezeOnce(deadlineMs: number): Promise<Frozen> {
    const { freezer, init, signal } = this.#options
    const watchdog = await this.#watchdog
    await assertFreezable(freezer, init, signal)
    const current = this.#begin(deadlineMs)
    try {
      writeRecord(current.freeze.path, current.freeze.record)
      await watchdog.arm(current.freeze, deadlineMs)
      throwIfAborted(signal)
      const f0Ns = current.start()
      await pause(freezer, signal)
      const f1Ns = this.#clock.wallNs()
      throwIfAborted(signal)
      throwIfAborted(current.lost.signal)
      current.isFrozen = true
      return {
        f0Ns,
        f1Ns,
        lost: current.lost.signal,
        stillFrozen: () => this.#stillFrozen(current),
        thaw: current.thaw,
      }
    } catch (error) {
      if (error instanceof AppError && NOT_OURS.includes(error.code)) this.#forget(current, watchdog)
      else await current.thaw()
      throw error
    }
  }

  #begin(deadlineMs: number): Current & { readonly start: () => bigint } {
    const { freezer, init, home = RECORD_HOME } = this.#options
    const owner = identifyProcess(process.pid)
    if (owner === undefined) throw new AppError('freeze_failed', 'This process has no /proc/PID/stat: mount /proc.')
    const record = { freezer, init, owner, deadlineMs: this.#clock.wallMs() + deadlineMs, engineBehind: false }
    let startMs = this.#clock.monotonicMs()
    let thawing: Promise<{ readonly frozenMs: number }> | undefined
    const current = {
      freeze: { path: recordPath(home, freezer, owner), record },
      lost: new AbortController(),
      isFrozen: false,
      start: () => {
        startMs = this.#clock.monotonicMs()
        return this.#clock.wallNs()
      },
      thaw: () =>
        (thawing ??= this.#release(current, () => startMs).catch((error) => {
          thawing = undefined
          throw error
        })),
    }
    this.#current = current
    return current
  }

  async #release(current: Current, startMs: () => number): Promise<{ readonly frozenMs: number }> {
    const { path, record } = current.freeze
    const thawed = await thaw(record.freezer)
    const frozenMs = this.#clock.monotonicMs() - startMs()
    const watchdog = await this.#watchdog
    if (thawed === 'thawed') this.#forget(current, watchdog)
    else {
      writeRecord(path, { ...record, engineBehind: true })
      watchdog.repair(current.freeze)
      this.#current = undefined
    }
    return { frozenMs }
  }

  #forget(current: Current, watchdog: Watchdog): void {
    removeRecord(current.freeze.path)
    watchdog.disarm()
    this.#current = undefined
  }

  async #stillFrozen({ lost }: Current): Promise<void> {
    throwIfAborted(lost.signal)
    assertAlive(this.#options.init)
    if (!(await isFrozen(this.#options.freezer))) {
      await sleep(NOTICE_MS)
      throwIfAborted(lost.signal)
      throw new AppError('container_gone', 'Someone else thawed the container while it was saved: try again.')
    }
    if (this.#upperdirIdentity() !== this.#identity)
      throw new AppError('container_gone', 'The container was removed while it was saved: its upperdir is another one.')
  }

  #upperdirIdentity(): string | undefined {
    if (this.#options.upperdir === undefined) return undefined
    const stat = lstatSync(this.#options.upperdir, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? 'none' : `${stat.dev}:${stat.ino}`
  }

  #onThawed(): void {
    const message = 'The container was frozen for longer than its budget, and the watchdog thawed it: try again.'
    this.#current?.lost.abort(new AppError('freeze_budget_exceeded', message))
  }

  #onDeath(error: AppError): void {
    this.#death = error
    this.#current?.lost.abort(error)
    // Nobody would thaw if we died now. What fails here fails again, and is told, in the freeze's own thaw.
    if (this.#current?.isFrozen) this.#current.thaw().catch(() => {})
  }
}
