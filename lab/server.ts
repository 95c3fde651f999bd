import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { runProgram } from '#base/process.ts'
import type { Database } from '#config/values.ts'
import { removeContainers, type Engine } from '#lab/engine.ts'
import { steadyPort } from '#lab/port.ts'
import {
  clearWorkspace,
  openWorkspace,
  signalProcess,
  startDaemon,
  startTimeOf,
  stopDaemon,
  type Daemon,
  type Workspace,
} from '#lab/workspace.ts'

export interface ServerOptions {
  /** Where its instances live. Absent: no engine answers it. */
  readonly engine?: Engine
  /** Default: SQLite in its home. */
  readonly database?: Database
  /** More of its configuration, by the names of the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Another server of the same Docker host, whose home and database it shares. */
  readonly besides?: TestServer
}

/** A `tintype serve` in a process of its own. */
export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly metricsUrl: string
  /** `127.0.0.1:PORT`, as clients want it. */
  readonly host: string
  /** TINTYPE_HOME. */
  readonly home: string
  readonly database: Database
  /** The account's own access key. */
  readonly rootKey: { readonly id: string; readonly secret: string }
  /** Of the process that runs, or ran last. */
  pid(): number
  /** What it has printed and logged, in all of its lives. */
  log(): string
  /** End it as an orchestrator does: SIGTERM, and wait. */
  halt(): Promise<void>
  /** End it as a crash does: SIGKILL, and nothing else. */
  kill(): Promise<void>
  /** Start it again after `halt` or `kill`: the same address, home and database. */
  restart(): Promise<void>
  /** End it for good, and remove its home and, of what it made in the engine, all that is left. */
  stop(): Promise<void>
}

/** Start a real server on a free loopback port. Throws `internal` with the end of its log when it does not come up. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const workspace = await openWorkspace('server')
  // Below /tmp, which the engines of the lab see: instances mount parts of it.
  const home = options.besides?.home ?? mkdtempSync(`${tmpdir()}/tintype-server-`)
  const database = options.besides?.database ?? options.database ?? { kind: 'sqlite', path: `${home}/tintype.db` }
  const environment = (listen: string) => ({
    PATH: process.env['PATH'],
    TINTYPE_HOME: home,
    TINTYPE_LISTEN: listen,
    TINTYPE_METRICS_LISTEN: '127.0.0.1:0',
    TINTYPE_DATABASE: database.kind === 'sqlite' ? `sqlite:${database.path}` : database.url,
    DOCKER_HOST: `unix://${options.engine?.socketPath ?? `${home}/no-engine.sock`}`,
    ...options.env,
  })
  const clear = async () => {
    if (!options.besides) await removeHome(home, options.engine)
    await clearWorkspace(workspace)
  }
  let running = await run(workspace, environment(`127.0.0.1:${await steadyPort()}`)).catch(async (error: unknown) => {
    await clear()
    throw error
  })
  const { url } = running
  const { host } = new URL(url)
  const stop = async () => {
    await stopDaemon(running.daemon)
    await clear()
  }
  return {
    url,
    metricsUrl: running.metricsUrl,
    host,
    home,
    database,
    rootKey: options.besides?.rootKey ?? rootKeyOf(home, options.env),
    pid: () => running.daemon.pid,
    log: () => readFileSync(running.daemon.logPath, 'utf8'),
    halt: () => stopDaemon(running.daemon),
    kill: () => killDaemon(running.daemon),
    restart: async () => void (running = await run(workspace, environment(host))),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

interface Running {
  readonly daemon: Daemon
  readonly url: string
  readonly metricsUrl: string
}

/** The server prints its addresses when it is ready, and this line last. */
const LAST_LINE = 'Ctrl-C stops it'

async function run(workspace: Workspace, env: NodeJS.ProcessEnv): Promise<Running> {
  const logPath = `${workspace.directory}/server.log`
  const logStart = existsSync(logPath) ? readFileSync(logPath, 'utf8').length : 0
  let said = ''
  const daemon = await startDaemon(workspace, {
    name: 'server',
    program: process.execPath,
    args: ['--max-semi-space-size=32', `${process.cwd()}/src/main.ts`, 'serve'], // as bin/tintype starts it
    env,
    isReady: (log) => {
      said = log.slice(logStart)
      return said.includes(LAST_LINE)
    },
  })
  const [, url = ''] = /^Tintype serves (\S+)$/m.exec(said) ?? []
  const [, metricsUrl = ''] = /^ +metrics +(\S+)$/m.exec(said) ?? []
  return { daemon, url, metricsUrl }
}

function rootKeyOf(home: string, env: ServerOptions['env'] = {}): TestServer['rootKey'] {
  const { TINTYPE_ROOT_ACCESS_KEY_ID: id, TINTYPE_ROOT_ACCESS_KEY_SECRET: secret } = env
  if (id !== undefined && secret !== undefined) return { id, secret }
  const made = JSON.parse(readFileSync(`${home}/credentials.json`, 'utf8')) as Record<string, string>
  return { id: made['accessKeyId'] ?? '', secret: made['accessKeySecret'] ?? '' }
}

async function killDaemon({ pid, startTime, logPath: _log }: Daemon): Promise<void> {
  if (startTimeOf(pid) === startTime) signalProcess(pid, 'SIGKILL')
  await stopDaemon({ pid, startTime })
}

/** An instance that was not deleted has a directory in the home, and by its id a container and a volume. */
async function removeHome(home: string, engine: Engine | undefined): Promise<void> {
  const instances = `${home}/instances`
  if (engine && existsSync(instances))
    for (const id of readdirSync(instances)) {
      await removeContainers(engine, `io.tintype.instance=${id}`)
      const [program, ...before] = engine.command
      await runProgram(program, [...before, 'volume', 'rm', '--force', `tintype-${id}-workspace`], { env: engine.env })
    }
  rmSync(home, { recursive: true, force: true })
}
