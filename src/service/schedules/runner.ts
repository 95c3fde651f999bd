import { sleep } from '#base/abort.ts'
import { AppError, toAppError } from '#base/errors.ts'
import type { HeldLease } from '#store/leases.ts'
import type { ScheduleRecord } from '#store/schedules.ts'
import { nextTime } from './cron.ts'
import type { ScheduleTimes, SchedulesParts } from './parts.ts'
import { retainAll } from './retention.ts'
import { freshName } from '#service/snapshots/fresh-name.ts'

export interface RunnerParts extends SchedulesParts {
  readonly times: ScheduleTimes
}

const LEASE = 'schedules'
const AT_ONCE = 100

/**
 * Runs what is due. Of all servers one does it at a time (by a lease), and each due time is taken once whoever does it
 * (by a change that only one can make). What was missed while no server ran is run once, not once for each time.
 */
export class ScheduleRunner implements AsyncDisposable {
  readonly #parts: RunnerParts
  readonly #stopping = new AbortController()
  #lease: HeldLease | undefined
  #looping: Promise<void> | undefined
  #retainedMs = 0

  constructor(parts: RunnerParts) {
    this.#parts = parts
  }

  start(): void {
    this.#looping ??= this.#loop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#looping
    if (this.#lease) await this.#parts.store.leases.release(this.#lease).catch(() => {}) // it runs out by itself
  }

  async #loop(): Promise<void> {
    const { times, log } = this.#parts
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        if (await this.#isMine()) await this.#tick(signal)
      } catch (error) {
        log('The schedules could not be looked at; it is tried again.', { message: toAppError(error).message })
      }
      await sleep(times.tickMs, signal).catch(() => {}) // the loop ends by its condition
    }
  }

  async #isMine(): Promise<boolean> {
    const { store, clock, owner, times } = this.#parts
    const expiresMs = clock.wallMs() + times.leaseMs
    if (this.#lease && (await store.leases.renew(this.#lease, expiresMs))) return true
    this.#lease = await store.leases.acquire({ name: LEASE, owner, nowMs: clock.wallMs(), expiresMs })
    return this.#lease !== undefined
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { store, clock, times } = this.#parts
    for (const schedule of await store.schedules.due(clock.wallMs(), AT_ONCE)) {
      if (signal.aborted) return
      await runSchedule(schedule, this.#parts)
    }
    if (clock.wallMs() - this.#retainedMs < times.retainMs) return
    this.#retainedMs = clock.wallMs()
    await retainAll(this.#parts, signal)
  }
}

/** Begin the snapshot of a schedule that is due, or say why not; in both cases the next time is the next time. */
async function runSchedule(schedule: ScheduleRecord, parts: RunnerParts): Promise<void> {
  const { store, clock, log } = parts
  const { scheduleId, instanceId, repository } = schedule
  const nextMs = nextTime(schedule.cron, schedule.timeZone, clock.wallMs())
  if (!(await store.schedules.advance(schedule, nextMs))) return
  const instance = await parts.findInstance(instanceId)
  if (instance === undefined) {
    await store.schedules.remove(scheduleId)
    return log('A schedule is removed: its instance is gone.', { scheduleId, instanceId })
  }
  try {
    if (!(await parts.mayPush({ userId: schedule.userId, instance, repository })))
      throw new AppError('permission_denied', `The schedule's owner may no longer save to ${repository}.`)
    const name = freshName('auto', clock)
    const { snapshotId } = await parts.snapshots.create({
      instanceId,
      userId: schedule.userId,
      name,
      imageUrl: `${repository}:${name}`,
      description: `Saved by schedule ${scheduleId}.`,
      labels: [],
      excludePaths: schedule.excludePaths,
      overwrite: false,
      origin: 'schedule',
      scheduleId,
    })
    await store.schedules.setLast(scheduleId, snapshotId)
  } catch (error) {
    // An instance that is stopped, or still being saved, is left to the next time.
    log('A schedule did not save its instance this time.', {
      scheduleId,
      instanceId,
      message: toAppError(error).message,
    })
  }
}
