import { sleep } from '#base/abort.ts'
import { toAppError } from '#base/errors.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import { changeInstance, writeChange } from './change.ts'
import { TIMES, type InstanceParts, type InstanceTimes } from './parts.ts'
import { endOf } from './reasons.ts'
import { parseHandle } from './runtime-spec.ts'
import { startChange } from './power.ts'
import { backToRunning } from './saving.ts'
import { ended } from './steps.ts'

/** Instances that are looked at together. */
const AT_ONCE = 8

/** And would be started as it is: one that is to be made anew keeps what it holds until its owner starts it. */
const isDown = (record: InstanceRecord | undefined) =>
  record?.wanted === '' &&
  (record.status === 'Stopped' || record.status === 'Failed') &&
  record.madeGeneration === record.generation

/**
 * Sees what happens to containers that nobody asked for: one that ends by itself makes its instance Stopped or Failed.
 * Every server watches; the version of the row decides whose sight is written.
 */
export class InstanceWatcher implements AsyncDisposable {
  readonly #parts: InstanceParts
  readonly #times: InstanceTimes
  readonly #stop = new AbortController()
  #loops: Promise<unknown> = Promise.resolve()

  constructor(parts: InstanceParts) {
    this.#parts = parts
    this.#times = { ...TIMES, ...parts.times }
  }

  start(): void {
    this.#loops = Promise.all([this.#watch(), this.#sweepOften()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#loops
  }

  /** Compare all running instances with what the engine says, and all running containers with what the store says. */
  async sweep(): Promise<void> {
    const { store, clock } = this.#parts
    const records = await store.instances.inStatus(['Running', 'Saving'])
    for (let at = 0; at < records.length && !this.#stop.signal.aborted; at += AT_ONCE)
      await Promise.all(records.slice(at, at + AT_ONCE).map((record) => this.#check(record)))
    const overdueMs = clock.wallMs() - this.#times.savingMs
    for (const record of records)
      if (record.status === 'Saving' && record.modifiedMs < overdueMs) await this.#endLostSaving(record.instanceId)
    await this.#takeUpAll(new Set(records.map(({ instanceId }) => instanceId)))
  }

  /** What was started while no event came. An engine that does not say so keeps nothing else from being seen. */
  async #takeUpAll(known: ReadonlySet<string>): Promise<void> {
    const { runtime, log } = this.#parts
    const { signal } = this.#stop
    try {
      for (const { instanceId, containerId } of await runtime.running(signal))
        if (!known.has(instanceId)) await this.#takeUp(instanceId, containerId)
    } catch (error) {
      if (!signal.aborted) log('Containers that run could not be listed.', { error: toAppError(error).message })
    }
  }

  async #watch(): Promise<void> {
    const { runtime, store, log } = this.#parts
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        for await (const event of runtime.watch(signal)) {
          if (event.type === 'connected') await this.sweep()
          else if (event.type === 'exited' || event.type === 'removed') {
            const record = await store.instances.find(event.instanceId)
            if (record) await this.#check(record)
          } else if (event.type === 'started') await this.#takeUp(event.instanceId, event.containerId)
        }
      } catch (error) {
        if (!signal.aborted) log('Containers cannot be watched.', { error: toAppError(error).message })
      }
      await sleep(this.#times.pollMs, signal).catch(() => undefined)
    }
  }

  async #sweepOften(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await sleep(this.#times.sweepMs, signal).catch(() => undefined)
      if (signal.aborted) return
      try {
        await this.sweep()
      } catch (error) {
        this.#parts.log('Running instances could not be looked at.', { error: toAppError(error).message })
      }
    }
  }

  /** While something is wanted a worker sees to it; while it is saved the snapshot does. */
  async #check(record: InstanceRecord): Promise<void> {
    const { runtime, log } = this.#parts
    const handle = parseHandle(record)
    if (record.status !== 'Running' || record.wanted !== '' || !handle) return
    try {
      const end = endOf(await runtime.inspect(handle, this.#stop.signal))
      if (end) await writeChange(this.#parts, record, ended(end))
    } catch (error) {
      // An engine that is away says nothing about its containers.
      const { instanceId } = record
      if (!this.#stop.signal.aborted)
        log('An instance could not be looked at.', { instanceId, error: toAppError(error).message })
    }
  }

  /** A container that was started beside us (`docker start`) is one that runs: with its timer, and for whoever asks. */
  async #takeUp(instanceId: string, containerId: string): Promise<void> {
    const { runtime, store } = this.#parts
    const record = await store.instances.find(instanceId)
    const handle = record && parseHandle(record)
    if (!record || !isDown(record) || handle?.containerId !== containerId) return
    const state = await runtime.inspect(handle, this.#stop.signal)
    // One that has run since before is not somebody else's: a start of ours has failed, and would again.
    const isNew = state?.startedMs === undefined || state.startedMs > record.modifiedMs
    if (state?.status !== 'running' || !isNew) return
    const event = { level: 'Warning', text: 'Its container was started by somebody else.' } as const
    await changeInstance(this.#parts, instanceId, (now) => (isDown(now) ? { ...startChange(now), event } : undefined))
  }

  /** A server died between the instance's row and the snapshot's. */
  async #endLostSaving(instanceId: string): Promise<void> {
    const { store } = this.#parts
    if (await store.snapshots.unfinishedOf(instanceId)) return
    if (await store.instances.find(instanceId)) await changeInstance(this.#parts, instanceId, backToRunning)
  }
}
