import { sleep } from '#base/abort.ts'
import { toAppError } from '#base/errors.ts'
import type { RuntimeStats } from '#runtime/runtime.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import type { HeldLease } from '#store/leases.ts'
import type { CullerRow, MetricsRow } from '#store/schema-instances.ts'
import { idleFrom } from './details.ts'
import { TIMES, type InstanceParts, type InstanceTimes } from './parts.ts'
import { stopBecause, type Wakeable } from './power.ts'
import { parseHandle } from './runtime-spec.ts'

type CaretakerParts = InstanceParts & { readonly worker: Wakeable }

const LEASE = 'instance-caretaker'
const AT_ONCE = 8
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const KEEP_READINGS_MS = 7 * DAY_MS
const KEEP_EVENTS_MS = 30 * DAY_MS
const PRUNE_MS = 3_600_000

/**
 * What one server of all does for the running instances: takes readings, stops those that are idle or whose time has
 * come, and throws away what is older than it is kept.
 */
export class InstanceCaretaker implements AsyncDisposable {
  readonly #parts: CaretakerParts
  readonly #times: InstanceTimes
  readonly #stop = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  #lease: HeldLease | undefined
  #readMs = 0
  /** Nobody has measured for a while, as far as this server knows. */
  #isNew = true
  #prunedMs = 0

  constructor(parts: CaretakerParts) {
    this.#parts = parts
    this.#times = { ...TIMES, ...parts.times }
  }

  start(): void {
    this.#loop = this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#loop
    if (this.#lease) await this.#parts.store.leases.release(this.#lease).catch(() => undefined)
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        if (await this.#isOurs()) await this.#look()
      } catch (error) {
        if (!signal.aborted)
          this.#parts.log('Instances could not be looked after.', { error: toAppError(error).message })
      }
      await sleep(this.#times.timerMs, signal).catch(() => undefined)
    }
  }

  async #isOurs(): Promise<boolean> {
    const { store, clock, owner } = this.#parts
    const expiresMs = clock.wallMs() + this.#times.leaseMs + this.#times.timerMs
    if (this.#lease && (await store.leases.renew(this.#lease, expiresMs))) return true
    this.#isNew = true
    this.#lease = await store.leases.acquire({ name: LEASE, owner, nowMs: clock.wallMs(), expiresMs })
    return this.#lease !== undefined
  }

  async #look(): Promise<void> {
    const nowMs = this.#parts.clock.wallMs()
    await this.#stopDue(nowMs)
    if (nowMs - this.#readMs >= this.#times.readingMs) {
      this.#readMs = nowMs
      await this.#read()
      this.#isNew = false
    }
    if (nowMs - this.#prunedMs >= PRUNE_MS) {
      this.#prunedMs = nowMs
      await this.#prune(nowMs)
    }
  }

  async #stopDue(nowMs: number): Promise<void> {
    const { store } = this.#parts
    for (const { instanceId, dueMs } of await store.timers.due(nowMs)) {
      const reason = { reasonCode: 'ShutdownTimer', reasonMessage: 'Its shutdown timer was due.' }
      const text = 'The shutdown timer is due: the instance is being stopped.'
      if (await this.#tryStop(instanceId, { reason, text })) await store.timers.remove(instanceId, dueMs)
    }
  }

  /** False: not now, but later: it is being saved. */
  async #tryStop(instanceId: string, cause: Parameters<typeof stopBecause>[2]): Promise<boolean> {
    try {
      await stopBecause(this.#parts, instanceId, cause)
      return true
    } catch (error) {
      const { code, details } = toAppError(error)
      if (code === 'instance_not_found') return true
      if (code !== 'instance_state_invalid') throw error
      return details['status'] !== 'Saving'
    }
  }

  async #read(): Promise<void> {
    const { store } = this.#parts
    const records = await store.instances.inStatus(['Running'])
    const cullers = new Map(
      (await store.cullers.of(records.map((each) => each.instanceId))).map((row) => [row.instanceId, row]),
    )
    for (let at = 0; at < records.length && !this.#stop.signal.aborted; at += AT_ONCE) {
      // What is measured here and not read by another server at the same time: engines may take long to answer.
      if (!(await this.#isOurs())) return
      const some = records.slice(at, at + AT_ONCE)
      const stats = await Promise.all(some.map((record) => this.#statsOf(record)))
      await store.metrics.add(some.flatMap(({ instanceId }, index) => readingOf(instanceId, stats[index])))
      for (const [index, record] of some.entries())
        await this.#cull(record, cullers.get(record.instanceId), stats[index])
    }
  }

  async #statsOf(record: InstanceRecord): Promise<RuntimeStats | undefined> {
    const handle = parseHandle(record)
    if (!handle) return undefined
    try {
      return await this.#parts.runtime.stats(
        handle,
        AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#times.statsMs)]),
      )
    } catch (error) {
      const { instanceId } = record
      if (!this.#stop.signal.aborted)
        this.#parts.log('An instance could not be measured.', { instanceId, error: toAppError(error).message })
      return undefined
    }
  }

  /** What could not be measured is neither idle nor busy. */
  async #cull(record: InstanceRecord, culler: CullerRow | undefined, stats: RuntimeStats | undefined): Promise<void> {
    // One that has got GPUs since: how busy those are nobody knows.
    if (!culler || !stats || record.gpuCount > 0) return
    const { instanceId, cpuPct, maxIdleMinutes, idleSinceMs } = culler
    const sinceMs = this.#isNew ? null : idleFrom(culler, record)
    const { store, clock } = this.#parts
    const nowMs = clock.wallMs()
    if (stats.cpuPercent >= cpuPct) {
      if (idleSinceMs !== null) await store.cullers.setIdleSince(instanceId, null)
      return
    }
    if (sinceMs === null) return store.cullers.setIdleSince(instanceId, nowMs)
    if (nowMs - sinceMs < maxIdleMinutes * MINUTE_MS) return
    const reasonMessage = `It used less than ${cpuPct} % of its CPU for ${maxIdleMinutes} minutes.`
    const cause = {
      reason: { reasonCode: 'Idle', reasonMessage },
      text: `The instance is idle and is being stopped: ${reasonMessage}`,
    }
    if (await this.#tryStop(instanceId, cause)) await store.cullers.setIdleSince(instanceId, null)
  }

  async #prune(nowMs: number): Promise<void> {
    const { store } = this.#parts
    await store.metrics.prune(nowMs - KEEP_READINGS_MS)
    await store.instanceEvents.prune(nowMs - KEEP_EVENTS_MS)
    await store.sanityChecks.prune(nowMs - KEEP_EVENTS_MS)
    await store.tempFiles.removeExpired(nowMs)
    await store.tempFileTasks.removeExpired(nowMs)
  }
}

function readingOf(instanceId: string, stats: RuntimeStats | undefined): readonly MetricsRow[] {
  if (!stats) return []
  const reading: MetricsRow = {
    instanceId,
    timeMs: stats.timeMs,
    cpuPct: stats.cpuPercent,
    memoryPct: stats.memoryPercent,
    gpuPct: null,
    gpuMemoryPct: null,
    netIn: stats.netInBytesPerSecond,
    netOut: stats.netOutBytesPerSecond,
    diskRead: stats.diskReadBytesPerSecond,
    diskWrite: stats.diskWriteBytesPerSecond,
  }
  return [reading]
}
