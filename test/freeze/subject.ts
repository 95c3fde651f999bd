import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { findFreezerCgroup, readCgroupState } from '#freezer/cgroup.ts'
import { RECORD_HOME, recordPath } from '#freezer/record.ts'
import { startContainer, type Container } from '#lab/container.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startTimeOf } from '#lab/workspace.ts'
import type { CommandOptions } from '../support/command.ts'

/** About 25 MB that no compressor makes smaller, and a heart that beats outside of what is saved. */
const COMMAND = `
mkdir -p /data; for i in $(seq 1200); do head -c 20000 /dev/urandom > /data/$i; done
while :; do printf x >> /beat/count; usleep 5000; done`
/** How long a heart that beats each 5 ms may be silent on a busy machine. */
const BEAT_MS = 5000
const ENDED_MS = 30_000

/** A container to be frozen, and whoever looks after it. */
export interface Subject extends AsyncDisposable {
  readonly engine: Engine
  readonly container: Container
  readonly options: CommandOptions
  /** A directory of this subject's own. */
  readonly directory: string
  /** What the engine says. */
  status(): Promise<string>
  /** Throws unless engine, kernel and the heartbeat all say that it runs. */
  assertRuns(): Promise<void>
  /** Throws unless nothing of a capture is left: spool, records of freezes. */
  assertTidy(): void
  /** Resolves when the container's freeze has been recorded, which is a moment before it is frozen. */
  freezeRecorded(signal: AbortSignal): Promise<void>
}

export async function startSubject(engine: Engine): Promise<Subject> {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-freeze-'))
  const home = join(directory, 'home')
  mkdirSync(join(directory, 'beat'))
  mkdirSync(RECORD_HOME, { recursive: true, mode: 0o700 })
  const container = await startContainer(engine, await busyboxImage(engine), {
    command: ['sh', '-c', COMMAND],
    args: ['--volume', `${directory}/beat:/beat`],
  })
  const cgroup = findFreezerCgroup(container.pid, container.id)!
  const freezer = { kind: 'engine', socketPath: engine.socketPath, containerId: container.id, cgroup } as const
  const recordName = basename(recordPath(RECORD_HOME, freezer, { pid: 0, startTime: '' })).replace(/0\.json$/, '')
  const status = () => engine.docker(['inspect', '--format', '{{.State.Status}}', container.id])
  const beats = () => statSync(join(directory, 'beat/count')).size
  const until = async (isSo: () => boolean, limitMs: number) => {
    for (let waitedMs = 0; !isSo() && waitedMs < limitMs; waitedMs += 5) await wait(5)
    return isSo()
  }
  assert.ok(await until(() => readdirSync(join(directory, 'beat')).includes('count'), 60_000), 'the subject starts')
  return {
    engine,
    container,
    directory,
    options: { home, socketPath: engine.socketPath },
    status,
    async assertRuns() {
      const before = beats()
      assert.deepEqual([await status(), readCgroupState(cgroup)], ['running', 'thawed'])
      assert.ok(await until(() => beats() > before, BEAT_MS), 'its heart beats')
    },
    assertTidy() {
      assert.deepEqual(readdirSync(join(home, 'spool')), [], 'no spool is left')
      const records = readdirSync(RECORD_HOME).filter((name) => name.startsWith(recordName))
      assert.deepEqual(records, [], 'no record of a freeze is left')
    },
    async freezeRecorded(signal) {
      // Not node:fs/promises: it starts to watch only when it is first asked.
      const watcher = watch(RECORD_HOME, { signal })
      await new Promise<void>((resolve) => {
        watcher.on('change', (_, name) => String(name).startsWith(recordName) && resolve())
        watcher.on('close', () => resolve())
      })
      watcher.close()
    },
    async [Symbol.asyncDispose]() {
      await container.remove()
      rmSync(directory, { recursive: true })
    },
  }
}

export interface Identity {
  readonly pid: number
  readonly startTime: string
}

/** A process and all that it has started, whatever group or session they are in. */
export function familyOf(pid: number): readonly Identity[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) if (/^\d+$/.test(name)) parents.set(Number(name), parentOf(Number(name)))
  const family = [pid]
  for (const member of family) for (const [child, parent] of parents) if (parent === member) family.push(child)
  return family.flatMap((member) => {
    const startTime = startTimeOf(member)
    return startTime === undefined ? [] : [{ pid: member, startTime }]
  })
}

function parentOf(pid: number): number {
  try {
    return Number(/\) \S (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1])
  } catch {
    return 0 // it has ended meanwhile
  }
}

/** Throws unless all of them, and every process that names `home`, end within a few seconds. */
export async function assertEnded(family: readonly Identity[], home: string): Promise<void> {
  const left = () => [
    ...family.filter(({ pid, startTime }) => startTimeOf(pid) === startTime).map(({ pid }) => commandOf(pid)),
    ...readdirSync('/proc').flatMap((name) => {
      const command = /^\d+$/.test(name) ? commandOf(Number(name)) : ''
      return command.includes(home) ? [command] : []
    }),
  ]
  for (let waitedMs = 0; left().length > 0 && waitedMs < ENDED_MS; waitedMs += 20) await wait(20)
  assert.deepEqual(left(), [])
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
