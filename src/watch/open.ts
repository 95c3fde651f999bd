import { existsSync, realpathSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { throwIfAborted } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'
import { missedKind } from './battery.ts'
import { deviceOf } from './device.ts'
import { EVENTS } from './instance.ts'
import { openTracefs, reasonOf, type OpenTracefs, type Tracefs } from './tracefs.ts'
import { startWatch, type CtimeWatch } from './watch.ts'

/** A watch, or why there can be none, as the end of a sentence for the result. */
export type OpenedWatch = { readonly watch: CtimeWatch } | { readonly reason: string }

export interface WatchOptions {
  /** Of the container: what lies on its file system is watched. */
  readonly upperdir: string
  /** A directory of ours that may be on the same file system: the self-test makes and removes a directory in it. */
  readonly scratch?: string
  /** Where watches are on record, `/run/tintype` as the freezes are. */
  readonly recordDirectory: string
  readonly signal?: AbortSignal
  /** For each CPU; smaller than usual in tests. */
  readonly bufferKb?: number
}

/**
 * Watch which inodes of the file system under `upperdir` have their ctime set. The watch has proved itself: before it is
 * handed out, every kind of change has been made beside the container, and was named. Takes about 100 ms, most of it waiting.
 * Throws `cancelled`.
 */
export async function openCtimeWatch(options: WatchOptions, open: OpenTracefs = openTracefs): Promise<OpenedWatch> {
  try {
    const device = deviceOf(options.upperdir)
    if (device === undefined) return { reason: 'the mount of the upperdir is not in sight' }
    const scratch = scratchOn(device, options)
    if (scratch === undefined) return { reason: 'the file system of the upperdir has no place for the self-test' }
    throwIfAborted(options.signal)
    const tracefs = open()
    if (!hasEvents(tracefs)) {
      tracefs[Symbol.dispose]()
      return { reason: 'the kernel has no ctime tracepoints (Linux 6.13 has them)' }
    }
    return await openTested(tracefs, { ...options, device, scratch })
  } catch (error) {
    if (error instanceof AppError || systemCode(error) === undefined) throw error
    return { reason: `tracefs may not be used here: ${reasonOf(error)}` }
  }
}

const hasEvents = ({ path }: Tracefs) => EVENTS.every((event) => existsSync(join(path, 'events/timestamp', event)))

/** A directory on the device that the container does not see: Tintype's own, else the one that the upperdir lies in. */
function scratchOn(device: string, { upperdir, scratch }: WatchOptions): string | undefined {
  const upper = realpathSync(upperdir)
  return [scratch, dirname(upper)].find((path) => path !== undefined && isOutside(path, upper) && isOn(path, device))
}

function isOutside(path: string, upper: string): boolean {
  return existsSync(path) && !`${realpathSync(path)}${sep}`.startsWith(upper === sep ? sep : `${upper}${sep}`)
}

const isOn = (path: string, device: string) => deviceOf(path) === device

interface TestedOptions extends WatchOptions {
  readonly device: string
  readonly scratch: string
}

async function openTested(tracefs: Tracefs, options: TestedOptions): Promise<OpenedWatch> {
  const { device, recordDirectory, bufferKb, scratch, signal } = options
  await using cleanup = new AsyncDisposableStack()
  const watch = cleanup.use(await startWatch({ tracefs, device, recordDirectory, bufferKb }))
  const missed = await missedKind(scratch, watch, signal)
  watch.drain()
  watch.forget()
  const flaw = watch.lost()
  if (flaw !== undefined) return { reason: `the self-test failed: ${flaw}` }
  if (missed !== undefined) return { reason: `the self-test saw no event of ${missed}` }
  cleanup.move()
  return { watch }
}
