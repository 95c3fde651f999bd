import { writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { AppError } from '#base/errors.ts'
import type { Captured } from '#snapshot/result.ts'
import { mustRun } from '#lab/workspace.ts'
import { watchMemory, type MemoryReport } from './memory.ts'

/** What Tintype is run with. */
export interface Home {
  readonly directory: string
  readonly env: NodeJS.ProcessEnv
}

export interface SnapshotRequest {
  readonly container: string
  readonly reference: string
  readonly args?: readonly string[]
  readonly watchesMemory?: boolean
}

export interface TimedSnapshot {
  readonly ms: number
  readonly result: Captured
  readonly memory: MemoryReport | undefined
  /** User and system, of all processes; where memory was watched. */
  readonly cpuSeconds: number | undefined
}

/** Milliseconds that some work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  await work()
  return performance.now() - from
}

/** `tintype snapshot`, as its user runs it, from the start of the process to its end. Throws `internal` with what it says. */
export async function snapshot(home: Home, request: SnapshotRequest): Promise<TimedSnapshot> {
  const { container, reference, args = [], watchesMemory = false } = request
  const from = performance.now()
  const command = ['bin/tintype', 'snapshot', container, reference, '--json', '--quiet', ...args]
  const child = watchesMemory
    ? spawn('bash', ['-c', WITH_TIMES, 'bash', ...command], { stdio: ['ignore', 'pipe', 'inherit'], env: home.env })
    : spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], env: home.env })
  const ended = once(child, 'close')
  const watching = watchesMemory && child.pid !== undefined ? watchMemory(child.pid) : undefined
  const printed = await text(child.stdout)
  const [exitCode] = (await ended) as [number | null]
  const ms = performance.now() - from
  if (exitCode !== 0) throw new AppError('internal', `tintype snapshot ended with ${exitCode}: ${printed}`)
  const [line = '', ...times] = printed.split('\n')
  const cpuSeconds = watchesMemory ? secondsOf(times) : undefined
  return { ms, result: JSON.parse(line) as Captured, memory: await watching, cpuSeconds }
}

/** The kernel counts exactly, and the sampler of memory now and then: the shell says what its children took. */
const WITH_TIMES = '"$@"; code=$?; times; exit $code'

/** What bash's `times` says of its children, in its last line: `0m1.234s 0m0.567s`. */
function secondsOf(lines: readonly string[]): number {
  const last = lines.findLast((line) => line !== '') ?? ''
  const times = [...last.matchAll(/(\d+)m([\d.]+)s/g)]
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0)
}

export async function preview(home: Home, container: string): Promise<void> {
  await mustRun('bin/tintype', ['preview', container, '--json'], { env: home.env })
}

/** The least that reading, packing, compressing and hashing a tree can take with the usual tools. */
export async function tarZstd(directory: string): Promise<void> {
  await shell('tar -C "$1" -cf - . | zstd -1 -T2 --quiet --stdout | sha256sum', directory)
}

/** What one look at every file takes. */
export async function find(directory: string): Promise<void> {
  await shell(`find "$1" -printf '%p %s %T@ %C@ %U %G %m %n\\n' >/dev/null`, directory)
}

/** Bring a tree into the page cache. tar does not read what goes to /dev/null, so it goes through a pipe. */
export async function warmUp(directory: string): Promise<void> {
  await shell('tar -C "$1" -cf - . | cat >/dev/null', directory)
}

/** Forget all that the kernel has kept of files: pages, names and inodes. */
export async function dropCaches(): Promise<void> {
  await mustRun('sync', [])
  writeFileSync('/proc/sys/vm/drop_caches', '3')
}

/** Time some work when nothing is left to be written of what came before. */
export async function quietly(work: () => Promise<unknown>): Promise<number> {
  await mustRun('sync', [])
  return await timed(work)
}

async function shell(script: string, directory: string): Promise<void> {
  await mustRun('bash', ['-o', 'pipefail', '-c', script, 'bash', directory])
}
