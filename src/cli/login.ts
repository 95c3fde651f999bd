import { AppError } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import { parseArguments, usage } from './arguments.ts'
import { EXIT } from './failure.ts'
import type { Terminal } from './terminal.ts'
import { escapeText } from './text.ts'

interface Login {
  readonly kind: 'basic'
  readonly username: string
  readonly password: string
}

export interface LoginParts {
  readonly terminal: Terminal
  /** Whether a person can be asked. */
  readonly canAsk: boolean
  readonly ask: (
    question: string,
    options: { readonly isHidden: boolean; readonly signal: AbortSignal },
  ) => Promise<string>
  /** All of standard input. */
  readonly readInput: (signal: AbortSignal) => Promise<string>
  readonly check: (registry: string, login: Login, signal: AbortSignal) => Promise<void>
  /** Returns where it was stored. */
  readonly store: (registry: string, login: Login, signal: AbortSignal) => Promise<string>
}

/** What may be written after the command's name. */
export const LOGIN_SYNTAX = {
  command: 'login',
  positionals: ['REGISTRY'],
  options: { username: 'value', 'password-stdin': 'flag' },
} as const

/** `tintype login REGISTRY`: check a login with the registry, then keep it where `docker login` does. The exit code; throws AppError. */
export async function runLogin(args: readonly string[], parts: LoginParts, signal: AbortSignal): Promise<number> {
  const given = parseArguments(LOGIN_SYNTAX, args)
  const registry = parseRegistry(given.positionals[0] ?? '')
  const fromInput = given.hasFlag('password-stdin')
  if (fromInput && given.value('username') === undefined)
    throw usage(LOGIN_SYNTAX, 'needs --username NAME with --password-stdin')
  if (!fromInput && !parts.canAsk)
    throw usage(
      LOGIN_SYNTAX,
      'has no terminal to ask for the password: pipe it in with --username NAME --password-stdin',
    )

  const username =
    given.value('username') ?? (await parts.ask(`User name for ${registry}: `, { isHidden: false, signal }))
  const typed = fromInput ? await parts.readInput(signal) : await parts.ask('Password: ', { isHidden: true, signal })
  const password = typed.replace(/\r?\n$/, '')
  if (username === '' || username.includes(':')) throw usage(LOGIN_SYNTAX, 'needs a user name without a colon')
  if (password === '') throw usage(LOGIN_SYNTAX, 'needs a password, and an empty one was given')
  const login = { kind: 'basic', username, password } as const
  await parts.check(registry, login, signal)
  const where = await parts.store(registry, login, signal)
  parts.terminal.out(`Logged in to ${escapeText(registry)}; the login is kept in ${escapeText(where)}.\n`)
  return EXIT.ok
}

/** A registry's host alone, by the grammar of references; Docker Hub's other names are `docker.io`. */
function parseRegistry(text: string): string {
  if (['docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(text)) return 'docker.io'
  const { registry } = text.includes('/') ? { registry: '' } : parseReference(`${text}/x`)
  if (registry === text) return registry
  throw new AppError(
    'reference_invalid',
    `${JSON.stringify(text)} is not a registry: write its host, such as registry.example.com or localhost:5000, without https:// and path.`,
  )
}
