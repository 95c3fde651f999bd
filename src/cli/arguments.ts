import { parseArgs } from 'node:util'
import { AppError } from '#base/errors.ts'

/** `flag`: given or not; `value`: given once with a value; `values`: as often as the user likes. */
export type OptionKind = 'flag' | 'value' | 'values'

export interface CommandSyntax {
  /** `snapshot` */
  readonly command: string
  /** Names of the arguments; one in brackets (`[REFERENCE]`) may be left out, and stands last. */
  readonly positionals: readonly string[]
  readonly options: Readonly<Record<string, OptionKind>>
}

/** What the user wrote, checked against the syntax. Asking for an option that the syntax has not gives nothing. */
export interface ParsedArguments {
  /** In the order of the syntax's names. */
  readonly positionals: readonly string[]
  hasFlag(name: string): boolean
  value(name: string): string | undefined
  values(name: string): readonly string[]
  /** A whole number within the range. Throws `usage_invalid`. */
  whole(name: string, range: { readonly min: number; readonly max: number }): number | undefined
  /** One of the choices. Throws `usage_invalid`. */
  choice<const T extends string>(name: string, choices: readonly T[]): T | undefined
}

/** Parse the arguments of one command. Every mistake is `usage_invalid` with one sentence. */
export function parseArguments(syntax: CommandSyntax, args: readonly string[]): ParsedArguments {
  const options = Object.fromEntries(
    Object.entries(syntax.options).map(([name, kind]) => [
      name,
      { type: kind === 'flag' ? 'boolean' : 'string' } as const,
    ]),
  )
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true })
  const found = new Map<string, string[]>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const value = checkOption(syntax, token)
    const earlier = found.get(token.name) ?? []
    if (earlier.length > 0 && syntax.options[token.name] === 'value')
      throw usage(syntax, `--${token.name} is given twice: give it once`)
    found.set(token.name, [...earlier, value])
  }
  checkPositionals(syntax, positionals)
  return access(syntax, positionals, found)
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value?: string | undefined
  readonly inlineValue?: boolean | undefined
}

function checkOption(syntax: CommandSyntax, { name, rawName, value, inlineValue }: OptionToken): string {
  const kind = Object.hasOwn(syntax.options, name) ? syntax.options[name] : undefined
  if (!kind || !rawName.startsWith('--')) throw unknownOption(syntax, rawName)
  if (kind === 'flag') {
    if (value !== undefined) throw usage(syntax, `--${name} takes no value: write it alone`)
    return ''
  }
  if (value === undefined || value === '') throw usage(syntax, `--${name} needs a value: write --${name} VALUE`)
  if (!inlineValue && /^--?[A-Za-z]/.test(value))
    throw usage(
      syntax,
      `--${name} needs a value, and ${JSON.stringify(value)} looks like an option: write --${name}=VALUE`,
    )
  return value
}

function unknownOption(syntax: CommandSyntax, rawName: string): AppError {
  const names = Object.keys(syntax.options).map((name) => `--${name}`)
  const nearest = nearestName(rawName, names)
  const hint = nearest ? `did you mean ${nearest}?` : `it has ${names.join(', ') || 'none'}`
  return usage(syntax, `has no option ${JSON.stringify(rawName)}: ${hint}`)
}

/** The name that is at most a third of its letters away from what was typed, or undefined. */
export function nearestName(typed: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, distance: editDistance(typed, name) }))
  const best = ranked.reduce<(typeof ranked)[number] | undefined>(
    (a, b) => (a && a.distance <= b.distance ? a : b),
    undefined,
  )
  return best && best.distance <= Math.ceil(best.name.length / 3) ? best.name : undefined
}

/** Levenshtein's distance: insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

function checkPositionals(syntax: CommandSyntax, given: readonly string[]): void {
  const wanted = syntax.positionals
  const missing = wanted.slice(given.length).find((name) => !name.startsWith('['))
  const line = ['tintype', syntax.command, ...wanted].join(' ')
  if (missing !== undefined) throw usage(syntax, `needs ${missing}: write "${line}"`)
  if (given.length > wanted.length)
    throw usage(syntax, `does not know what to do with ${JSON.stringify(given[wanted.length])}: write "${line}"`)
  const empty = wanted.find((_, i) => given[i] === '')
  if (empty !== undefined) throw usage(syntax, `needs ${empty}, and an empty one was given`)
}

function access(
  syntax: CommandSyntax,
  positionals: readonly string[],
  found: ReadonlyMap<string, string[]>,
): ParsedArguments {
  const value = (name: string) => found.get(name)?.[0]
  return {
    positionals,
    hasFlag: (name) => found.has(name),
    value,
    values: (name) => found.get(name) ?? [],
    whole(name, { min, max }) {
      const text = value(name)
      if (text === undefined) return undefined
      const number = /^\d{1,15}$/.test(text) ? Number(text) : -1
      if (number >= min && number <= max) return number
      throw usage(syntax, `--${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
    },
    choice(name, choices) {
      const text = value(name)
      const chosen = choices.find((choice) => choice === text)
      if (text === undefined || chosen !== undefined) return chosen
      throw usage(
        syntax,
        `--${name} must be ${choices.join(', ').replace(/, ([^,]*)$/, ' or $1')}, not ${JSON.stringify(text)}`,
      )
    },
  }
}

/** `usage_invalid`: "tintype COMMAND …: see tintype COMMAND --help". */
export function usage({ command }: Pick<CommandSyntax, 'command'>, what: string): AppError {
  const end = what.endsWith('?') ? '' : '.'
  return new AppError('usage_invalid', `tintype ${command}${what.startsWith('--') ? ': ' : ' '}${what}${end}`)
}
