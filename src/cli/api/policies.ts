import { usage } from '#cli/arguments.ts'
import { escapeText } from '#cli/text.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { allMarked, argument, command, PAGE_SIZE, present, show, showRows } from './command.ts'
import type { ApiCommand, CommandContext } from './command.ts'
import { formatFields } from './table.ts'
import type { Column } from './table.ts'

type Policy = NonNullable<NonNullable<ResponseOf<'ListPolicies'>['Policies']>['Policy']>[number]

const COLUMNS: readonly Column<Policy>[] = [
  ['NAME', ({ PolicyName }) => PolicyName],
  ['TYPE', ({ PolicyType }) => PolicyType],
  ['ATTACHED', ({ AttachmentCount }) => AttachmentCount],
  ['DESCRIPTION', ({ Description }) => Description],
]

const create = command('policy create POLICY', { document: 'value', description: 'value' }, async (context) => {
  const { api, given, syntax, prompts } = context
  const file = given.value('document')
  if (file === undefined) throw usage(syntax, 'needs --document FILE (- for standard input)')
  const PolicyDocument = file === '-' ? await prompts.readInput() : await context.readFile(file)
  const query = {
    PolicyName: argument(context, 0),
    PolicyDocument,
    ...present({ Description: given.value('description') }),
  }
  const answer = await api.call('CreatePolicy', { query })
  show(context, answer, `${escapeText(query.PolicyName)}\n`)
})

const list = command('policy list', {}, async (context) => {
  const rows = await allMarked(async (Marker) => {
    const query = { MaxItems: PAGE_SIZE, ...present({ Marker }) }
    const { Policies, ...rest } = await context.api.call('ListPolicies', { query })
    return { items: Policies?.Policy, ...rest }
  })
  showRows(context, 'Policies', rows, COLUMNS)
})

const named = (context: CommandContext) => ({
  PolicyName: argument(context, 0),
  PolicyType: context.given.hasFlag('system') ? ('System' as const) : ('Custom' as const),
})

const get = command('policy get POLICY', { system: 'flag' }, async (context) => {
  const answer = await context.api.call('GetPolicy', { query: named(context) })
  const { PolicyDocument = '', ...policy } = { ...answer.Policy, ...answer.DefaultPolicyVersion }
  // The document as it was written, so that it can be changed and given back; terminals get no control characters.
  const document = PolicyDocument.split('\n').map(escapeText).join('\n')
  show(context, answer, `${formatFields(policy)}\n${document.trimEnd()}\n`)
})

const remove = command('policy delete POLICY', {}, async (context) => {
  const query = { PolicyName: argument(context, 0) }
  show(context, await context.api.call('DeletePolicy', { query }), `${escapeText(query.PolicyName)}\n`)
})

const ATTACH_OPTIONS = { user: 'value', role: 'value', system: 'flag' } as const

const attachment = (verb: 'attach' | 'detach') =>
  command(`policy ${verb} POLICY`, ATTACH_OPTIONS, async (context) => {
    const { api, given, syntax } = context
    const [UserName, RoleName] = [given.value('user'), given.value('role')]
    const policy = named(context)
    const isAttach = verb === 'attach'
    let answer: unknown
    if (UserName !== undefined && RoleName === undefined)
      answer = await api.call(isAttach ? 'AttachPolicyToUser' : 'DetachPolicyFromUser', {
        query: { ...policy, UserName },
      })
    else if (RoleName !== undefined && UserName === undefined)
      answer = await api.call(isAttach ? 'AttachPolicyToRole' : 'DetachPolicyFromRole', {
        query: { ...policy, RoleName },
      })
    else throw usage(syntax, 'needs either --user USER or --role ROLE')
    show(context, answer, `${escapeText(policy.PolicyName)}\n`)
  })

/** `tintype policy …`: who may do what. */
export const POLICY_COMMANDS: readonly ApiCommand[] = [
  create,
  list,
  get,
  remove,
  attachment('attach'),
  attachment('detach'),
]
