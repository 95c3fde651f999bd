import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Readable, Writable } from 'node:stream'
import { AppError } from '#base/errors.ts'
import { closeOnExec } from '#posix/libc.ts'
import { MAX_LINE_BYTES, parseReaderEvent, type ReaderCommand, type ReaderEvent, type ReaderInit } from './protocol.ts'
import { readLines } from './read-lines.ts'
import type { Spool } from './spool.ts'

/** The capture's side of the jailed reader. */
export interface ReaderProcess extends AsyncDisposable {
  /** Send a command and hand on its events; returns the last of them, which is of type `until`. Throws what the reader reports. */
  run<T extends ReaderEvent['event']>(
    command: ReaderCommand,
    until: T,
    onEvent?: (event: ReaderEvent) => void,
  ): Promise<Extract<ReaderEvent, { event: T }>>
}

export interface ReaderOptions {
  readonly upperdir: string
  readonly spool: Spool
  readonly init: ReaderInit
  /** The body of the index that `init` tells of, and where that of the next one goes. */
  readonly index?: FileHandle | undefined
  readonly next?: FileHandle | undefined
  readonly signal?: AbortSignal
}

// Namespaces and rights are set by exec, before Node has threads: later, they would hold for one thread (attacks.md A3).
// Rights: read any file; `trusted.*` attributes; chroot; O_NOATIME on files of others (A5). A private mount: no devices,
// no execution, no writing, whatever happens inside (A4).
const ENTER = `
mount -o bind,ro,nosuid,nodev,noexec,noatime -- "$1" "$2" &&
exec setpriv --no-new-privs --inh-caps=-all \\
  --bounding-set=-all,+dac_read_search,+sys_admin,+sys_chroot,+fowner -- \\
  "$3" --max-semi-space-size=8 --disable-warning=ExperimentalWarning "$4" "$2" "$5"`
const STDERR_KEPT = 4000

/** Start the reader over `upperdir` and wait until it has proved its jail. Throws `reader_failed`, `permission_denied`. */
export async function startReader(options: ReaderOptions): Promise<ReaderProcess> {
  const { upperdir, spool, index, next } = options
  const [reader, worker] = readerModules()
  closeOnExec(3) // what our own parent has left open is not for the reader: it may be a way out of the jail (attacks.md A5)
  const child = spawn(
    'unshare',
    ['--net', '--mount', '--ipc', '--propagation', 'private', '--', '/bin/sh', '-c', ENTER, 'reader'].concat([
      upperdir,
      spool.jail,
      process.execPath,
      reader,
      worker,
    ]),
    {
      stdio: ['pipe', 'pipe', 'pipe', spool.frames.fd, spool.tail.fd, index?.fd ?? 'ignore', next?.fd ?? 'ignore'],
      cwd: '/',
      // Nothing of ours: no NODE_OPTIONS, no certificate paths that would be looked up in the jail (attacks.md A4).
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', TZ: 'UTC', LC_ALL: 'C' },
      ...(options.signal && { signal: options.signal, killSignal: 'SIGKILL' as const }),
    },
  )
  const process_ = new RunningReader(child, options.signal)
  await process_.begin(options.init)
  return process_
}

/** The two bundles: beside the command's own bundle, or in the `dist` of a checkout whose sources run unbundled. */
function readerModules(): readonly [reader: string, workerUrl: string] {
  for (const base of ['./', '../../dist/']) {
    const reader = new URL(`${base}reader.mjs`, import.meta.url)
    if (existsSync(reader)) return [fileURLToPath(reader), new URL(`${base}reader-worker.mjs`, import.meta.url).href]
  }
  throw new AppError('reader_failed', "The reader's bundle is missing: run `npm run build`.")
}

type Listener = (event: ReaderEvent | Error) => void

class RunningReader implements ReaderProcess {
  readonly #child: ChildProcess
  readonly #stdin: Writable
  readonly #exited: Promise<void>
  readonly #signal: AbortSignal | undefined
  #stderr = ''
  #listener: Listener | undefined
  #failure: Error | undefined

  constructor(child: ChildProcess, signal: AbortSignal | undefined) {
    this.#child = child
    this.#signal = signal
    const [stdin, stdout, stderr] = streamsOf(child)
    this.#stdin = stdin
    stdin.on('error', () => {}) // it ended: its exit says why
    stderr.on('data', (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_KEPT)))
    this.#exited = new Promise((resolve) => child.once('close', () => resolve()))
    child.on('error', (cause) => this.#fail(cause.name === 'AbortError' ? this.#cancelled() : this.#ended(cause)))
    child.on('close', () => this.#fail(this.#ended()))
    readLines(stdout, {
      mostBytes: MAX_LINE_BYTES,
      onLine: (line) => this.#onLine(line),
      onTooLong: () => this.#refuse(new AppError('reader_failed', 'The reader said more than it may.')),
    })
  }

  begin(init: ReaderInit): Promise<unknown> {
    return this.#exchange(init, 'ready')
  }

  run<T extends ReaderEvent['event']>(command: ReaderCommand, until: T, onEvent?: (event: ReaderEvent) => void) {
    return this.#exchange(command, until, onEvent)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stdin.end()
    if (this.#listener) this.#child.kill('SIGKILL') // in the middle of a command: its answer is of no use any more
    await this.#exited
  }

  #exchange<T extends ReaderEvent['event']>(
    message: ReaderInit | ReaderCommand,
    until: T,
    onEvent?: (event: ReaderEvent) => void,
  ): Promise<Extract<ReaderEvent, { event: T }>> {
    return new Promise((resolve, reject) => {
      const finish = () => (this.#listener = undefined)
      if (this.#failure) return reject(this.#failure)
      this.#listener = (event) => {
        if (event instanceof Error) {
          finish()
          reject(event)
        } else if (isEvent(event, until)) {
          finish()
          resolve(event)
        } else onEvent?.(event)
      }
      this.#stdin.write(`${JSON.stringify(message)}\n`)
    })
  }

  #onLine(line: string): void {
    try {
      const event = parseReaderEvent(line)
      if (event.event === 'failed') this.#fail(new AppError(event.code, event.message, { details: event.details }))
      else this.#listener?.(event)
    } catch (error) {
      this.#refuse(error instanceof Error ? error : this.#ended())
    }
  }

  /** What it said cannot be believed, so nothing that it says from now on can be. */
  #refuse(error: Error): void {
    this.#child.kill('SIGKILL')
    this.#fail(error)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#listener?.(this.#failure)
  }

  #cancelled(): Error {
    return this.#signal?.reason instanceof AppError ? this.#signal.reason : new AppError('cancelled', 'Cancelled.')
  }

  #ended(cause?: Error): AppError {
    const why = this.#stderr.trim().split('\n').at(-1) ?? ''
    return new AppError('reader_failed', `The reader ended early: ${cause?.message ?? (why || 'no reason given')}.`, {
      details: { stderr: this.#stderr },
      ...(cause && { cause }),
    })
  }
}

function streamsOf(child: ChildProcess): readonly [Writable, Readable, Readable] {
  const { stdin, stdout, stderr } = child
  if (!stdin || !stdout || !stderr) throw new AppError('reader_failed', 'The reader could not be started.')
  return [stdin, stdout, stderr]
}

function isEvent<T extends ReaderEvent['event']>(
  event: ReaderEvent,
  type: T,
): event is Extract<ReaderEvent, { event: T }> {
  return event.event === type
}
