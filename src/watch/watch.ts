import { closeSync, constants, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '#base/clock.ts'
import { systemCode } from '#base/errors.ts'
import { systemError, wasClockSet, watchClock } from '#posix/libc.ts'
import { CtimeLog, type ChangedInode } from './ctime-log.ts'
import { deviceFilter } from './device.ts'
import { instanceFlaw, removeInstance, startInstance, type Filters } from './instance.ts'
import { recordWatch, type WatchRecord } from './record.ts'
import { reasonOf, type Tracefs } from './tracefs.ts'

/** Names the inodes of one device whose ctime is set, from when it was opened until it is disposed of (ADR 9). */
export interface CtimeWatch extends AsyncDisposable {
  /**
   * Every inode that was named since the watch was opened or `forget` was called; the same map each time. Reads what the kernel holds at the moment
   * of the call; synchronous and fast, for a container is frozen meanwhile.
   */
  drain(): ReadonlyMap<number, ChangedInode>
  /** Begin anew, in another map: what `drain` gives afterwards was named after the last drain (as for the check before a thaw). */
  forget(): void
  /** Why what was named may not be all; undefined when all counters stand as they should. Once said, always said. Ask it right after `drain`. */
  lost(): string | undefined
}

const BUFFER_KB = 8192 // for each CPU: half a second of the fastest flood that two attackers made
const MOST_BUFFER_KB = 256 << 10
/** The kernel holds no event in less: a header of 4 bytes and the fields. */
const EVENT_BYTES = 44
const POLL_MS = 20
/** What one poll takes at the most, about 20 ms of work: half a million events in a second, and the process still has time for others. */
const POLL_LINES = 10_000
const READ_BYTES = 64 << 10

export interface StartOptions {
  readonly tracefs: Tracefs
  readonly device: string
  readonly recordDirectory: string
  /** For each CPU; smaller than usual in tests. */
  readonly bufferKb?: number | undefined
}

/** Start a watch of `device`. It owns `tracefs` from now on and closes it, also when it cannot start. Throws the system error. */
export async function startWatch({ tracefs, device, recordDirectory, bufferKb }: StartOptions): Promise<TracefsWatch> {
  await using undo = new AsyncDisposableStack()
  undo.use(tracefs)
  const cpus = readdirSync(join(tracefs.path, 'per_cpu')).length
  const kb = bufferKb ?? Math.min(BUFFER_KB, Math.floor(MOST_BUFFER_KB / cpus))
  const record = recordWatch(recordDirectory)
  const instance = join(tracefs.path, 'instances', record.instance)
  const clock = watchClock()
  if (clock < 0) throw systemError('timerfd_create', clock)
  undo.defer(() => closeSync(clock))
  const filters = filtersFrom(device, systemClock.wallMs())
  undo.defer(() => removeOrLeave(instance, record))
  await startInstance(instance, { filters, bufferKb: kb })
  const pipe = openSync(join(instance, 'trace_pipe'), constants.O_RDONLY | constants.O_NONBLOCK)
  undo.defer(() => closeSync(pipe))
  const mostLines = (cpus * kb * 1024) / EVENT_BYTES
  return new TracefsWatch({ instance, filters, device, pipe, clock, mostLines, undo: undo.move() })
}

/** A file system may round a time down to its own ticks; the kernel's is some milliseconds late. */
const TICK_SECONDS = 2

/**
 * Events of the device. An inode that is read from the disk makes one with the ctime that it has, and in a large container
 * of which the kernel has forgotten most there are more of those than anybody can take: older ctimes than the watch do not
 * pass. No change sets one, as long as nobody sets the clock.
 */
function filtersFrom(device: string, startMs: number): Filters {
  const ofDevice = deviceFilter(device)
  const sinceStart = `ctime_s >= ${Math.floor(startMs / 1000) - TICK_SECONDS}`
  return { ctime_ns_xchg: ofDevice, inode_set_ctime_to_ts: `${ofDevice} && ${sinceStart}` }
}

/** What cannot be removed is no reason to fail: it stays on record, and the next start of Tintype sweeps it. */
async function removeOrLeave(instance: string, record: WatchRecord): Promise<void> {
  try {
    await removeInstance(instance)
  } catch {
    record.release()
    return
  }
  record.remove()
}

interface WatchParts {
  readonly instance: string
  readonly filters: Filters
  readonly device: string
  readonly pipe: number
  /** Of `watchClock`. */
  readonly clock: number
  /** As many events as the buffers of all CPUs can hold. */
  readonly mostLines: number
  /** Closes and removes what the watch is made of. */
  readonly undo: AsyncDisposable
}

export class TracefsWatch implements CtimeWatch {
  readonly #parts: WatchParts
  readonly #log: CtimeLog
  readonly #buffer = Buffer.alloc(READ_BYTES)
  readonly #timer: NodeJS.Timeout
  /** Bytes of a line that has not ended, at the start of the buffer. */
  #held = 0
  #flaw: string | undefined

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#log = new CtimeLog(parts.device)
    this.#timer = setInterval(() => this.#read(POLL_LINES), POLL_MS).unref()
  }

  /** trace_pipe gives the oldest event first: after as many as the buffers hold, all that was there at the call has been read, whoever goes on changing files. */
  drain(): ReadonlyMap<number, ChangedInode> {
    this.#read(this.#parts.mostLines)
    return this.#log.inodes
  }

  forget(): void {
    this.#log.forget()
  }

  lost(): string | undefined {
    this.#flaw ??= this.#log.flaw ?? this.#look()
    return this.#flaw
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#parts.undo[Symbol.asyncDispose]()
  }

  #look(): string | undefined {
    const { instance, filters, clock } = this.#parts
    if (wasClockSet(clock)) return 'the clock was set'
    try {
      return instanceFlaw(instance, this.#log.lines, filters)
    } catch (error) {
      return `the trace cannot be looked at: ${reasonOf(error)}`
    }
  }

  #read(mostLines: number): void {
    const end = this.#log.lines + mostLines
    try {
      while (this.#flaw === undefined && this.#log.flaw === undefined && this.#log.lines < end && this.#readOnce());
    } catch (error) {
      if (systemCode(error) !== 'EAGAIN') this.#flaw = `the trace cannot be read: ${reasonOf(error)}`
    }
  }

  /** False when there was nothing. Throws the system error: EAGAIN when there is nothing now. */
  #readOnce(): boolean {
    const read = readSync(this.#parts.pipe, this.#buffer, this.#held, READ_BYTES - this.#held, null)
    const filled = this.#held + read
    const taken = this.#log.take(this.#buffer, filled)
    this.#buffer.copyWithin(0, taken, filled)
    this.#held = filled - taken
    return read > 0
  }
}
