import { readFileSync } from 'node:fs'
import type { InitProcess } from './freezer.ts'

/** What /proc/PID/stat says of a process: its state letter, its parent, and field 22, the start time in clock ticks since boot. */
export interface ProcessStat {
  readonly state: string
  readonly parentPid: number
  readonly startTime: string
}

/** `text` of /proc/PID/stat. The second field, the command's name, may hold blanks and parentheses (proc_pid_stat(5)). */
export function parseProcessStat(text: string): ProcessStat | undefined {
  const [state, parent, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const startTime = rest[17]
  return state && startTime ? { state, parentPid: Number(parent), startTime } : undefined
}

/** The identity of a living process, or undefined when there is none: a zombie is dead, too. */
export function identifyProcess(pid: number): InitProcess | undefined {
  const stat = readStat(pid)
  if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined
  return { pid, startTime: stat.startTime }
}

/** Whether the process that `identity` names is alive, and not another one with its pid. */
export function isAlive(identity: InitProcess): boolean {
  return identifyProcess(identity.pid)?.startTime === identity.startTime
}

/** The process that started it, or undefined when the process is gone. */
export function parentOf(pid: number): number | undefined {
  return readStat(pid)?.parentPid
}

function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return undefined // gone: ENOENT before the open, ESRCH after it
  }
}
