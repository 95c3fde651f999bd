import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { systemClock } from '#base/clock.ts'
import { AppError, systemCode, toAppError } from '#base/errors.ts'
import type { Prompts } from '#cli/api/command.ts'
import { isForServer } from '#cli/api-groups.ts'
import { nearestName } from '#cli/arguments.ts'
import { EXIT, reportFailure } from '#cli/failure.ts'
import { COMMAND_NAMES, helpFor } from '#cli/help.ts'
import type { PreviewParts } from '#cli/preview.ts'
import type { ServeParts } from '#cli/serve.ts'
import type { SnapshotParts } from '#cli/snapshot.ts'
import type { SquashParts } from '#cli/squash.ts'
import type { Terminal } from '#cli/terminal.ts'
import { readConfig } from '#config/config.ts'
import type { Config } from '#config/config.ts'

/**
 * The roof: reads the configuration, builds the parts, dispatches the command. What a command needs is loaded only with
 * that command, so that `tintype --version` and a mistyped option answer at once.
 */

const terminal: Terminal = {
  out: (output) => void process.stdout.write(output),
  err: (output) => void process.stderr.write(output),
  isInteractive: process.stderr.isTTY === true,
  columns: () => process.stderr.columns || 80, // some pseudo-terminals say 0
}

async function runSnapshotCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const config = await readConfig(process.env)
  const [{ runSnapshot }, { openRegistries }] = await Promise.all([
    import('#cli/snapshot.ts'),
    import('#cli/registries.ts'),
  ])
  const parts: SnapshotParts = {
    terminal,
    clock: systemClock,
    config,
    sourceDateEpoch: process.env['SOURCE_DATE_EPOCH'],
    thawLeftovers,
    ...openRegistries({ config, env: process.env, signal }),
    locate: locateIn(config),
    capture: async (source, options) => (await import('#snapshot/capture.ts')).capture(source, options),
  }
  return runSnapshot(args, parts, signal)
}

/** For what needs no container: an engine on another host, or by another way, is no mistake there. */
function withoutRemoteEngine({ DOCKER_HOST: engine, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return engine?.startsWith('unix://') ? { ...env, DOCKER_HOST: engine } : env
}

async function runSquashCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const config = await readConfig(withoutRemoteEngine(process.env))
  const [{ runSquash }, { openRegistries }] = await Promise.all([
    import('#cli/squash.ts'),
    import('#cli/registries.ts'),
  ])
  const { openTarget, openSource } = openRegistries({ config, env: process.env, signal })
  const squash: SquashParts['squash'] = async (options) => (await import('#snapshot/squash/squash.ts')).squash(options)
  return runSquash(args, { terminal, clock: systemClock, config, openTarget, openSource, squash }, signal)
}

async function runPreviewCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const config = await readConfig(process.env)
  const { runPreview } = await import('#cli/preview.ts')
  const preview: PreviewParts['preview'] = async (source, options) =>
    (await import('#snapshot/preview.ts')).preview(source, options)
  return runPreview(args, { terminal, config, locate: locateIn(config), preview }, signal)
}

/** Finds containers of the configured engine; its library is loaded by the first call. */
function locateIn({ dockerSocketPath, home }: Config): SnapshotParts['locate'] {
  return async (container, signal) => {
    const { locateDockerContainer } = await import('#runtime/docker/locate.ts')
    return locateDockerContainer({ socketPath: dockerSocketPath, container, signal, spoolDirectory: home })
  }
}

/** For the server alone, and so in no help: a request on standard input, events on standard output. */
async function runCaptureChildCommand(_args: readonly string[], signal: AbortSignal): Promise<number> {
  const { runCaptureChild } = await import('#runtime/docker/capture/child.ts')
  const isSaved = await runCaptureChild({ input: process.stdin, output: process.stdout, signal })
  return isSaved ? EXIT.ok : 1
}

async function runDoctorCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const config = await readConfig(process.env)
  const [{ runDoctor }, { realHost }, { openRegistries }] = await Promise.all([
    import('#cli/doctor.ts'),
    import('#cli/host.ts'),
    import('#cli/registries.ts'),
  ])
  const { describe } = openRegistries({ config, env: process.env, signal })
  const host = realHost(config, process.env)
  return runDoctor(args, { terminal, host, thawLeftovers, checkRegistry: describe }, signal)
}

async function runServeCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  process.umask(0o077) // what the server writes is nobody else's to read
  const { runServe } = await import('#cli/serve.ts')
  const serve: ServeParts['serve'] = async ({ configPath, announce, signal }) => {
    const config = await readConfig(process.env, configPath)
    const [{ serve }, { openLog }] = await Promise.all([import('#http/serve.ts'), import('#http/log.ts')])
    const log = openLog({ write: (line) => void process.stderr.write(line) })
    await serve({ config, clock: systemClock, log, version: readVersion(), thawLeftovers, announce, signal })
  }
  return runServe(args, { terminal, serve }, signal)
}

/** `words` begin with the group: several of them share this way. */
async function runApiCommand(words: readonly string[], signal: AbortSignal): Promise<number> {
  const { home } = await readConfig(withoutRemoteEngine(process.env))
  const [{ runApi }, prompts] = await Promise.all([import('#cli/api/run.ts'), openPrompts(signal)])
  const parts = { terminal, clock: systemClock, env: process.env, home, prompts, readFile: readTextFile }
  return runApi(words, parts, signal)
}

async function runConfigureCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const [{ runConfigure }, { profilesPath }] = await Promise.all([
    import('#cli/api/configure.ts'),
    import('#cli/api/profiles.ts'),
  ])
  return runConfigure(args, { terminal, prompts: await openPrompts(signal), path: profilesPath(process.env) })
}

async function openPrompts(signal: AbortSignal): Promise<Prompts> {
  const { askPerson } = await import('#cli/prompt.ts')
  return {
    canAsk: process.stdin.isTTY === true,
    ask: (question, options) => askPerson(process.stdin, terminal.err, question, { ...options, signal }),
    readInput: () => text(process.stdin),
  }
}

async function readTextFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new AppError('usage_invalid', `${path} cannot be read (${systemCode(error)}): name a file that is there.`)
  }
}

async function runLoginCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const config = await readConfig(withoutRemoteEngine(process.env))
  const [{ runLogin }, { askPerson }, { openRegistries }, { storeCredentials }] = await Promise.all([
    import('#cli/login.ts'),
    import('#cli/prompt.ts'),
    import('#cli/registries.ts'),
    import('#registry/credentials.ts'),
  ])
  return runLogin(
    args,
    {
      terminal,
      canAsk: process.stdin.isTTY === true,
      ask: (question, options) => askPerson(process.stdin, terminal.err, question, options),
      readInput: () => text(process.stdin),
      check: openRegistries({ config, env: process.env, signal }).checkLogin,
      store: (registry, login) => storeCredentials(registry, login, process.env, { signal }),
    },
    signal,
  )
}

const LEFTOVER = {
  thawed: 'A container that an earlier run left frozen was thawed',
  repaired:
    'A container that an earlier run had frozen runs, and the engine, which took it for paused, knows that again',
  failed: 'A container that an earlier run left frozen could not be thawed',
} as const

/** Thaw what an earlier run left frozen (attacks.md A9), and end its watches; a sentence for each freeze that was something. */
async function thawLeftovers(): Promise<readonly string[]> {
  const [{ thawLeftovers: thaw }, { RECORD_HOME }, { sweepWatches }] = await Promise.all([
    import('#freezer/recover.ts'),
    import('#freezer/record.ts'),
    import('#watch/sweep.ts'),
  ])
  await sweepWatches(RECORD_HOME)
  return (await thaw()).flatMap(({ did, record, reason }) => {
    if (did === 'gone' || did === 'held') return []
    return [`${LEFTOVER[did]} (${record})${reason === undefined ? '.' : `: ${reason}`}`]
  })
}

type Command = (args: readonly string[], signal: AbortSignal) => Promise<number>

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['snapshot', runSnapshotCommand],
  ['preview', runPreviewCommand],
  ['squash', runSquashCommand],
  ['doctor', runDoctorCommand],
  ['login', runLoginCommand],
  ['serve', runServeCommand],
  ['configure', runConfigureCommand],
  ['capture-child', runCaptureChildCommand],
])

async function dispatch(args: readonly string[], signal: AbortSignal): Promise<number> {
  const [command, ...rest] = args
  const plain = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest
  if (command === '--version') return print(`tintype ${readVersion()}\n`)
  if (command === '--help' || command === '-h') return print(helpFor(undefined))
  if (command === 'help') return print(helpFor(plain[0], plain[1]))
  if (command === undefined) {
    terminal.err(helpFor(undefined))
    throw new AppError('usage_invalid', 'Name a command, such as "tintype doctor".')
  }
  const run = COMMANDS.get(command)
  const isApi = isForServer(args)
  if (!run && !isApi) throw unknownCommand(command)
  if (plain.some((arg) => arg === '--help' || arg === '-h')) return print(helpFor(command, rest[0]))
  return run && !isApi ? run(rest, signal) : runApiCommand(args, signal)
}

function print(output: string): number {
  terminal.out(output)
  return EXIT.ok
}

function unknownCommand(command: string): AppError {
  const nearest = nearestName(command, COMMAND_NAMES)
  const hint = nearest ? `did you mean "tintype ${nearest}"?` : 'see "tintype help".'
  return new AppError('usage_invalid', `There is no command ${JSON.stringify(command)}: ${hint}`)
}

function readVersion(): string {
  // Beside `src` in a checkout and beside `dist` in a package: one floor up in both.
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return String(version)
}

/** The first Ctrl-C cancels and tidies; the next one has its usual effect, and ends us at once. */
function cancelOnSignals(): AbortSignal {
  const controller = new AbortController()
  const isHangupIgnored = process.env['TINTYPE_NOHUP'] === '1' // bin/tintype has seen it
  if (isHangupIgnored) process.on('SIGHUP', () => {})
  const names = ['SIGINT', 'SIGTERM', ...(isHangupIgnored ? [] : (['SIGHUP'] as const))] as const
  const onSignal = (name: NodeJS.Signals) => {
    for (const each of names) process.off(each, onSignal)
    controller.abort(new AppError('cancelled', `Cancelled by ${name}.`))
  }
  for (const name of names) process.on(name, onSignal)
  return controller.signal
}

async function main(args: readonly string[]): Promise<number> {
  const isJson = (args.includes('--') ? args.slice(0, args.indexOf('--')) : args).includes('--json')
  const signal = cancelOnSignals()
  try {
    return await dispatch(args, signal)
  } catch (error) {
    // Once it is cancelled, whatever fails fails because of that.
    return reportFailure(toAppError(signal.aborted ? signal.reason : error), terminal, isJson)
  }
}

// `tintype … | head`: nobody reads the rest, which is no mistake of ours.
process.stdout.on('error', (error) => {
  if (systemCode(error) !== 'EPIPE') throw error
})
// Progress and the log are no reason to stop work, let alone with a container frozen.
process.stderr.on('error', () => {})
const exitCode = await main(process.argv.slice(2))
// Connections that are kept open must not keep us; what was written goes out first.
process.stdout.write('', () => process.exit(exitCode))
