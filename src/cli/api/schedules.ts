import { usage } from '#cli/arguments.ts'
import { escapeText } from '#cli/text.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { allPages, argument, command, PAGE_SIZE, present, show, showRows } from './command.ts'
import type { ApiCommand, CommandContext } from './command.ts'
import { instanceId } from './instances.ts'
import type { Column } from './table.ts'

type Schedule = NonNullable<ResponseOf<'ListSchedules'>['Schedules']>[number]

const COLUMNS: readonly Column<Schedule>[] = [
  ['ID', ({ ScheduleId }) => ScheduleId],
  ['INSTANCE', ({ InstanceId }) => InstanceId],
  ['CRON', ({ Cron }) => Cron],
  ['ZONE', ({ TimeZone }) => TimeZone],
  ['IMAGE', ({ ImageUrl }) => ImageUrl],
  ['KEEP', keptOf],
  ['NEXT', ({ Enabled, NextTime }) => (Enabled === false ? 'disabled' : NextTime)],
]

function keptOf({ KeepLast = 0, KeepDays = 0 }: Schedule): string {
  return [...(KeepLast > 0 ? [`last ${KeepLast}`] : []), ...(KeepDays > 0 ? [`${KeepDays} days`] : [])].join(', ')
}

const OPTIONS = {
  cron: 'value',
  'image-url': 'value',
  'time-zone': 'value',
  exclude: 'values',
  'keep-last': 'value',
  'keep-days': 'value',
} as const
const MOST_KEPT = 1000
const MOST_DAYS = 3650

function fieldsOf({ given }: CommandContext) {
  const excluded = given.values('exclude')
  return present({
    TimeZone: given.value('time-zone'),
    ExcludePaths: excluded.length > 0 ? [...excluded] : undefined,
    KeepLast: given.whole('keep-last', { min: 0, max: MOST_KEPT }),
    KeepDays: given.whole('keep-days', { min: 0, max: MOST_DAYS }),
  })
}

const create = command('schedule create INSTANCE', OPTIONS, async (context) => {
  const { api, given, syntax } = context
  const [Cron, ImageUrl] = [given.value('cron'), given.value('image-url')]
  if (Cron === undefined) throw usage(syntax, 'needs --cron "MINUTE HOUR DAY MONTH WEEKDAY"')
  if (ImageUrl === undefined) throw usage(syntax, 'needs --image-url REGISTRY/REPOSITORY')
  const fields = fieldsOf(context)
  const body = { Cron, ImageUrl, InstanceId: await instanceId(context), ...fields }
  const answer = await api.call('CreateSchedule', { body })
  show(context, answer, `${escapeText(answer.ScheduleId ?? '')}\n`)
})

const list = command('schedule list [INSTANCE]', {}, async (context) => {
  const isOfOne = context.given.positionals.length > 0
  const which = isOfOne ? { InstanceId: await instanceId(context) } : {}
  const rows = await allPages(async (PageNumber) => {
    const query = { ...which, PageNumber, PageSize: PAGE_SIZE }
    return (await context.api.call('ListSchedules', { query })).Schedules
  })
  showRows(context, 'Schedules', rows, COLUMNS)
})

const update = command('schedule update SCHEDULE', { ...OPTIONS, enable: 'flag', disable: 'flag' }, async (context) => {
  const { api, given, syntax } = context
  const [isOn, isOff] = [given.hasFlag('enable'), given.hasFlag('disable')]
  if (isOn && isOff) throw usage(syntax, 'takes either --enable or --disable')
  const body = {
    ...fieldsOf(context),
    ...present({ Cron: given.value('cron'), ImageUrl: given.value('image-url') }),
    ...(isOn !== isOff && { Enabled: isOn }),
  }
  if (Object.keys(body).length === 0) throw usage(syntax, 'needs something to change')
  const params = { ScheduleId: argument(context, 0) }
  const answer = await api.call('UpdateSchedule', { params, body })
  show(context, answer, `${escapeText(params.ScheduleId)}\n`)
})

const remove = command('schedule delete SCHEDULE', {}, async (context) => {
  const params = { ScheduleId: argument(context, 0) }
  show(context, await context.api.call('DeleteSchedule', { params }), `${escapeText(params.ScheduleId)}\n`)
})

/** `tintype schedule …`: instances that are saved again and again. */
export const SCHEDULE_COMMANDS: readonly ApiCommand[] = [create, list, update, remove]
