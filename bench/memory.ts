import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { AppError } from '#base/errors.ts'

export interface ProcessReport {
  readonly name: string
  readonly peakBytes: number
  /** When all of them together had most. */
  readonly atPeakBytes: number
  readonly userSeconds: number
  readonly systemSeconds: number
}

export interface MemoryReport {
  /** The most that all processes had together, as PSS. */
  readonly peakBytes: number
  readonly samples: number
  readonly processes: readonly ProcessReport[]
}

const SAMPLER = fileURLToPath(new URL('memory-sampler.ts', import.meta.url))

/** Watch a process and all that it starts until it ends. */
export async function watchMemory(pid: number): Promise<MemoryReport> {
  const child = spawn(process.execPath, [SAMPLER, String(pid)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const printed = await text(child.stdout)
  const [exitCode] = (await ended) as [number | null]
  if (exitCode !== 0) throw new AppError('internal', `The sampler of memory ended with ${exitCode}.`)
  return JSON.parse(printed) as MemoryReport
}

/** CPU seconds of a process so far, user and system. */
export function cpuSecondsOf(pid: number): readonly [user: number, system: number] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return [Number(fields[11]) / 100, Number(fields[12]) / 100]
}
