import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { AppError } from '#base/errors.ts'
import { goEvenly } from '#base/priority.ts'
import type { CaptureEvent, CaptureRun } from '#runtime/runtime.ts'
import { readLines } from '#snapshot/read-lines.ts'
import type { Captured } from '#snapshot/result.ts'
import { EventQueue } from './event-queue.ts'
import { encodeLine, errorOf, MOST_LINE_BYTES, parseMessage, type ChildCommand, type ChildRequest } from './protocol.ts'

/** The hidden command of `tintype` that captures for a server. */
const CAPTURE_COMMAND = 'capture-child'

/** A cancelled child tidies up in well under a second; past this it hangs. Its watchdog thaws when it is killed. */
const CANCEL_LIMIT_MS = 15_000
const STDERR_KEPT = 4000
// In a checkout the source itself; in what is shipped the command's bundle beside the part that this is in.
const PROGRAM = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../main.ts' : 'tintype.mjs', import.meta.url),
)
// As bin/tintype starts it.
const NODE_OPTIONS = ['--max-semi-space-size=32', '--disable-warning=ExperimentalWarning']

/** Start a capture in a process of its own: a crash of either does not take the other along. */
export function startCaptureChild(request: ChildRequest): CaptureRun {
  // detached: a Ctrl-C for the server is not one for its captures; the server ends them in its own order.
  const child = spawn(process.execPath, [...NODE_OPTIONS, PROGRAM, CAPTURE_COMMAND], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: '/',
    env: childEnvironment(process.env),
  })
  if (child.pid !== undefined) goEvenly(child.pid)
  return new RunningCapture(child, request)
}

/** The server's own secrets are none of a capture's business: it gets its credentials with its request. */
export function childEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(?:TINTYPE_|DOCKER_|NODE_OPTIONS$)/.test(name)))
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

class RunningCapture implements CaptureRun {
  readonly events: AsyncIterable<CaptureEvent>
  readonly result: Promise<Captured>
  readonly #child: Child
  readonly #closed: Promise<void>
  #hasClosed = false
  #limit: NodeJS.Timeout | undefined

  constructor(child: Child, request: ChildRequest) {
    const events = new EventQueue()
    const result = Promise.withResolvers<Captured>()
    const closed = Promise.withResolvers<void>()
    let outcome: Captured | AppError | undefined
    let stderr = ''
    readLines(child.stdout, {
      mostBytes: MOST_LINE_BYTES,
      onTooLong: () => child.kill('SIGKILL'),
      onLine: (line) => {
        const message = parseMessage(line)
        if (message?.type === 'result') outcome = message.captured
        else if (message?.type === 'failed') outcome = errorOf(message)
        else if (message) events.push(message)
      },
    })
    child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-STDERR_KEPT)))
    child.stdin.on('error', () => {}) // it has ended: its end says why
    child.once('error', (cause) => (outcome ??= lost(`could not be started: ${cause.message}`, stderr)))
    child.once('close', (code, signal) => {
      this.#hasClosed = true
      clearTimeout(this.#limit)
      outcome ??= lost(`was ended by ${signal ?? `exit code ${code}`}`, stderr)
      events.end()
      if (outcome instanceof AppError) result.reject(outcome)
      else result.resolve(outcome)
      closed.resolve()
    })
    result.promise.catch(() => {}) // whoever wants to know awaits it
    child.stdin.write(encodeLine(request))
    this.events = events
    this.result = result.promise
    this.#child = child
    this.#closed = closed.promise
  }

  cancel(): void {
    if (this.#limit || this.#hasClosed) return
    this.#say({ type: 'cancel' })
    this.#child.stdin.end()
    this.#limit = setTimeout(() => this.#child.kill('SIGKILL'), CANCEL_LIMIT_MS)
  }

  confirmManifest(): void {
    this.#say({ type: 'confirm' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel()
    await this.#closed
  }

  #say(command: ChildCommand): void {
    if (this.#child.stdin.writable) this.#child.stdin.write(encodeLine(command))
  }
}

function lost(how: string, stderr: string): AppError {
  const message = `The process that saves the container ${how}: try again.`
  return new AppError('capture_lost', message, { details: { stderr: stderr.trim() } })
}
