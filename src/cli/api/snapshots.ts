import { usage } from '#cli/arguments.ts'
import { describePreview } from '#cli/preview.ts'
import { describeCaptured } from '#cli/snapshot-report.ts'
import { escapeText } from '#cli/text.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { allPages, argument, command, PAGE_SIZE, present, show, showRows } from './command.ts'
import type { ApiCommand, CommandContext } from './command.ts'
import { labelsOf } from './instance-fields.ts'
import { instanceId } from './instances.ts'
import { formatFields } from './table.ts'
import type { Column } from './table.ts'
import { followSnapshot } from './wait.ts'
import { capturedOf, previewOf } from './wire-result.ts'

type Snapshot = NonNullable<ResponseOf<'ListInstanceSnapshot'>['Snapshots']>[number]
type Details = ResponseOf<'GetSnapshotDetails'>

const CREATE_OPTIONS = {
  name: 'value',
  'image-url': 'value',
  exclude: 'values',
  overwrite: 'flag',
  label: 'values',
  description: 'value',
  wait: 'flag',
} as const

const COLUMNS: readonly Column<Snapshot>[] = [
  ['ID', ({ SnapshotId }) => SnapshotId],
  ['NAME', ({ SnapshotName }) => SnapshotName],
  ['STATUS', ({ Status }) => Status],
  ['IMAGE', ({ ImageUrl }) => ImageUrl],
  ['REASON', ({ ReasonCode }) => ReasonCode],
  ['CREATED', ({ GmtCreateTime }) => GmtCreateTime],
]

const create = command('snapshot create INSTANCE', CREATE_OPTIONS, async (context) => {
  const { api, given } = context
  const [SnapshotName, ImageUrl] = [needed(context, 'name', 'NAME'), needed(context, 'image-url', 'REFERENCE')]
  const labels = labelsOf(context)
  const excluded = given.values('exclude')
  const body = {
    SnapshotName,
    ImageUrl,
    ...present({ SnapshotDescription: given.value('description') }),
    ...(excluded.length > 0 && { ExcludePaths: [...excluded] }),
    ...(labels && { Labels: [...labels] }),
    ...(given.hasFlag('overwrite') && { Overwrite: true }),
  }
  const made = await api.call('CreateInstanceSnapshot', { params: { InstanceId: await instanceId(context) }, body })
  const { InstanceId = '', SnapshotId = '' } = made
  if (!given.hasFlag('wait')) return show(context, made, `${escapeText(SnapshotId)}\n`)
  const details = await followSnapshot(context, { InstanceId, SnapshotId })
  show(context, details, describeSaved(details))
})

function needed({ given, syntax }: CommandContext, option: string, value: string): string {
  const text = given.value(option)
  if (text === undefined) throw usage(syntax, `needs --${option} ${value}`)
  return text
}

/** As "tintype snapshot CONTAINER" says it. */
function describeSaved(details: Details): string {
  const captured = capturedOf(details)
  return captured ? describeCaptured(captured) : ''
}

const list = command('snapshot list INSTANCE', {}, async (context) => {
  const params = { InstanceId: await instanceId(context) }
  const rows = await allPages(async (PageNumber) => {
    const query = { PageNumber, PageSize: PAGE_SIZE }
    return (await context.api.call('ListInstanceSnapshot', { params, query })).Snapshots
  })
  showRows(context, 'Snapshots', rows, COLUMNS)
})

async function snapshotId(context: CommandContext) {
  return { InstanceId: await instanceId(context), SnapshotId: argument(context, 1) }
}

const get = command('snapshot get INSTANCE SNAPSHOT', {}, async (context) => {
  const details = await context.api.call('GetSnapshotDetails', { params: await snapshotId(context) })
  const { Result: _result, Progress: _progress, ...record } = details
  show(context, details, `${formatFields(record)}${describeSaved(details)}`)
})

const remove = command('snapshot delete INSTANCE SNAPSHOT', { 'delete-image': 'flag' }, async (context) => {
  const params = await snapshotId(context)
  const DeleteImage = context.given.hasFlag('delete-image')
  const query = DeleteImage ? { query: { DeleteImage } } : {}
  const answer = await context.api.call('DeleteInstanceSnapshot', { params, ...query })
  show(context, answer, `${escapeText(params.SnapshotId)}\n`)
})

const cancel = command('snapshot cancel INSTANCE SNAPSHOT', {}, async (context) => {
  const params = await snapshotId(context)
  const answer = await context.api.call('CancelInstanceSnapshot', { params })
  show(context, answer, `${escapeText(params.SnapshotId)}\n`)
})

const watch = command('snapshot watch INSTANCE SNAPSHOT', {}, async (context) => {
  const details = await followSnapshot(context, await snapshotId(context))
  show(context, details, describeSaved(details))
})

const preview = command('snapshot preview INSTANCE', { exclude: 'values' }, async (context) => {
  const params = { InstanceId: await instanceId(context) }
  const excluded = context.given.values('exclude')
  const query = excluded.length > 0 ? { query: { ExcludePaths: [...excluded] } } : {}
  const answer = await context.api.call('PreviewInstanceSnapshot', { params, ...query })
  show(context, answer, describePreview(previewOf(answer)))
})

/** `tintype snapshot …`, where its first word is one of these and not a container. */
export const SNAPSHOT_COMMANDS: readonly ApiCommand[] = [create, list, get, remove, cancel, watch, preview]
