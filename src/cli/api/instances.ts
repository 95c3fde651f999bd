import { AppError, toAppError } from '#base/errors.ts'
import { usage } from '#cli/arguments.ts'
import { escapeText } from '#cli/text.ts'
import { METRIC_TYPES } from '#contract/lifecycle.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { allPages, argument, command, PAGE_SIZE, present, show, showRows } from './command.ts'
import type { ApiCommand, CommandContext } from './command.ts'
import { FIELD_OPTIONS, idleMinutes, instanceFields, labelsOf } from './instance-fields.ts'
import { formatFields, formatTable } from './table.ts'
import type { Column } from './table.ts'
import { waitForInstance } from './wait.ts'

type Instance = NonNullable<ResponseOf<'ListInstances'>['Instances']>[number]

const COLUMNS: readonly Column<Instance>[] = [
  ['ID', ({ InstanceId }) => InstanceId],
  ['NAME', ({ InstanceName }) => InstanceName],
  ['STATUS', ({ Status }) => Status],
  ['IMAGE', ({ ImageUrl, ImageName }) => ImageUrl || ImageName],
  ['OWNER', ({ UserName, UserId }) => UserName || UserId],
  ['CREATED', ({ GmtCreateTime }) => GmtCreateTime],
]

/** Else the API lists those of named sizes alone. */
const HOWEVER_PAID = { ResourceId: 'ALL' } as const

/**
 * The id of the instance that the first argument names. Names have no hyphen and ids have one, so that neither can be
 * taken for the other. Throws `instance_not_found`, and `usage_invalid` when several have the name.
 */
export async function instanceId(context: CommandContext): Promise<string> {
  const name = argument(context, 0)
  if (!/^\w{1,27}$/.test(name)) return name
  const found = await allPages(async (PageNumber) => {
    const query = { ...HOWEVER_PAID, InstanceName: name, PageNumber, PageSize: PAGE_SIZE }
    return (await context.api.call('ListInstances', { query })).Instances
  })
  const ids = found.filter(({ InstanceName }) => InstanceName === name).map(({ InstanceId = '' }) => InstanceId)
  const [id] = ids
  if (id === undefined)
    throw new AppError(
      'instance_not_found',
      `There is no instance named ${JSON.stringify(name)} in the default workspace: see "tintype instance list --workspace ALL", and give its id.`,
    )
  if (ids.length === 1) return id
  throw usage(
    context.syntax,
    `needs an id, since several instances are named ${JSON.stringify(name)}: ${ids.join(', ')}`,
  )
}

const create = command('instance create', { ...FIELD_OPTIONS, wait: 'flag' }, async (context) => {
  const { api, given, syntax, terminal } = context
  const labels = labelsOf(context)
  const minutes = idleMinutes(context)
  // Without a size it may use all that the host has; the API wants that said.
  const body = { RequestedResource: {}, ...(await instanceFields(context)), ...(labels && { Labels: [...labels] }) }
  if (body.ImageId === undefined && body.ImageUrl === undefined)
    throw usage(syntax, 'needs an image: give --image-url REFERENCE or --image ID')
  const made = await api.call('CreateInstance', { body })
  const id = made.InstanceId ?? ''
  if (minutes !== undefined && minutes > 0) {
    // The instance is there: its id must not be lost when this fails.
    terminal.err(`Made ${escapeText(id)}.\n`)
    await api.call('CreateIdleInstanceCuller', { params: { InstanceId: id }, body: { MaxIdleTimeInMinutes: minutes } })
  }
  if (given.hasFlag('wait')) await waitForInstance(context, id, 'Running')
  show(context, made, `${escapeText(id)}\n`)
})

const LIST_OPTIONS = { status: 'value', name: 'value', label: 'values', workspace: 'value' } as const

const list = command('instance list', LIST_OPTIONS, async (context) => {
  const { api, given } = context
  const labels = labelsOf(context)
  const query = {
    ...HOWEVER_PAID,
    ...present({ InstanceName: given.value('name'), WorkspaceId: given.value('workspace') }),
    ...(labels && { Labels: Object.fromEntries(labels.map(({ Key, Value }) => [Key, Value])) }),
  }
  const status = given.value('status')
  const rows = await allPages(async (PageNumber) => {
    const page = await api.call('ListInstances', { query: { ...query, PageNumber, PageSize: PAGE_SIZE } })
    return page.Instances
  })
  // Here, and not by the server: people write it in any case.
  const shown = rows.filter(({ Status }) => status === undefined || Status?.toLowerCase() === status.toLowerCase())
  showRows(context, 'Instances', shown, COLUMNS)
})

const get = command('instance get INSTANCE', {}, async (context) => {
  const answer = await context.api.call('GetInstance', { params: { InstanceId: await instanceId(context) } })
  show(context, answer, formatFields(answer))
})

const start = command('instance start INSTANCE', { wait: 'flag' }, async (context) => {
  const InstanceId = await instanceId(context)
  const answer = await context.api.call('StartInstance', { params: { InstanceId } })
  if (context.given.hasFlag('wait')) await waitForInstance(context, InstanceId, 'Running')
  show(context, answer, `${escapeText(InstanceId)}\n`)
})

const stop = command('instance stop INSTANCE', { 'save-image': 'flag', wait: 'flag' }, async (context) => {
  const { api, given } = context
  const InstanceId = await instanceId(context)
  const SaveImage = given.hasFlag('save-image')
  const answer = await api.call('StopInstance', { params: { InstanceId }, ...(SaveImage && { query: { SaveImage } }) })
  if (given.hasFlag('wait')) await waitForInstance(context, InstanceId, 'Stopped')
  show(context, answer, `${escapeText(InstanceId)}\n`)
})

const update = command('instance update INSTANCE', FIELD_OPTIONS, async (context) => {
  const { api, syntax } = context
  const fields = await instanceFields(context)
  const labels = labelsOf(context)
  const minutes = idleMinutes(context)
  const hasFields = Object.keys(fields).length > 0
  if (!hasFields && !labels && minutes === undefined) throw usage(syntax, 'needs something to change')
  const params = { InstanceId: await instanceId(context) }
  if (hasFields) await api.call('UpdateInstance', { params, body: fields })
  if (labels) await api.call('UpdateInstanceLabels', { params, body: { Labels: [...labels] } })
  if (minutes !== undefined) await setIdleMinutes(context, params, minutes)
  show(context, params, `${escapeText(params.InstanceId)}\n`)
})

interface Params {
  readonly InstanceId: string
}

async function setIdleMinutes({ api }: CommandContext, params: Params, minutes: number): Promise<void> {
  try {
    await api.call('DeleteIdleInstanceCuller', { params })
  } catch (error) {
    if (toAppError(error).kind !== 'not_found') throw error
  }
  if (minutes > 0) await api.call('CreateIdleInstanceCuller', { params, body: { MaxIdleTimeInMinutes: minutes } })
}

const remove = command('instance delete INSTANCE', {}, async (context) => {
  const InstanceId = await instanceId(context)
  const answer = await context.api.call('DeleteInstance', { params: { InstanceId } })
  show(context, answer, `${escapeText(InstanceId)}\n`)
})

const events = command('instance events INSTANCE', {}, async (context) => {
  const params = { InstanceId: await instanceId(context) }
  // The newest, of which there may be more than one answer tells; the last one is shown last.
  const answer = await context.api.call('GetInstanceEvents', { params, query: { Reverse: true } })
  const lines = (answer.Events ?? []).toReversed()
  const earlier = (answer.TotalCount ?? 0) - lines.length
  if (earlier > 0) context.terminal.err(`There were ${earlier} before.\n`)
  show(context, { ...answer, Events: lines }, lines.map((line) => `${escapeText(line)}\n`).join(''))
})

const metrics = command('instance metrics INSTANCE [METRIC]', {}, async (context) => {
  const { api, given, syntax } = context
  const [, written] = given.positionals
  const types = METRIC_TYPES.filter((type) => written === undefined || type.toLowerCase() === written.toLowerCase())
  if (types.length === 0)
    throw usage(syntax, `knows no metric ${JSON.stringify(written)}: it knows ${METRIC_TYPES.join(', ')}`)
  const params = { InstanceId: await instanceId(context) }
  const answers = await Promise.all(
    types.map(async (MetricType) => {
      const { PodMetrics = [] } = await api.call('GetInstanceMetrics', { params, query: { MetricType } })
      return { metric: MetricType, values: PodMetrics.flatMap(({ Metrics = [] }) => Metrics) }
    }),
  )
  const json = Object.fromEntries(answers.map(({ metric, values }) => [metric, values]))
  show(context, json, written === undefined ? formatLatest(answers) : formatHistory(answers))
})

interface Values {
  readonly metric: string
  readonly values: readonly { readonly Time?: number; readonly Value?: number }[]
}

const round = (value: number | undefined) => (value === undefined ? '' : Number(value.toFixed(2)))

function formatLatest(answers: readonly Values[]): string {
  const columns: readonly Column<Values>[] = [
    ['METRIC', ({ metric }) => metric],
    ['LATEST', ({ values }) => round(values.at(-1)?.Value)],
    ['HIGHEST', ({ values }) => round(values.reduce<number | undefined>(highest, undefined))],
  ]
  return formatTable(columns, answers)
}

const highest = (most: number | undefined, { Value = 0 }: { readonly Value?: number }) =>
  most === undefined || Value > most ? Value : most

function formatHistory(answers: readonly Values[]): string {
  const columns: readonly Column<Values['values'][number]>[] = [
    ['TIME', ({ Time }) => formatTime(Time)],
    ['VALUE', ({ Value }) => round(Value)],
  ]
  return formatTable(
    columns,
    answers.flatMap(({ values }) => values),
  )
}

/** Milliseconds, or seconds, since 1970. */
function formatTime(time: number | undefined): string {
  if (time === undefined) return ''
  const date = new Date(time < 1e11 ? time * 1000 : time)
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().replace(/\.\d+Z$/, 'Z')
}

const logs = command('instance logs INSTANCE', {}, async (context) => {
  const query = { InstanceId: await instanceId(context) }
  const answer = await context.api.call('ListSystemLogs', { query })
  const lines = (answer.SystemLogs ?? []).map(({ GmtCreateTime = '', Content = '' }) => `${GmtCreateTime} ${Content}`)
  show(context, answer, lines.map((line) => `${escapeText(line.trim())}\n`).join(''))
})

const token = command('instance token INSTANCE', {}, async (context) => {
  const answer = await context.api.call('GetToken', { query: { InstanceId: await instanceId(context) } })
  show(context, answer, `${escapeText(answer.Token ?? '')}\n`)
})

/** `tintype instance …` */
export const INSTANCE_COMMANDS: readonly ApiCommand[] = [
  create,
  list,
  get,
  start,
  stop,
  update,
  remove,
  events,
  metrics,
  logs,
  token,
]
