import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import type { SigningKey } from '#access/sign.ts'
import { AppError } from '#base/errors.ts'
import { autocannonDirectory } from '#lab/autocannon.ts'

/** What the load tool is told. */
export interface LoadOrder {
  readonly url: string
  readonly key: SigningKey
  /** Paths with their queries, asked for in turn. */
  readonly targets: readonly string[]
  readonly connections: number
  /** At most so many requests in a second; absent: as many as go. */
  readonly perSecond?: number
  readonly seconds: number
}

export interface LoadResult {
  readonly answers: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly slowestMs: number
  /** Answers other than 200, by their status. */
  readonly refused: Readonly<Record<string, number>>
  /** Requests without an answer. */
  readonly lost: number
  /** What part of its core the tool itself was busy for: near 1, it is the limit. */
  readonly toolBusy: number
}

interface Counted {
  readonly refused: LoadResult['refused']
  readonly lost: number
  readonly elapsedMs: number
  readonly toolCpuMs: number
}

/** The figures of a run from the time that each answer took. */
export function summarize(timesMs: readonly number[], { elapsedMs, toolCpuMs, ...counted }: Counted): LoadResult {
  const sorted = Float64Array.from(timesMs).sort()
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN
  return {
    answers: sorted.length,
    perSecond: (sorted.length / elapsedMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    slowestMs: at(1),
    toolBusy: toolCpuMs / elapsedMs,
    ...counted,
  }
}

export interface RunningLoad {
  /** End it before its time. */
  stop(): void
  /** Throws `internal` when a request was lost or refused: figures of errors are no figures. */
  readonly result: Promise<LoadResult>
}

/**
 * Start the load tool; with `core`, on that core alone. It goes before other work: when it has to wait for a core itself,
 * that must not look like a slow answer.
 */
export async function startLoad(order: LoadOrder, core?: number): Promise<RunningLoad> {
  const directory = await autocannonDirectory()
  const pinned = core === undefined ? [] : ['taskset', '--cpu-list', `${core}`]
  const [program, ...args] = [...pinned, process.execPath, `${import.meta.dirname}/load-tool.ts`, directory] as const
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  if (child.pid !== undefined) goFirst(child.pid)
  child.stdin.write(`${JSON.stringify(order)}\n`)
  return { stop: () => child.stdin.end(), result: resultOf(child) }
}

async function resultOf(child: ChildProcess): Promise<LoadResult> {
  const [out, err] = [text(child.stdout!), text(child.stderr!)]
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new AppError('internal', `The load tool ended with ${code}: ${await err}`)
  const result = JSON.parse(await out) as LoadResult
  const refused = JSON.stringify(result.refused)
  if (result.answers > 0 && result.lost === 0 && refused === '{}') return result
  throw new AppError('internal', `Of ${result.answers} requests ${refused} were refused and ${result.lost} lost.`)
}

export async function load(order: LoadOrder, core?: number): Promise<LoadResult> {
  return await (
    await startLoad(order, core)
  ).result
}

/** Let all threads of a process run on one core only, before other work of the machine. */
export async function pin(pid: number, core: number): Promise<void> {
  const child = spawn('taskset', ['--all-tasks', '--cpu-list', '--pid', `${core}`, `${pid}`], { stdio: 'ignore' })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new AppError('internal', `taskset could not pin process ${pid}: it ended with ${code}.`)
  goFirst(pid)
}

/** A process with a session of its own goes before those of other sessions; sched(7) § The autogroup feature. */
function goFirst(pid: number): void {
  const path = `/proc/${pid}/autogroup`
  if (existsSync(path)) writeFileSync(path, `${FIRST}`)
}

const FIRST = -15
const TICKS_PER_SECOND = 100 // USER_HZ, the same on every Linux

/** The CPU time of a process so far, all threads, in milliseconds. */
export function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1000
}
