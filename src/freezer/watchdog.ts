/**
 * The watchdog: a program of its own that thaws a container when its owner cannot.
 *
 * It holds the read end of a pipe from the owner, which closes when the owner dies, however it dies. It is told each
 * freeze before it starts, and thaws when the pipe closes or when the limit passes (the owner may hang). It lives in a
 * session, and where possible a cgroup, of its own: what stops the owner must not reach it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { sleep } from '#base/abort.ts'
import { waysOut } from './cgroup-mounts.ts'
import { isAlive } from './process-identity.ts'
import { removeRecord, writeRecord } from './record.ts'
import { repairEngine, thaw } from './thaw.ts'
import { parseCommand, STAY_IN_CGROUP, type Notice, type RecordedFreeze } from './watchdog-protocol.ts'

const RETRY_MS = 1000
// An engine that is restarted is back by then; after that the record waits for the next start of Tintype.
const REPAIR_TRIES = 300

let armed: { readonly freeze: RecordedFreeze; readonly timer: NodeJS.Timeout } | undefined
let stopRepair = new AbortController()
let work: Promise<void> = Promise.resolve()

function say(notice: Notice): void {
  process.stdout.write(`${notice}\n`)
}

function disarm(): RecordedFreeze | undefined {
  const freeze = armed?.freeze
  clearTimeout(armed?.timer)
  armed = undefined
  return freeze
}

/** Thaw what is armed. Never gives up while the container that was frozen exists. */
async function release(): Promise<void> {
  const freeze = disarm()
  while (freeze !== undefined && isAlive(freeze.record.init)) {
    try {
      const thawed = await thaw(freeze.record.freezer)
      say('thawed')
      if (thawed === 'thawed') break
      writeRecord(freeze.path, { ...freeze.record, engineBehind: true })
      return await repair(freeze)
    } catch {
      await sleep(RETRY_MS)
    }
  }
  if (freeze !== undefined) removeRecord(freeze.path)
}

async function repair({ path, record }: RecordedFreeze): Promise<void> {
  const { signal } = (stopRepair = new AbortController())
  for (let left = REPAIR_TRIES; left > 0 && !signal.aborted; left--) {
    try {
      if (isAlive(record.init)) await repairEngine(record.freezer)
      return removeRecord(path)
    } catch {
      await sleep(RETRY_MS)
    }
  }
}

async function obey(line: string): Promise<void> {
  const command = parseCommand(line)
  if (command.do !== 'arm') {
    disarm()
    if (command.do === 'repair') work = work.then(() => repair(command))
    return
  }
  // The owner found the container not paused: a repair that still waits has nothing left to do, and must not meet a new freeze.
  stopRepair.abort()
  await work
  armed = { freeze: command, timer: setTimeout(() => (work = release()), command.limitMs) }
  say('armed')
}

function leaveOwnersCgroup(): void {
  try {
    for (const file of waysOut(readFileSync('/proc/self/cgroup', 'utf8'), readFileSync('/proc/self/mountinfo', 'utf8')))
      writeFileSync(file, String(process.pid), { flag: 'r+' })
  } catch {
    // A container without a writable cgroup tree: the record and the next start's thaw cover it.
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
process.stdout.on('error', () => {}) // the owner is gone: nobody listens
if (!process.argv.includes(STAY_IN_CGROUP)) leaveOwnersCgroup()
say('ready')
for await (const line of createInterface({ input: process.stdin })) await obey(line)
await work
await release()
process.exit()
