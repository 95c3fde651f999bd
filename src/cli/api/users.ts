import { escapeText } from '#cli/text.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { allMarked, argument, command, PAGE_SIZE, present, show, showRows } from './command.ts'
import type { ApiCommand, CommandContext } from './command.ts'
import { formatFields } from './table.ts'
import type { Column } from './table.ts'

type User = NonNullable<NonNullable<ResponseOf<'ListUsers'>['Users']>['User']>[number]
type Key = NonNullable<NonNullable<ResponseOf<'ListAccessKeys'>['AccessKeys']>['AccessKey']>[number]

const USER_COLUMNS: readonly Column<User>[] = [
  ['NAME', ({ UserName }) => UserName],
  ['ID', ({ UserId }) => UserId],
  ['DISPLAY NAME', ({ DisplayName }) => DisplayName],
  ['COMMENTS', ({ Comments }) => Comments],
  ['CREATED', ({ CreateDate }) => CreateDate],
]

const KEY_COLUMNS: readonly Column<Key>[] = [
  ['KEY', ({ AccessKeyId }) => AccessKeyId],
  ['STATUS', ({ Status }) => Status],
  ['CREATED', ({ CreateDate }) => CreateDate],
]

const userName = (context: CommandContext) => ({ UserName: argument(context, 0) })
const keyOf = (context: CommandContext) => ({ ...userName(context), UserAccessKeyId: argument(context, 1) })

const create = command('user create USER', { 'display-name': 'value', comments: 'value' }, async (context) => {
  const { api, given } = context
  const more = present({ DisplayName: given.value('display-name'), Comments: given.value('comments') })
  const answer = await api.call('CreateUser', { query: { ...userName(context), ...more } })
  show(context, answer, formatFields(answer.User ?? {}))
})

const list = command('user list', {}, async (context) => {
  const rows = await allMarked(async (Marker) => {
    const query = { MaxItems: PAGE_SIZE, ...present({ Marker }) }
    const { Users, ...rest } = await context.api.call('ListUsers', { query })
    return { items: Users?.User, ...rest }
  })
  showRows(context, 'Users', rows, USER_COLUMNS)
})

const remove = command('user delete USER', {}, async (context) => {
  const query = userName(context)
  show(context, await context.api.call('DeleteUser', { query }), `${escapeText(query.UserName)}\n`)
})

const createKey = command('user key create USER', {}, async (context) => {
  const answer = await context.api.call('CreateAccessKey', { query: userName(context) })
  const { AccessKeyId = '', AccessKeySecret = '' } = answer.AccessKey ?? {}
  context.terminal.err('The secret is shown this once: keep it now.\n')
  show(context, answer, formatFields({ AccessKeyId, AccessKeySecret }))
})

const listKeys = command('user key list USER', {}, async (context) => {
  const { AccessKeys } = await context.api.call('ListAccessKeys', { query: userName(context) })
  showRows(context, 'AccessKeys', AccessKeys?.AccessKey ?? [], KEY_COLUMNS)
})

const deleteKey = command('user key delete USER KEY', {}, async (context) => {
  const query = keyOf(context)
  show(context, await context.api.call('DeleteAccessKey', { query }), `${escapeText(query.UserAccessKeyId)}\n`)
})

const switchKey = (verb: string, Status: 'Active' | 'Inactive') =>
  command(`user key ${verb} USER KEY`, {}, async (context) => {
    const query = { ...keyOf(context), Status }
    show(context, await context.api.call('UpdateAccessKey', { query }), `${escapeText(query.UserAccessKeyId)}\n`)
  })

/** `tintype user …`: users, and the keys they sign with. */
export const USER_COMMANDS: readonly ApiCommand[] = [
  create,
  list,
  remove,
  createKey,
  listKeys,
  deleteKey,
  switchKey('disable', 'Inactive'),
  switchKey('enable', 'Active'),
]
