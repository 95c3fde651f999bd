import { sleep } from '#base/abort.ts'
import { AppError, toAppError } from '#base/errors.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import { writeChange, type Change } from './change.ts'
import { Hold } from './hold.ts'
import { TIMES, type InstanceParts, type InstanceTimes } from './parts.ts'
import { reasonOf } from './reasons.ts'
import { takeStep } from './steps.ts'

/** Instances that one server works on at a time: pulls and starts wait for the engine, not for us. */
const AT_ONCE = 8
/** Pulls take as long as they like, and nobody's stop or deletion waits for them. */
const ENDS_BESIDE = 8
/** Tries of a start before the instance counts as failed; a stop and a deletion are tried until they succeed. */
const START_ATTEMPTS = 5

/**
 * Brings instances to the state that is wanted of them, behind the answers of the API. Any server takes any instance, by
 * a lease; one that dies loses it, and the next goes on from what the row and the runtime say.
 */
export class InstanceWorker implements AsyncDisposable {
  readonly #parts: InstanceParts
  readonly #times: InstanceTimes
  readonly #stop = new AbortController()
  readonly #holds = new Map<string, Hold>()
  readonly #work = new Set<Promise<void>>()
  #looking: Promise<void> = Promise.resolve()
  #knock = Promise.withResolvers<void>()

  constructor(parts: InstanceParts) {
    this.#parts = parts
    this.#times = { ...TIMES, ...parts.times }
  }

  start(): void {
    this.#looking = this.#look()
  }

  /** Something new is wanted of this instance: look now instead of at the next poll. */
  wake(instanceId: string): void {
    this.#holds.get(instanceId)?.look()
    this.#knock.resolve()
  }

  /** Every step in progress is given up, for another server to go on with. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#knock.resolve()
    for (const hold of this.#holds.values()) hold.end()
    await this.#looking
    await Promise.all(this.#work)
  }

  async #look(): Promise<void> {
    const { log } = this.#parts
    while (!this.#stop.signal.aborted) {
      this.#knock = Promise.withResolvers()
      try {
        await this.#claimAll()
      } catch (error) {
        log('The instances that wait for work could not be read.', { error: toAppError(error).message })
      }
      const pause = sleep(this.#times.pollMs, this.#stop.signal).catch(() => undefined)
      await Promise.race([pause, this.#knock.promise])
    }
  }

  async #claimAll(): Promise<void> {
    const { store, clock, owner } = this.#parts
    const free = AT_ONCE - this.#holds.size
    const onlyEnds = free <= 0
    const limit = onlyEnds ? free + ENDS_BESIDE : free
    if (limit <= 0) return
    const nowMs = clock.wallMs()
    for (const { instanceId, fence } of await store.instances.claimable(nowMs, { limit, onlyEnds })) {
      const lease = { owner, nowMs, expiresMs: nowMs + this.#times.leaseMs }
      const record = await store.instances.claim(instanceId, fence, lease)
      if (!record || this.#stop.signal.aborted) continue
      const work = this.#bring(record).finally(() => {
        this.#work.delete(work)
        this.#knock.resolve()
      })
      this.#work.add(work)
    }
  }

  /** All steps of one instance, until nothing is wanted any more, or the lease is lost. */
  async #bring(claimed: InstanceRecord): Promise<void> {
    const { instanceId, fence } = claimed
    const hold = new Hold(this.#parts, this.#times, claimed)
    this.#holds.set(instanceId, hold)
    let record: InstanceRecord | undefined = claimed
    try {
      while (record !== undefined && isWork(record) && !this.#stop.signal.aborted)
        record = await this.#step(record, hold)
    } catch (error) {
      this.#parts.log('An instance could not be worked on.', { instanceId, error: toAppError(error).message })
    } finally {
      this.#holds.delete(instanceId)
      await hold[Symbol.asyncDispose]()
      await this.#parts.store.instances.renew(instanceId, fence, 0).catch(() => false)
    }
  }

  /** How it is afterwards. Undefined: there is no more to do, now or by us. */
  async #step(record: InstanceRecord, hold: Hold): Promise<InstanceRecord | undefined> {
    const { instanceId, fence } = record
    const signal = hold.begin(record.wanted)
    try {
      const stepped = await takeStep(this.#parts, record, { fence, signal })
      if (stepped === 'gone') return undefined
      return stepped === 'lost' ? await this.#again(instanceId, fence) : stepped
    } catch (error) {
      if (this.#stop.signal.aborted || hold.isLost) return undefined
      if (signal.aborted) return this.#again(instanceId, fence)
      const change = failed(record, error, { nowMs: this.#parts.clock.wallMs(), times: this.#times })
      const cause = error instanceof Error ? String(error.cause ?? '') : ''
      this.#parts.log('A step of an instance failed.', {
        instanceId,
        wanted: record.wanted,
        error: toAppError(error).message,
        cause,
      })
      const written = await writeChange(this.#parts, record, change, fence)
      return written ? undefined : this.#again(instanceId, fence)
    }
  }

  async #again(instanceId: string, fence: number): Promise<InstanceRecord | undefined> {
    const record = await this.#parts.store.instances.find(instanceId)
    return record?.fence === fence ? record : undefined
  }
}

const isWork = ({ wanted, status }: InstanceRecord) => wanted !== '' && status !== 'Saving'

/** What is written when a step fails: a later try, or the end of all tries. */
function failed(
  { wanted, attempts }: InstanceRecord,
  error: unknown,
  { nowMs, times }: { readonly nowMs: number; readonly times: InstanceTimes },
): Change {
  const known = toAppError(error)
  const reason = reasonOf(error)
  const isLast = wanted === 'run' && (!mayPass(known) || attempts + 1 >= START_ATTEMPTS)
  if (isLast)
    return {
      patch: { status: 'Failed', wanted: '', attempts: 0, retryMs: 0, ...reason },
      event: { level: 'Error', text: `The instance could not be started: ${reason.reasonMessage}` },
    }
  const waitMs = Math.min(times.maxRetryMs, times.retryMs * 2 ** Math.min(attempts, 20))
  const text = `It is tried again in ${Math.ceil(waitMs / 1000)} s: ${reason.reasonMessage}`
  return {
    patch: { attempts: attempts + 1, retryMs: nowMs + waitMs, ...reason },
    // One line for a row of equal failures.
    ...(attempts === 0 && { event: { level: 'Warning', text } }),
  }
}

const mayPass = (error: AppError) => error.retry || error.kind === 'cancelled'
