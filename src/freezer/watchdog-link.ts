import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { AppError } from '#base/errors.ts'
import { parseNotice, STAY_IN_CGROUP, type Command, type Notice, type RecordedFreeze } from './watchdog-protocol.ts'

/** The owner's end of the line to a watchdog process. */
export interface Watchdog {
  readonly pid: number
  /** Returns once the watchdog has said that it will thaw `limitMs` from now. Throws `freeze_failed` when it is dead or silent. */
  arm(freeze: RecordedFreeze, limitMs: number): Promise<void>
  disarm(): void
  /** Ask it to make the engine's idea of a thawed container true again; it goes on after the owner has ended. */
  repair(freeze: RecordedFreeze): void
  /** Let it end, once nothing is left to do for it. */
  close(): void
}

/** What can end a freeze from the watchdog's side. */
export interface WatchdogEvents {
  /** The limit passed, and it has thawed the container. */
  onThawed(): void
  /** It is dead: nobody would thaw if the owner died, too. */
  onDeath(error: AppError): void
}

type Child = ChildProcessByStdio<Writable, Readable, null>

/** Nothing is frozen while it starts: on a machine that is busy that may take long. */
const START_LIMIT_MS = 30_000
const ANSWER_LIMIT_MS = 5000
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
// In a checkout the source itself, in what is shipped the bundle beside ours.
const PROGRAM = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? 'watchdog.ts' : 'watchdog.mjs', import.meta.url),
)

/**
 * Start a watchdog and wait until it is ready. Under systemd it gets a scope of its own, so that a stop of our unit does
 * not kill it together with us. Throws `freeze_failed` when it cannot be started.
 */
export async function startWatchdog(events: WatchdogEvents): Promise<Watchdog> {
  const node = [process.execPath, PROGRAM]
  if (existsSync('/run/systemd/system')) {
    // sd_booted(3)
    const scope = ['systemd-run', '--scope', '--quiet', '--collect', '--no-ask-password', '--', ...node, STAY_IN_CGROUP]
    const watchdog = await launch(scope, events).catch(() => undefined)
    if (watchdog !== undefined) return watchdog
  }
  return launch(node, events)
}

async function launch([program = '', ...args]: readonly string[], events: WatchdogEvents): Promise<Watchdog> {
  // detached: a session and a process group of its own, which Ctrl-C and a kill of our group do not reach.
  const child = spawn(program, args, { detached: true, stdio: ['pipe', 'pipe', 'ignore'], cwd: '/', env: { PATH } })
  const conversation = converse(child, events)
  try {
    await conversation.hear('ready', START_LIMIT_MS)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  const send = (command: Command) => child.stdin.write(`${JSON.stringify(command)}\n`)
  return {
    pid: child.pid ?? 0,
    async arm(freeze, limitMs) {
      send({ do: 'arm', limitMs, ...freeze })
      await conversation.hear('armed')
    },
    disarm: () => void send({ do: 'disarm' }),
    repair: (freeze) => void send({ do: 'repair', ...freeze }),
    close() {
      conversation.end()
      child.stdin.end()
      child.stdout.destroy() // it may outlive us by a repair
      child.unref()
    },
  }
}

/** Listen to the child: `hear` waits for one notice, all others go to `events`. */
function converse(child: Child, events: WatchdogEvents) {
  let waiting:
    { readonly notice: Notice; readonly resolve: () => void; readonly reject: (error: AppError) => void } | undefined
  let dead: AppError | undefined
  let isReady = false
  let isOver = false
  const die = (why: string) => {
    dead ??= new AppError(
      'freeze_failed',
      `The freeze's watchdog process ${why}, so nothing may stay frozen: try again.`,
    )
    const wasReady = isReady
    waiting?.reject(dead)
    if (wasReady && !isOver) events.onDeath(dead)
    isOver = true
  }
  child.stdin.on('error', () => {}) // EPIPE: the exit says more
  child.on('error', (error) => die(`could not be started (${error.message})`))
  child.on('exit', (code, signal) => die(`ended (${signal ?? `exit code ${code}`})`))
  createInterface({ input: child.stdout }).on('line', (line) => {
    const notice = parseNotice(line)
    if (notice === waiting?.notice) waiting?.resolve()
    else if (notice === 'thawed') events.onThawed()
  })
  const hear = (notice: Notice, limitMs = ANSWER_LIMIT_MS): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      if (dead !== undefined) return reject(dead)
      const timer = setTimeout(() => die(`did not say "${notice}" within ${limitMs} ms`), limitMs)
      const settle = (then: () => void) => {
        clearTimeout(timer)
        waiting = undefined
        isReady = true
        then()
      }
      waiting = { notice, resolve: () => settle(resolve), reject: (error) => settle(() => reject(error)) }
    })
  return { hear, end: () => void (isOver = true) }
}
