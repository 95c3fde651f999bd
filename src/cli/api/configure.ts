import { parseArguments, usage } from '#cli/arguments.ts'
import { EXIT } from '#cli/failure.ts'
import type { Terminal } from '#cli/terminal.ts'
import { escapeText } from '#cli/text.ts'
import type { Prompts } from './command.ts'
import { DEFAULT_PROFILE, parseEndpoint, storeProfile } from './profiles.ts'

export interface ConfigureParts {
  readonly terminal: Terminal
  readonly prompts: Prompts
  /** The file that profiles are kept in. */
  readonly path: string
}

/** What may be written after the command's name. */
export const CONFIGURE_SYNTAX = {
  command: 'configure',
  positionals: [],
  options: { profile: 'value', endpoint: 'value', 'access-key-id': 'value', 'secret-stdin': 'flag' },
} as const

/** `tintype configure`: keep a server and a key for it as a profile. The exit code; throws AppError. */
export async function runConfigure(args: readonly string[], parts: ConfigureParts): Promise<number> {
  const given = parseArguments(CONFIGURE_SYNTAX, args)
  const { terminal, prompts, path } = parts
  const isPiped = given.hasFlag('secret-stdin')
  const ask = async (option: 'endpoint' | 'access-key-id', question: string) => {
    const written = given.value(option)
    if (written !== undefined) return written
    if (isPiped || !prompts.canAsk)
      throw usage(CONFIGURE_SYNTAX, `has no terminal to ask: give --${option} and --secret-stdin`)
    return (await prompts.ask(question, { isHidden: false })).trim()
  }
  const endpoint = parseEndpoint(await ask('endpoint', 'Server (https://HOST[:PORT]): '))
  const id = await ask('access-key-id', 'Access key id: ')
  if (!/^[\x21-\x7e]{1,128}$/.test(id)) throw usage(CONFIGURE_SYNTAX, 'needs an access key id without blanks')
  const secret = (await readSecret(prompts, isPiped)).trim()
  if (!/^[\x21-\x7e]{1,256}$/.test(secret))
    throw usage(CONFIGURE_SYNTAX, 'needs the secret of the access key, one word of visible characters')
  const name = given.value('profile') ?? DEFAULT_PROFILE
  await storeProfile(path, name, { endpoint, key: { id, secret } })
  terminal.out(`The profile ${escapeText(name)} is kept in ${escapeText(path)}.\n`)
  return EXIT.ok
}

async function readSecret(prompts: Prompts, isPiped: boolean): Promise<string> {
  if (isPiped) return await prompts.readInput()
  if (!prompts.canAsk)
    throw usage(CONFIGURE_SYNTAX, 'has no terminal to ask for the secret: pipe it in with --secret-stdin')
  return await prompts.ask('Access key secret: ', { isHidden: true })
}
