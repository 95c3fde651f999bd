import { usage } from '#cli/arguments.ts'
import { escapeText } from '#cli/text.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { argument, command, readPassword, show, showRows } from './command.ts'
import type { ApiCommand, CommandContext } from './command.ts'
import { reasonError } from './answer-error.ts'
import type { Column } from './table.ts'

type Registry = NonNullable<ResponseOf<'ListRegistries'>['Registries']>[number]

const COLUMNS: readonly Column<Registry>[] = [
  ['HOST', ({ Host }) => Host],
  ['LOGIN', ({ HasCredentials }) => (HasCredentials === true ? 'yes' : 'no')],
  ['PLAIN HTTP', ({ PlainHttp }) => (PlainHttp === true ? 'yes' : 'no')],
  ['CHANGED', ({ GmtModifiedTime }) => GmtModifiedTime],
]

const LOGIN_OPTIONS = { username: 'value', 'password-stdin': 'flag', 'plain-http': 'flag' } as const

/** The login and the kind of connection, as the options say. */
async function registryFields(context: CommandContext) {
  const { given, syntax } = context
  const UserName = given.value('username')
  if (UserName === undefined && given.hasFlag('password-stdin'))
    throw usage(syntax, 'needs --username NAME with --password-stdin')
  const plain = given.hasFlag('plain-http') ? { PlainHttp: true } : {}
  if (UserName === undefined) return plain
  return { ...plain, UserName, Password: await readPassword(context, `Password of ${UserName}: `) }
}

const add = command('registry add HOST', LOGIN_OPTIONS, async (context) => {
  const Host = argument(context, 0)
  const answer = await context.api.call('CreateRegistry', { body: { Host, ...(await registryFields(context)) } })
  show(context, answer, `${escapeText(Host)}\n`)
})

const update = command('registry update HOST', LOGIN_OPTIONS, async (context) => {
  const body = await registryFields(context)
  if (Object.keys(body).length === 0)
    throw usage(context.syntax, 'needs something to change: --username NAME or --plain-http')
  const params = { Host: argument(context, 0) }
  const answer = await context.api.call('UpdateRegistry', { params, body })
  show(context, answer, `${escapeText(params.Host)}\n`)
})

const list = command('registry list', {}, async (context) => {
  const { Registries = [] } = await context.api.call('ListRegistries')
  showRows(context, 'Registries', Registries, COLUMNS)
})

const remove = command('registry remove HOST', {}, async (context) => {
  const params = { Host: argument(context, 0) }
  show(context, await context.api.call('DeleteRegistry', { params }), `${escapeText(params.Host)}\n`)
})

const test = command('registry test HOST', {}, async (context) => {
  const params = { Host: argument(context, 0) }
  const answer = await context.api.call('TestRegistry', { params })
  const { Reachable, Authenticated, Message } = answer
  if (Reachable === true && Authenticated === true)
    return show(context, answer, `${escapeText(params.Host)} answers, and takes the login.\n`)
  const code = Reachable === true ? 'RegistryDenied' : 'RegistryUnavailable'
  throw reasonError(`The test of ${params.Host}`, { code, ...(Message !== undefined && { message: Message }) })
})

/** `tintype registry …`: where the server may push, and with which login. */
export const REGISTRY_COMMANDS: readonly ApiCommand[] = [add, update, list, remove, test]
