import { sleep } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { InstanceRecord, Wanted } from '#store/instance-record.ts'
import type { InstanceParts, InstanceTimes } from './parts.ts'

/**
 * One server's hold on one instance: it renews the lease once a beat, and looks whether something else is wanted. The
 * signal of the present step fires when the hold is lost (attacks.md B7), the wish has changed, or the server ends.
 */
export class Hold implements AsyncDisposable {
  readonly #parts: Pick<InstanceParts, 'store' | 'clock'>
  readonly #times: InstanceTimes
  readonly #instanceId: string
  readonly #fence: number
  readonly #over = new AbortController()
  readonly #beating: Promise<void>
  #step = new AbortController()
  #wanted: Wanted
  #isLost = false
  #aliveMs: number
  #knock = Promise.withResolvers<void>()

  constructor(parts: Pick<InstanceParts, 'store' | 'clock'>, times: InstanceTimes, record: InstanceRecord) {
    this.#parts = parts
    this.#times = times
    this.#instanceId = record.instanceId
    this.#fence = record.fence
    this.#wanted = record.wanted
    this.#aliveMs = parts.clock.monotonicMs()
    this.#beating = this.#beat()
  }

  /** Another server has the instance: nothing may be done any more. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** A step towards `wanted` begins. Its signal. */
  begin(wanted: Wanted): AbortSignal {
    this.#wanted = wanted
    this.#step = new AbortController()
    if (this.#isLost || this.#over.signal.aborted) this.#step.abort(given('The step is given up.'))
    return this.#step.signal
  }

  /** Look now, whether something else is wanted. */
  look(): void {
    this.#knock.resolve()
  }

  end(): void {
    this.#over.abort()
    this.#step.abort(given('The server ends.'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    await this.#beating
  }

  async #beat(): Promise<void> {
    const { store, clock } = this.#parts
    while (!this.#over.signal.aborted) {
      const pause = sleep(this.#times.beatMs, this.#over.signal).catch(() => undefined)
      await Promise.race([pause, this.#knock.promise])
      this.#knock = Promise.withResolvers()
      if (this.#over.signal.aborted) return
      try {
        const expiresMs = clock.wallMs() + this.#times.leaseMs
        if (!(await store.instances.renew(this.#instanceId, this.#fence, expiresMs))) return this.#lose()
        this.#aliveMs = clock.monotonicMs()
        const record = await store.instances.find(this.#instanceId)
        if (record !== undefined && record.wanted !== this.#wanted && record.wanted !== '')
          this.#step.abort(given('Something else is wanted of the instance now.'))
      } catch {
        // A store that is away for a moment is waited for, as long as nobody else can have taken the instance.
        if (clock.monotonicMs() - this.#aliveMs > this.#times.leaseMs) return this.#lose()
      }
    }
  }

  #lose(): void {
    this.#isLost = true
    this.#step.abort(given('Another server has taken the instance over.'))
  }
}

const given = (message: string) => new AppError('cancelled', message)
