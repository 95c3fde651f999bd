import { AppError } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import { newId } from '#service/ids.ts'
import { checkExclusions, repositoryOf } from '#service/snapshots/request.ts'
import type { ScheduleChange, ScheduleFilter, ScheduleRecord } from '#store/schedules.ts'
import { firstTime } from './cron.ts'
import { TIMES } from './parts.ts'
import type { SchedulesParts } from './parts.ts'
import { ScheduleRunner } from './runner.ts'

export interface CreateSchedule {
  readonly instanceId: string
  readonly userId: string
  readonly cron: string
  readonly timeZone: string
  /** `registry/repository`, without a tag. */
  readonly repository: string
  readonly excludePaths: readonly string[]
  /** 0: all of them. */
  readonly keepLast?: number | undefined
  readonly keepDays?: number | undefined
  readonly enabled: boolean
}

/** What is undefined stays as it is. */
export type UpdateSchedule = {
  readonly [F in keyof Omit<CreateSchedule, 'instanceId' | 'userId'>]?: CreateSchedule[F] | undefined
}

/** Instances that are saved again and again, and how much of that is kept. */
export interface Schedules extends AsyncDisposable {
  /** Take part in running them; one of all servers does it at a time. */
  start(): void
  /** Throws `parameter_invalid`, `registry_not_allowed`, `instance_not_found`. */
  create(request: CreateSchedule): Promise<ScheduleRecord>
  /** Throws `schedule_not_found`. */
  get(scheduleId: string): Promise<ScheduleRecord>
  list(filter: ScheduleFilter): Promise<{ readonly schedules: readonly ScheduleRecord[]; readonly total: number }>
  /** Throws as `create`, and `schedule_not_found`. */
  update(scheduleId: string, update: UpdateSchedule): Promise<void>
  /** What it has saved stays. Throws `schedule_not_found`. */
  delete(scheduleId: string): Promise<void>
}

/** The service of schedules. It must be closed. */
export function openSchedules(given: SchedulesParts): Schedules {
  const parts = { ...given, times: { ...TIMES, ...given.times } }
  const { store, clock } = parts
  const runner = new ScheduleRunner(parts)
  const get = async (scheduleId: string): Promise<ScheduleRecord> => {
    const found = await store.schedules.find(scheduleId)
    if (found) return found
    throw notFound(scheduleId)
  }
  return {
    start: () => runner.start(),
    async create(request) {
      const { instanceId } = request
      const repository = await checkTarget(request.repository, parts)
      checkExclusions(request.excludePaths)
      const nextMs = firstTime(request.cron, request.timeZone, clock.wallMs())
      if (!(await parts.findInstance(instanceId)))
        throw new AppError('instance_not_found', `There is no instance ${instanceId}.`, { details: { instanceId } })
      const scheduleId = newId('sch')
      const { keepLast, keepDays, ...rest } = request
      const kept = { keepLast: keepLast || undefined, keepDays: keepDays || undefined }
      await store.schedules.insert({ ...rest, ...kept, scheduleId, repository, nextMs }, clock.wallMs())
      return get(scheduleId)
    },
    get,
    list: (filter) => store.schedules.list(filter),
    async update(scheduleId, update) {
      const found = await get(scheduleId)
      const change = await changeOf(found, update, parts)
      if (!(await store.schedules.update(scheduleId, change, clock.wallMs()))) throw notFound(scheduleId)
    },
    async delete(scheduleId) {
      if (!(await store.schedules.remove(scheduleId))) throw notFound(scheduleId)
    },
    [Symbol.asyncDispose]: () => runner[Symbol.asyncDispose](),
  }
}

async function changeOf(found: ScheduleRecord, update: UpdateSchedule, parts: SchedulesParts): Promise<ScheduleChange> {
  const { repository, excludePaths, cron, timeZone, keepLast, keepDays, enabled } = update
  if (excludePaths !== undefined) checkExclusions(excludePaths)
  const isTimed = cron !== undefined || timeZone !== undefined || (enabled === true && !found.enabled)
  const times = { cron: cron ?? found.cron, timeZone: timeZone ?? found.timeZone }
  return {
    // What came due while it was switched off is not made up for.
    ...(isTimed && { ...times, nextMs: firstTime(times.cron, times.timeZone, parts.clock.wallMs()) }),
    ...(repository !== undefined && { repository: await checkTarget(repository, parts) }),
    ...(excludePaths !== undefined && { excludePaths }),
    ...(keepLast !== undefined && { keepLast: keepLast || undefined }),
    ...(keepDays !== undefined && { keepDays: keepDays || undefined }),
    ...(enabled !== undefined && { enabled }),
  }
}

/** `registry/repository` in full. Throws `parameter_invalid`, `registry_not_allowed`. */
async function checkTarget(text: string, { checkRegistry }: SchedulesParts): Promise<string> {
  const repository = repositoryOf(text)
  const { tag } = parseReference(text)
  if (tag !== undefined)
    throw new AppError('parameter_invalid', 'ImageUrl must have no tag: each run makes up its own.', {
      details: { field: 'ImageUrl' },
    })
  await checkRegistry(parseReference(repository).registry)
  return repository
}

function notFound(scheduleId: string): AppError {
  return new AppError('schedule_not_found', `There is no schedule ${scheduleId}.`, { details: { scheduleId } })
}
