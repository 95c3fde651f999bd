import { escapeText, formatBytes } from '#cli/text.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { allPages, argument, command, PAGE_SIZE, present, show, showRows } from './command.ts'
import type { ApiCommand } from './command.ts'
import { accessibility, labelsOf } from './instance-fields.ts'
import { formatFields, formatLabels } from './table.ts'
import type { Column } from './table.ts'

type Image = NonNullable<ResponseOf<'ListImages'>['Images']>[number]

const COLUMNS: readonly Column<Image>[] = [
  ['ID', ({ ImageId }) => ImageId],
  ['NAME', ({ Name }) => Name],
  ['IMAGE', ({ ImageUri }) => ImageUri],
  ['SIZE', ({ Size }) => (Size === undefined || Size === 0 ? '' : formatBytes(Size))],
  ['ACCESS', ({ Accessibility }) => Accessibility],
  ['LABELS', ({ Labels }) => formatLabels(Labels)],
  ['CREATED', ({ GmtCreateTime }) => GmtCreateTime],
]

const list = command('image list', { name: 'value', label: 'values' }, async (context) => {
  const { api, given } = context
  const labels = formatLabels(labelsOf(context))
  const query = present({ Name: given.value('name'), Labels: labels === '' ? undefined : labels })
  const rows = await allPages(async (PageNumber) => {
    const page = { ...query, Verbose: true, PageNumber, PageSize: PAGE_SIZE }
    return (await api.call('ListImages', { query: page })).Images
  })
  showRows(context, 'Images', rows, COLUMNS)
})

const get = command('image get IMAGE', {}, async (context) => {
  const params = { ImageId: argument(context, 0) }
  const answer = await context.api.call('GetImage', { params, query: { Verbose: true } })
  show(context, answer, formatFields({ ...params, ...answer }))
})

const ADD_OPTIONS = { name: 'value', description: 'value', label: 'values', accessibility: 'value' } as const

const add = command('image add REFERENCE', ADD_OPTIONS, async (context) => {
  const { api, given } = context
  const labels = labelsOf(context)
  const ImageUri = argument(context, 0)
  const body = {
    ImageUri,
    Name: given.value('name') ?? nameOf(ImageUri),
    ...present({ Description: given.value('description'), Accessibility: accessibility(context) }),
    ...(labels && { Labels: [...labels] }),
  }
  const answer = await api.call('AddImage', { body })
  show(context, answer, `${escapeText(answer.ImageId ?? '')}\n`)
})

/** The last part of the repository: what people call the image. The server says what a name may be. */
function nameOf(reference: string): string {
  return /([^/:@]+)(?::[^/:@]*)?(?:@[^/@]*)?$/.exec(reference)?.[1] ?? reference
}

const remove = command('image remove IMAGE', {}, async (context) => {
  const params = { ImageId: argument(context, 0) }
  show(context, await context.api.call('RemoveImage', { params }), `${escapeText(params.ImageId)}\n`)
})

const publish = command('image publish IMAGE', {}, async (context) => {
  const params = { ImageId: argument(context, 0) }
  show(context, await context.api.call('PublishImage', { params }), `${escapeText(params.ImageId)}\n`)
})

/** `tintype image …`: the catalogue; the images themselves are in their registries. */
export const IMAGE_COMMANDS: readonly ApiCommand[] = [list, get, add, remove, publish]
