import type { Clock } from '#base/clock.ts'
import type { CommandSyntax, OptionKind, ParsedArguments } from '#cli/arguments.ts'
import { usage } from '#cli/arguments.ts'
import type { Terminal } from '#cli/terminal.ts'
import { encodeJsonLine } from '#cli/text.ts'
import type { ApiClient } from './client.ts'
import { formatTable } from './table.ts'
import type { Column } from './table.ts'

/** How a command asks for what must not stand on the command line. */
export interface Prompts {
  /** Whether a person can be asked. */
  readonly canAsk: boolean
  readonly ask: (question: string, options: { readonly isHidden: boolean }) => Promise<string>
  /** All of standard input. */
  readonly readInput: () => Promise<string>
}

/** What a command of the API works with. */
export interface CommandContext {
  readonly given: ParsedArguments
  readonly syntax: CommandSyntax
  readonly api: ApiClient
  readonly terminal: Terminal
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly prompts: Prompts
  readonly env: Readonly<Record<string, string | undefined>>
  /** The text of a file that the user names. Throws `usage_invalid`. */
  readonly readFile: (path: string) => Promise<string>
}

/** `tintype instance create`: what may be written, and what it does. It writes its result by `show`. */
export interface ApiCommand {
  readonly syntax: CommandSyntax
  readonly run: (context: CommandContext) => Promise<void>
}

/** What every command of the API takes. */
export const COMMON_OPTIONS = { endpoint: 'value', profile: 'value', json: 'flag' } as const

/** A command by its words, `instance create`, its arguments and its own options. */
export function command(
  line: string,
  options: Readonly<Record<string, OptionKind>>,
  run: ApiCommand['run'],
): ApiCommand {
  const words = line.split(' ')
  const first = words.findIndex((word) => /^\[?[A-Z]/.test(word))
  const [name, positionals] = first < 0 ? [words, []] : [words.slice(0, first), words.slice(first)]
  return { syntax: { command: name.join(' '), positionals, options: { ...options, ...COMMON_OPTIONS } }, run }
}

/** Write the result: the answer itself with `--json`, else text for people. */
export function show({ given, terminal }: CommandContext, answer: unknown, text: string): void {
  terminal.out(given.hasFlag('json') ? encodeJsonLine(answer) : text)
}

/** Write rows as a table, or with `--json` as one object that has them under `name`. */
export function showRows<T>(
  context: CommandContext,
  name: string,
  rows: readonly T[],
  columns: readonly Column<T>[],
): void {
  show(context, { [name]: rows, TotalCount: rows.length }, formatTable(columns, rows))
}

/** As many as the contract allows. */
export const PAGE_SIZE = 100

/** All items of a list that the server hands out page by page. `page`: from 1 on. */
export async function allPages<T>(load: (page: number) => Promise<readonly T[] | undefined>): Promise<readonly T[]> {
  const all: T[] = []
  for (let page = 1; ; page++) {
    const items = (await load(page)) ?? []
    all.push(...items)
    if (items.length < PAGE_SIZE) return all
  }
}

/** All items of a list whose next part begins at a marker. */
export async function allMarked<T>(
  load: (marker: string | undefined) => Promise<{
    readonly items: readonly T[] | undefined
    readonly IsTruncated?: boolean
    readonly Marker?: string
  }>,
): Promise<readonly T[]> {
  const all: T[] = []
  let marker: string | undefined
  do {
    const { items = [], IsTruncated, Marker } = await load(marker)
    all.push(...items)
    marker = IsTruncated === true && Marker !== marker ? Marker : undefined
  } while (marker !== undefined)
  return all
}

/** An argument that the syntax demands. */
export function argument({ given }: Pick<CommandContext, 'given'>, index: number): string {
  return given.positionals[index] ?? ''
}

/** `KEY=VALUE` of an option that may be repeated. Throws `usage_invalid`. */
export function pairs(
  { given, syntax }: CommandContext,
  option: string,
): readonly { readonly Key: string; readonly Value: string }[] {
  return given.values(option).map((text) => {
    const equals = text.indexOf('=')
    if (equals < 1) throw usage(syntax, `--${option} must be KEY=VALUE, not ${JSON.stringify(text)}`)
    return { Key: text.slice(0, equals), Value: text.slice(equals + 1) }
  })
}

/** A request without the fields that nobody gave a value; undefined when it has none. */
export function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return parsePresent(fields)
}

function parsePresent<T extends object>(fields: T) {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** A password: piped in with `--password-stdin`, else asked for. It never stands on the command line. */
export async function readPassword({ given, syntax, prompts }: CommandContext, question: string): Promise<string> {
  const isPiped = given.hasFlag('password-stdin')
  if (!isPiped && !prompts.canAsk)
    throw usage(syntax, 'has no terminal to ask for the password: pipe it in with --password-stdin')
  const typed = isPiped ? await prompts.readInput() : await prompts.ask(question, { isHidden: true })
  const password = typed.replace(/\r?\n$/, '')
  if (password === '') throw usage(syntax, 'needs a password, and an empty one was given')
  return password
}
