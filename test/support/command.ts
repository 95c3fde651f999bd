import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Captured } from '#snapshot/result.ts'

export interface CommandOptions {
  /** TINTYPE_HOME. */
  readonly home: string
  readonly socketPath: string
}

export interface CommandResult {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly out: string
  readonly err: string
  /** As `process.hrtime`: CLOCK_MONOTONIC, which a container has in common with its host. */
  readonly startedNs: bigint
  readonly endedNs: bigint
}

export interface RunningCommand {
  readonly pid: number
  /** To its whole process group, as Ctrl-C in a terminal is. */
  signal(name: NodeJS.Signals): void
  readonly ended: Promise<CommandResult>
}

/** `bin/tintype ARGS` in a process group of its own. */
export function startTintype(args: readonly string[], { home, socketPath }: CommandOptions): RunningCommand {
  const startedNs = process.hrtime.bigint()
  const env = { PATH: process.env['PATH'], HOME: home, TINTYPE_HOME: home, DOCKER_HOST: `unix://${socketPath}` }
  const child = spawn('bin/tintype', args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const seen = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (seen.out += chunk))
  child.stderr.on('data', (chunk) => (seen.err += chunk))
  const exited = once(child, 'exit').then(() => process.hrtime.bigint())
  const ended = once(child, 'close').then(async ([code]) => ({
    ...seen,
    code: code as number | null,
    startedNs,
    endedNs: await exited,
  }))
  return { pid: child.pid!, signal: (name) => void process.kill(-child.pid!, name), ended }
}

/** Run to the end. */
export function runTintype(args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  return startTintype(args, options).ended
}

/** `tintype snapshot ARGS --json`, which has to succeed. */
export async function snapshot(args: readonly string[], options: CommandOptions): Promise<Captured & CommandResult> {
  const result = await runTintype(['snapshot', ...args, '--json', '--quiet'], options)
  if (result.code !== 0)
    throw new Error(`tintype snapshot ${args.join(' ')}: exit code ${result.code}\n${result.err}${result.out}`)
  return { ...(JSON.parse(result.out) as Captured), ...result }
}
