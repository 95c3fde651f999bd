import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import { runProgram } from '#base/process.ts'
import type { Database } from '#config/values.ts'
import { withLock } from '#lab/lock.ts'
import { ensurePackages } from '#lab/packages.ts'
import { steadyPort } from '#lab/port.ts'
import {
  clearWorkspace,
  LAB_CACHE,
  LAB_LOCKS,
  mustRun,
  openWorkspace,
  signalProcess,
  startDaemon,
  startTimeOf,
  stopDaemon,
} from '#lab/workspace.ts'

/** A PostgreSQL 15 of this process alone, on a free loopback port, with its data in memory. */
export interface PostgresCluster extends AsyncDisposable {
  /** A new, empty database. */
  createDatabase(): Promise<Extract<Database, { kind: 'postgres' }>>
  /** Run SQL in a database by `psql`, which is not our client; what it prints, without decoration. */
  query(database: Database, text: string): Promise<string>
  /** End it at once, as a crash does; `restart` brings it back. */
  kill(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
}

const BIN = '/usr/lib/postgresql/15/bin'
/** Nothing in it needs to outlive this machine; what was committed outlives `kill`. */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '64MB',
  jit: 'off',
  max_connections: '400', // a suite keeps a pool for each store that it has opened
}
const DATA_MIB = 8192 // what a tmpfs may take, not what it takes

/** PostgreSQL refuses to run as root. */
const asPostgres = (program: string, args: readonly string[]) =>
  ['setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', `${BIN}/${program}`, ...args]] as const

/**
 * Start a cluster from a template that is made once. The package's own service is neither needed nor touched.
 * Throws `permission_denied` without root.
 */
export async function startPostgres(): Promise<PostgresCluster> {
  await ensurePackages(['postgresql'])
  const template = await makeTemplate()
  const workspace = await openWorkspace('postgres')
  const data = `${workspace.directory}/data`
  mkdirSync(data)
  await mustRun('mount', ['-t', 'tmpfs', '-o', `size=${DATA_MIB}m,mode=0711`, 'tintype-lab', data])
  await mustRun('cp', ['-a', template, `${data}/cluster`])
  const port = await steadyPort()
  const server = ['-h', '127.0.0.1', '-p', `${port}`, '-U', 'postgres']
  const isReady = async () => (await runProgram(`${BIN}/pg_isready`, [...server, '-q'])).exitCode === 0
  const start = async () => {
    const settings = { ...SETTINGS, port, listen_addresses: '127.0.0.1', unix_socket_directories: '' }
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const [program, args] = asPostgres('postgres', ['-D', `${data}/cluster`, ...flags])
    return await startDaemon(workspace, { name: 'postgres', program, args, isReady })
  }
  let daemon = await start()
  let databases = 0
  // SIGQUIT is PostgreSQL's "immediate": its children end, nothing is written.
  const kill = async () => {
    if (startTimeOf(daemon.pid) === daemon.startTime) signalProcess(daemon.pid, 'SIGQUIT')
    await stopDaemon(daemon)
  }
  const stop = async () => {
    await kill()
    await clearWorkspace(workspace)
  }
  return {
    async createDatabase() {
      const name = `test${++databases}`
      await mustRun(`${BIN}/createdb`, [...server, name])
      return { kind: 'postgres', url: `postgres://postgres@127.0.0.1:${port}/${name}` }
    },
    async query(database, text) {
      if (database.kind !== 'postgres') throw new AppError('internal', 'psql asks PostgreSQL only.')
      const printed = await mustRun(`${BIN}/psql`, ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', database.url, '-c', text])
      return printed.toString().trimEnd()
    },
    kill,
    restart: async () => void (daemon = await start()),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** What initdb makes, kept: it takes a second, a copy of it a tenth. */
async function makeTemplate(): Promise<string> {
  const template = `${LAB_CACHE}/postgres-15`
  if (existsSync(template)) return template
  return await withLock(`${LAB_LOCKS}/postgres`, async () => {
    if (existsSync(template)) return template // another process was quicker
    const making = `${template}.making`
    rmSync(making, { recursive: true, force: true })
    mkdirSync(making, { recursive: true })
    await mustRun('chown', ['postgres', making])
    // A locale whose order is not that of bytes, as most installations have: what relies on order must say so.
    const locale = ['--locale-provider=icu', '--icu-locale=en-US', '--locale=C.UTF-8', '--encoding=UTF8']
    const args = ['-D', making, '-U', 'postgres', '--auth=trust', '--no-sync', ...locale]
    await mustRun(...asPostgres('initdb', args), { cwd: '/' })
    renameSync(making, template)
    return template
  })
}
