import { spawn } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { sleep } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'
import { runProgram, type RunOptions } from '#base/process.ts'
import { withLock } from '#lab/lock.ts'

/** Where engines and registries of tests live; each in a directory that is gone when it has been stopped. */
export const LAB_HOME = '/var/lib/tintype-lab'
/** What is slow to make and kept: roots of other Debian releases, base images. */
export const LAB_CACHE = '/var/cache/tintype-lab'
export const LAB_LOCKS = '/run/lock/tintype-lab'

/** Processes that an engine leaves behind when it is killed: the parents of its containers. */
const SHIMS = /^(containerd-shim|conmon)/

/** A directory with what was started and mounted in it, so that all of it can be ended, also by another process later. */
export interface Workspace {
  readonly directory: string
}

export interface DaemonOptions {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Asked until it says yes. */
  readonly isReady: (log: string) => Promise<boolean> | boolean
  /** How long it may take to come up. */
  readonly timeoutMs?: number
}

export interface Daemon {
  readonly pid: number
  readonly startTime: string
  readonly logPath: string
}

/** Run a program; its standard output, or `internal` with what it said. */
export async function mustRun(program: string, args: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  const { exitCode, stdout, stderr } = await runProgram(program, args, options)
  if (exitCode === 0) return stdout
  const said = `${stderr}${stdout.toString()}`.trim().split('\n').slice(-20).join('\n')
  throw new AppError('internal', `${program} ${args.join(' ')} failed with ${exitCode}: ${said}`)
}

/**
 * A workspace of this process. What killed runs have left of theirs is tidied first.
 * Throws `permission_denied` without root.
 */
export async function openWorkspace(name: string): Promise<Workspace> {
  requireRoot()
  return await withLock(`${LAB_LOCKS}/workspaces`, async () => {
    for (const old of existsSync(LAB_HOME) ? readdirSync(LAB_HOME) : []) {
      const directory = `${LAB_HOME}/${old}`
      if (!isOwned(directory)) await clearWorkspace({ directory })
    }
    const directory = freeName(`${LAB_HOME}/${name}-${process.pid}`)
    return createWorkspace(directory)
  })
}

/** A workspace that outlives this process: only `clearWorkspace` ends it. */
export async function openLastingWorkspace(directory: string): Promise<Workspace> {
  requireRoot()
  return createWorkspace(directory)
}

function createWorkspace(directory: string): Workspace {
  mkdirSync(directory, { recursive: true, mode: 0o711 })
  writeFileSync(`${directory}/owner`, `${process.pid} ${startTimeOf(process.pid)}\n`)
  return { directory }
}

function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new AppError('permission_denied', 'Engines are started by root: use sudo.')
}

function freeName(prefix: string): string {
  for (let number = 1; ; number++) if (!existsSync(`${prefix}-${number}`)) return `${prefix}-${number}`
}

function isOwned(directory: string): boolean {
  return records(`${directory}/owner`).some(({ pid, startTime }) => startTimeOf(pid) === startTime)
}

/** Start a daemon in a session of its own and wait until it is ready. Throws `internal` with the end of its log. */
export async function startDaemon(workspace: Workspace, options: DaemonOptions): Promise<Daemon> {
  const logPath = `${workspace.directory}/${options.name}.log`
  const log = openSync(logPath, 'a')
  const child = spawn(options.program, options.args, {
    stdio: ['ignore', log, log],
    detached: true,
    cwd: workspace.directory,
    ...(options.env && { env: options.env }),
  })
  closeSync(log)
  const waiting = new AbortController()
  const failed = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? code}`))
  }).finally(() => waiting.abort())
  child.unref()
  const pid = child.pid ?? 0
  const daemon = { pid, startTime: startTimeOf(pid) ?? '', logPath }
  if (pid > 0) appendFileSync(`${workspace.directory}/daemons`, `${pid} ${daemon.startTime}\n`)
  const problem = await Promise.race([failed, becomesReady(options, logPath, waiting.signal)])
  if (problem === undefined) return daemon
  if (pid > 0) await stopDaemon(daemon)
  throw new AppError('internal', `${options.name} did not start: ${problem}. Its log ends:\n${tail(logPath)}`)
}

/** Undefined when it is ready, else why it is not. */
async function becomesReady(
  options: DaemonOptions,
  logPath: string,
  hasEnded: AbortSignal,
): Promise<string | undefined> {
  const timeoutMs = options.timeoutMs ?? 60_000
  const deadline = performance.now() + timeoutMs
  while (!hasEnded.aborted && performance.now() < deadline) {
    if (await options.isReady(readFileSync(logPath, 'utf8'))) return undefined
    await sleep(20)
  }
  return `not ready after ${timeoutMs / 1000} s`
}

/** SIGTERM, and SIGKILL after 10 seconds; returns when the process is gone. */
export async function stopDaemon({ pid, startTime }: Omit<Daemon, 'logPath'>): Promise<void> {
  const isAlive = () => startTimeOf(pid) === startTime
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (isAlive()) signalProcess(pid, signal)
    for (let waitedMs = 0; isAlive() && waitedMs < 10_000; waitedMs += 20) await sleep(20)
  }
}

/** Send a signal to a process that may end at this moment: then there is nothing to do. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error
  }
}

/** The last lines of a log, for a message. */
export function tail(path: string, lines = 15): string {
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n') : '(no log)'
}

/** End all that was started in a workspace, last first, unmount what is mounted below it, and remove it. */
export async function clearWorkspace({ directory }: Workspace): Promise<void> {
  for (const daemon of records(`${directory}/daemons`).toReversed()) await stopDaemon(daemon)
  for (const daemon of orphansOf(directory)) await killNow(daemon)
  for (const point of mountsBelow(directory)) await runProgram('umount', ['--lazy', point])
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}

async function killNow({ pid, startTime }: ProcessRecord): Promise<void> {
  if (startTimeOf(pid) === startTime) signalProcess(pid, 'SIGKILL')
  for (let waitedMs = 0; startTimeOf(pid) === startTime && waitedMs < 5_000; waitedMs += 20) await sleep(20)
}

interface ProcessRecord {
  readonly pid: number
  readonly startTime: string
}

function records(path: string): readonly ProcessRecord[] {
  return readIfThere(path)
    .split('\n')
    .flatMap((line) => {
      const [pid, startTime] = line.split(' ')
      return pid && startTime ? [{ pid: Number(pid), startTime }] : []
    })
}

/** Empty when there is no such file: whoever owns the workspace may be removing it. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
    return ''
  }
}

/** The shims whose command line names the workspace, and their descendants, containers first. */
function orphansOf(directory: string): readonly ProcessRecord[] {
  const processes = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (statOf(Number(name)) ?? []) : []))
  const found = processes.filter(
    ({ pid, command }) => SHIMS.test(command) && commandLineOf(pid).includes(`${directory}/`),
  )
  for (const parent of found) found.push(...processes.filter(({ parentPid }) => parentPid === parent.pid))
  return found.toReversed()
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}

function statOf(pid: number) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name is in brackets and may hold anything; what follows starts with field 3 of proc(5).
    const nameEnd = text.lastIndexOf(')')
    const fields = text.slice(nameEnd + 2).split(' ')
    const state = fields[0]
    const command = text.slice(text.indexOf('(') + 1, nameEnd)
    return { pid, command, state, parentPid: Number(fields[1]), startTime: fields[19]! }
  } catch {
    return undefined
  }
}

/** When a process started, in clock ticks since boot; undefined when there is no such process, or a zombie of it. */
export function startTimeOf(pid: number): string | undefined {
  const stat = statOf(pid)
  return stat && stat.state !== 'Z' ? stat.startTime : undefined
}

function mountsBelow(directory: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${directory}/`))
    .toReversed()
}
