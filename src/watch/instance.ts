import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '#base/errors.ts'

/** Every store of an inode's ctime passes one of them (fs/inode.c since Linux 6.13; what else there is: ADR 9, O1). */
export const EVENTS = ['ctime_ns_xchg', 'inode_set_ctime_to_ts'] as const

const eventFile = (instance: string, event: string, file: string) => join(instance, 'events/timestamp', event, file)

/** What lets an event pass, each its own. */
export type Filters = Readonly<Record<(typeof EVENTS)[number], string>>

export interface InstanceOptions {
  readonly filters: Filters
  /** For each CPU. */
  readonly bufferKb: number
}

/** Make `instance`, a directory of our own under tracefs's `instances/`, and let the events that its filters let pass into it. Throws the system error. */
export async function startInstance(instance: string, { filters, bufferKb }: InstanceOptions): Promise<void> {
  await mkdir(instance, 0o700)
  await writeFile(join(instance, 'buffer_size_kb'), String(bufferKb))
  // Without it a line begins with the name of the process, in which a container may put what it likes, line feeds too.
  await writeFile(join(instance, 'options/context-info'), '0')
  for (const event of EVENTS) await writeFile(eventFile(instance, event, 'filter'), filters[event])
  for (const event of EVENTS) await writeFile(eventFile(instance, event, 'enable'), '1')
}

/** Remove an instance; the kernel ends its events and frees its buffers. True when it was there. Throws the system error (EBUSY while it is read). */
export async function removeInstance(instance: string): Promise<boolean> {
  try {
    await rmdir(instance)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/** What one CPU's `stats` count since the instance was made. */
export interface CpuCounters {
  readonly overrun: number
  readonly commitOverrun: number
  readonly dropped: number
  /** Events that were read by whomever. */
  readonly read: number
}

/** The text of per_cpu/cpuN/stats. A counter that is not there is NaN. */
export function parseCounters(stats: string): CpuCounters {
  const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(stats)?.[1] ?? NaN)
  return {
    overrun: count('overrun'),
    commitOverrun: count('commit overrun'),
    dropped: count('dropped events'),
    read: count('read events'),
  }
}

/** Why the counters say that events are missing, when `lines` were taken; undefined when none is (ADR 9, O3). */
export function counterFlaw(cpus: readonly CpuCounters[], lines: number): string | undefined {
  const sum = (count: (cpu: CpuCounters) => number) => cpus.reduce((total, cpu) => total + count(cpu), 0)
  const overrun = sum((cpu) => cpu.overrun + cpu.commitOverrun)
  const dropped = sum((cpu) => cpu.dropped)
  const read = sum((cpu) => cpu.read)
  if (Number.isNaN(overrun + dropped + read) || cpus.length === 0) return 'the counters of the trace cannot be read'
  if (overrun > 0) return `the trace overran by ${overrun} events`
  if (dropped > 0) return `the trace dropped ${dropped} events`
  return read === lines ? undefined : `of the ${read} events that were read from the trace, ${lines} were seen`
}

/**
 * Why what was read of `instance` may not be all: its counters, or a switch that somebody has turned since.
 * Synchronous and short: it is asked while a container is frozen. Throws the system error.
 */
export function instanceFlaw(instance: string, lines: number, filters: Filters): string | undefined {
  const read = (path: string) => readFileSync(path, 'latin1').trim()
  if (read(join(instance, 'tracing_on')) !== '1') return 'tracing was switched off'
  for (const event of EVENTS) {
    if (read(eventFile(instance, event, 'enable')) !== '1') return `the event ${event} was switched off`
    if (read(eventFile(instance, event, 'filter')) !== filters[event]) return `the filter of ${event} was changed`
  }
  const cpus = readdirSync(join(instance, 'per_cpu'))
  const counters = cpus.map((cpu) => parseCounters(read(join(instance, 'per_cpu', cpu, 'stats'))))
  return counterFlaw(counters, lines)
}
