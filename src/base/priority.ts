import { readFileSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'

/** In the steps of nice(1): as much of a core as nine others get, for whoever seldom needs one. */
const FIRST = -10
const EVEN = 0

/**
 * Let the main thread of this process go before other work of the machine, and if it leads a session (a service does, a
 * command in a terminal does not), the session before other sessions, which otherwise share the cores evenly: sched(7),
 * § The autogroup feature. Nothing happens where that is not allowed (setrlimit(2), RLIMIT_NICE).
 */
export function goFirst(): void {
  tryTo(() => setPriority(FIRST))
  if (isSessionLeader()) tryTo(() => writeFileSync('/proc/self/autogroup', `${FIRST}`))
}

/** A child of a process that goes first has inherited that; from now on it goes like others. */
export function goEvenly(pid: number): void {
  tryTo(() => setPriority(pid, EVEN))
}

function tryTo(change: () => void): void {
  try {
    change()
  } catch {
    // it may not, or has ended
  }
}

/** proc_pid_stat(5): the session is the sixth field, the fourth behind the name. */
function isSessionLeader(): boolean {
  const [, , , session] = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return session === `${process.pid}`
}
