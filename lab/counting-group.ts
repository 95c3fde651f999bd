import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseCgroupMounts } from '#freezer/cgroup-mounts.ts'
import { readCgroupState, thawCgroup } from '#freezer/cgroup.ts'
import type { InitProcess } from '#freezer/freezer.ts'
import { identifyProcess } from '#freezer/process-identity.ts'

/** A cgroup of the test's own in which one process counts: whoever looks sees whether it stands still. */
export interface CountingGroup extends AsyncDisposable {
  readonly directory: string
  /** The freezer file. */
  readonly file: string
  readonly init: InitProcess
  /** Whether the count moves within `ms`. */
  isCounting(ms?: number): Promise<boolean>
}

export interface FreezerHierarchy {
  readonly name: 'v1' | 'v2'
  readonly mountPoint: string
}

/** The freezer hierarchies of this machine: on a hybrid one both. */
export function freezerHierarchies(): readonly FreezerHierarchy[] {
  return parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8')).flatMap(({ isV1, controllers, mountPoint }) =>
    isV1 && !controllers.includes('freezer') ? [] : [{ name: isV1 ? ('v1' as const) : ('v2' as const), mountPoint }],
  )
}

/** Start a counting process in a fresh cgroup of `hierarchy`. */
export async function startCountingGroup(
  hierarchy: FreezerHierarchy = freezerHierarchies()[0]!,
): Promise<CountingGroup> {
  // In memory: a process that waits for a slow disk cannot be frozen (attacks.md C8), and this one always can.
  const work = mkdtempSync(join('/dev/shm', 'tintype-count-'))
  const directory = join(hierarchy.mountPoint, `tintype-test-${process.pid}-${work.slice(-6)}`)
  mkdirSync(directory)
  const counter = join(work, 'count')
  // The count is one byte more each time: a size is never half written. No program is started for the wait: its file is on
  // a disk, and a process that is stopped in the middle of a start cannot be frozen either.
  const enter = `echo $$ > ${directory}/cgroup.procs; exec 3<> <(:)`
  const loop = `${enter}; while :; do printf x >> ${counter}; read -r -t 0.005 -u 3; done`
  const child = spawn('bash', ['-c', loop], { stdio: 'ignore', detached: true })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const count = () => readCount(counter)
  const isCounting = async (ms = 100) => {
    const from = count()
    for (let waitedMs = 0; waitedMs < ms; waitedMs += 5) {
      await wait(5)
      if (count() !== from) return true
    }
    return false
  }
  if (!(await isCounting(5000))) throw new Error('the counting process does not count')
  const file = join(directory, hierarchy.name === 'v1' ? 'freezer.state' : 'cgroup.freeze')
  return {
    directory,
    file,
    init: identifyProcess(child.pid!)!,
    isCounting,
    async [Symbol.asyncDispose]() {
      if (readCgroupState(file) !== 'thawed') await thawCgroup(file)
      process.kill(-child.pid!, 'SIGKILL')
      await ended
      await removeCgroup(directory)
      rmSync(work, { recursive: true })
    },
  }
}

function readCount(file: string): number {
  try {
    return readFileSync(file).length
  } catch {
    return 0
  }
}

/** Remove an emptied cgroup and those in it: the kernel lets its dead processes go a moment after they were waited for. */
async function removeCgroup(directory: string): Promise<void> {
  for (const inner of readdirSync(directory, { withFileTypes: true }))
    if (inner.isDirectory()) await removeCgroup(join(directory, inner.name))
  for (let tries = 200; ; tries--) {
    try {
      return rmdirSync(directory)
    } catch (error) {
      if (tries === 0) throw error
      await wait(10)
    }
  }
}

/** Resolves with the milliseconds that it took until the cgroup was thawed; rejects after `limitMs`. */
export async function untilThawed(file: string, limitMs: number): Promise<number> {
  const start = performance.now()
  while (readCgroupState(file) !== 'thawed') {
    if (performance.now() - start > limitMs) throw new Error(`still frozen after ${limitMs} ms`)
    await wait(2)
  }
  return performance.now() - start
}
