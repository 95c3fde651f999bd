import { encodeArn } from '#access/arn.ts'
import type { Caller } from '#access/caller.ts'
import { AppError } from '#base/errors.ts'
import { checkPush, repositoryContext, type SnapshotRouteParts } from '#http/dsw/snapshots.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import type { Schedules } from '#service/schedules/schedules.ts'
import type { ScheduleRecord } from '#store/schedules.ts'

export interface ScheduleRouteParts extends SnapshotRouteParts {
  readonly schedules: Schedules
}

/** Saving an instance again and again. A schedule belongs to who made it; the account sees and changes all. */
export function scheduleRoutes(parts: ScheduleRouteParts): readonly AnyRoute[] {
  const { schedules } = parts
  return [
    route({
      action: 'CreateSchedule',
      resource: ({ caller }) => scheduleArn(parts, caller, '*'),
      context: ({ body }) => repositoryContext(body.ImageUrl),
      async handle(call) {
        const { body, caller } = call
        refuseTemporary(caller)
        await checkPush(parts, { ...call, params: { InstanceId: body.InstanceId } }, body.ImageUrl)
        const { scheduleId } = await schedules.create({
          instanceId: body.InstanceId,
          userId: caller.ownerId,
          cron: body.Cron,
          timeZone: body.TimeZone ?? 'UTC',
          repository: body.ImageUrl,
          excludePaths: body.ExcludePaths ?? [],
          keepLast: body.KeepLast,
          keepDays: body.KeepDays,
          enabled: body.Enabled ?? true,
        })
        return { ScheduleId: scheduleId }
      },
    }),
    route({
      action: 'ListSchedules',
      resource: ({ caller }) => scheduleArn(parts, caller, '*'),
      async handle({ caller, query }) {
        const { schedules: found, total } = await schedules.list({
          ...(query.InstanceId && { instanceId: query.InstanceId }),
          ...(caller.kind !== 'Account' && { userId: caller.ownerId }),
          offset: (query.PageNumber - 1) * query.PageSize,
          limit: query.PageSize,
        })
        return { Schedules: found.map(writeSchedule), TotalCount: total }
      },
    }),
    ...singleRoutes(parts),
  ]
}

function singleRoutes(parts: ScheduleRouteParts): readonly AnyRoute[] {
  const { schedules } = parts
  return [
    route({
      action: 'GetSchedule',
      resource: ({ caller, params }) => ownArn(parts, caller, params.ScheduleId),
      handle: async ({ params }) => writeSchedule(await schedules.get(params.ScheduleId)),
    }),
    route({
      action: 'UpdateSchedule',
      resource: ({ caller, params }) => ownArn(parts, caller, params.ScheduleId),
      context: async ({ params, body }) =>
        repositoryContext(body.ImageUrl ?? (await schedules.get(params.ScheduleId)).repository),
      async handle(call) {
        const { params, body } = call
        const { instanceId: InstanceId, repository } = await schedules.get(params.ScheduleId)
        await checkPush(parts, { ...call, params: { InstanceId } }, body.ImageUrl ?? repository)
        await schedules.update(params.ScheduleId, {
          cron: body.Cron,
          timeZone: body.TimeZone,
          repository: body.ImageUrl,
          excludePaths: body.ExcludePaths,
          keepLast: body.KeepLast,
          keepDays: body.KeepDays,
          enabled: body.Enabled,
        })
        return { ScheduleId: params.ScheduleId }
      },
    }),
    route({
      action: 'DeleteSchedule',
      resource: ({ caller, params }) => ownArn(parts, caller, params.ScheduleId),
      async handle({ params }) {
        await schedules.delete(params.ScheduleId)
        return { ScheduleId: params.ScheduleId }
      },
    }),
  ]
}

function scheduleArn({ region }: ScheduleRouteParts, { accountId }: Caller, scheduleId: string): string {
  return encodeArn({ service: 'tintype', region, accountId, relativeId: `schedule/${scheduleId}` })
}

/** Throws `schedule_not_found` for another user's: it may not even be known. */
async function ownArn(parts: ScheduleRouteParts, caller: Caller, scheduleId: string): Promise<string> {
  const found = await parts.schedules.get(scheduleId)
  if (caller.kind === 'Account' || found.userId === caller.ownerId) return scheduleArn(parts, caller, scheduleId)
  throw new AppError('schedule_not_found', `There is no schedule ${scheduleId}.`, { details: { scheduleId } })
}

function refuseTemporary({ kind }: Caller): void {
  if (kind !== 'AssumedRoleUser') return
  throw new AppError('permission_denied', 'A schedule outlives temporary credentials: create it as a user.')
}

function writeSchedule(schedule: ScheduleRecord) {
  const { keepDays, keepLast, lastSnapshotId } = schedule
  return {
    Cron: schedule.cron,
    Enabled: schedule.enabled,
    ExcludePaths: [...schedule.excludePaths],
    GmtCreateTime: wireTime(schedule.createdMs),
    GmtModifiedTime: wireTime(schedule.modifiedMs),
    ImageUrl: schedule.repository,
    InstanceId: schedule.instanceId,
    ...(keepDays !== undefined && { KeepDays: keepDays }),
    ...(keepLast !== undefined && { KeepLast: keepLast }),
    ...(lastSnapshotId !== undefined && { LastSnapshotId: lastSnapshotId }),
    NextTime: wireTime(schedule.nextMs),
    ScheduleId: schedule.scheduleId,
    TimeZone: schedule.timeZone,
    UserId: schedule.userId,
  }
}
