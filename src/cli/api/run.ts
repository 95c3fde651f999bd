import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { nearestName, parseArguments } from '#cli/arguments.ts'
import { EXIT } from '#cli/failure.ts'
import type { Terminal } from '#cli/terminal.ts'
import { openClient } from './client.ts'
import type { ApiCommand, CommandContext, Prompts } from './command.ts'
import { IMAGE_COMMANDS } from './images.ts'
import { INSTANCE_COMMANDS } from './instances.ts'
import { POLICY_COMMANDS } from './policies.ts'
import { chooseProfile } from './profiles.ts'
import { REGISTRY_COMMANDS } from './registries.ts'
import { SCHEDULE_COMMANDS } from './schedules.ts'
import { SNAPSHOT_COMMANDS } from './snapshots.ts'
import { USER_COMMANDS } from './users.ts'

export interface ApiParts {
  readonly terminal: Terminal
  readonly clock: Clock
  readonly env: CommandContext['env']
  /** TINTYPE_HOME. */
  readonly home: string
  readonly prompts: Prompts
  readonly readFile: CommandContext['readFile']
}

/** Every command that speaks to a server. */
export const API_COMMANDS: readonly ApiCommand[] = [
  ...INSTANCE_COMMANDS,
  ...SNAPSHOT_COMMANDS,
  ...IMAGE_COMMANDS,
  ...USER_COMMANDS,
  ...POLICY_COMMANDS,
  ...REGISTRY_COMMANDS,
  ...SCHEDULE_COMMANDS,
]

/** `tintype instance list …`: `words` begin with the group. The exit code; throws AppError. */
export async function runApi(words: readonly string[], parts: ApiParts, signal: AbortSignal): Promise<number> {
  const { syntax, run } = findCommand(words)
  const given = parseArguments(syntax, words.slice(syntax.command.split(' ').length))
  const { endpoint, key } = await chooseProfile({
    ...parts,
    endpoint: given.value('endpoint'),
    profile: given.value('profile'),
  })
  const api = openClient({ endpoint, key, clock: parts.clock, signal })
  await run({ ...parts, given, syntax, api, signal })
  return EXIT.ok
}

/** The command that the first words name: the longest, so that `user key list` is not `user key`. */
function findCommand(words: readonly string[]): ApiCommand {
  const found = API_COMMANDS.find(({ syntax }) => {
    const own = syntax.command.split(' ')
    return own.every((word, i) => word === words[i])
  })
  if (found) return found
  const [group = '', ...rest] = words
  const isKey = group === 'user' && rest[0] === 'key'
  const prefix = isKey ? 'user key' : group
  const typed = (isKey ? rest[1] : rest[0]) ?? ''
  const verbs = verbsOf(prefix)
  const nearest = nearestName(typed, verbs)
  const hint = nearest ? `did you mean "tintype ${prefix} ${nearest}"?` : `it knows ${verbs.join(', ')}.`
  if (typed === '' || typed.startsWith('-'))
    throw new AppError('usage_invalid', `tintype ${prefix} needs a verb: ${verbs.join(', ')}.`)
  throw new AppError('usage_invalid', `tintype ${prefix} does not know ${JSON.stringify(typed)}: ${hint}`)
}

function verbsOf(prefix: string): readonly string[] {
  const words = API_COMMANDS.map(({ syntax }) => syntax.command).filter((name) => name.startsWith(`${prefix} `))
  return [...new Set(words.map((name) => name.slice(prefix.length + 1).split(' ')[0] ?? ''))]
}
