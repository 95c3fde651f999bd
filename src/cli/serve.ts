import { parseArguments } from './arguments.ts'
import { EXIT } from './failure.ts'
import type { Terminal } from './terminal.ts'
import { escapeText } from './text.ts'

/** What a person needs to know of a server that runs. */
export interface Announcement {
  readonly url: string
  readonly metricsUrl: string
  /** The file with the account's first key; absent when the key is in the configuration. */
  readonly credentialsPath?: string
}

export interface ServeParts {
  readonly terminal: Terminal
  /** Run the server until the signal fires and everything has come to rest. */
  readonly serve: (options: {
    readonly configPath: string | undefined
    readonly announce: (announcement: Announcement) => void
    readonly signal: AbortSignal
  }) => Promise<void>
}

/** What may be written after the command's name. */
export const SERVE_SYNTAX = { command: 'serve', positionals: [], options: { config: 'value' } } as const

/** `tintype serve`: run the server, and say where it is. The exit code; throws AppError. */
export async function runServe(
  args: readonly string[],
  { terminal, serve }: ServeParts,
  signal: AbortSignal,
): Promise<number> {
  const given = parseArguments(SERVE_SYNTAX, args)
  const announce = (announcement: Announcement) => terminal.out(describe(announcement))
  await serve({ configPath: given.value('config'), announce, signal })
  return EXIT.ok
}

function describe({ url, metricsUrl, credentialsPath }: Announcement): string {
  const key = credentialsPath === undefined ? 'that of TINTYPE_ROOT_ACCESS_KEY_ID' : `in ${escapeText(credentialsPath)}`
  return [
    `Tintype serves ${url}`,
    `  access key   ${key}`,
    `  operations   ${url}/openapi.json`,
    `  metrics      ${metricsUrl}`,
    '',
    'Ctrl-C stops it; instances go on running.',
    '',
  ].join('\n')
}
