import { sleep } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { Container } from '#lab/container.ts'
import { dropCaches, snapshot, type TimedSnapshot } from './commands.ts'
import { startHeartbeat } from './heartbeat.ts'
import type { Place } from './place.ts'

export interface SaveOptions {
  readonly args?: readonly string[]
  readonly toLayout?: boolean
  readonly watchesMemory?: boolean
}

/** A full snapshot into a registry or layout that has the base image alone. */
export async function saveFull(
  place: Place,
  container: Container,
  options: SaveOptions & { readonly isCold?: boolean } = {},
): Promise<TimedSnapshot> {
  await place.target.reset()
  // As after a restart of the machine.
  if (options.isCold) await dropCaches()
  return await save(place, container, { ...options, args: ['--full', ...(options.args ?? [])] })
}

/** A snapshot on top of the one before. Throws `internal` when it was full, with the reason. */
export async function saveDelta(place: Place, container: Container, options: SaveOptions = {}): Promise<TimedSnapshot> {
  const saved = await save(place, container, options)
  const { mode, modeReason } = saved.result
  if (mode === 'delta') return saved
  throw new AppError('internal', `A snapshot after a small change was full: ${modeReason}.`)
}

/** A snapshot as it comes. The tag moves from one to the next, as when somebody saves each evening. */
export async function save(
  { target, home }: Place,
  container: Container,
  options: SaveOptions = {},
): Promise<TimedSnapshot> {
  const { toLayout = false, args = [], watchesMemory = false } = options
  const reference = `${toLayout ? target.layout : target.repository}:saved`
  const command = ['--overwrite', ...args]
  return await snapshot(home, { container: container.id, reference, args: command, watchesMemory })
}

export interface SeenFreeze {
  /** The longest silence before: what the machine makes by itself. */
  readonly idleMs: number
  /** The longest silence during the snapshot. */
  readonly gapMs: number
  readonly result: TimedSnapshot['result']
}

export interface WatchOptions {
  readonly bytesPerSecond: number
  /** Default two seconds. */
  readonly idleMs?: number
}

/** Save while a process in the container notes how long it stood still, and another writes; one after the other. */
export async function seeFreezes(
  place: Place,
  container: Container,
  { bytesPerSecond, idleMs = 2_000 }: WatchOptions,
  saves: readonly (() => Promise<TimedSnapshot>)[],
): Promise<readonly SeenFreeze[]> {
  await using heartbeat = await startHeartbeat(place.engine, container, bytesPerSecond)
  const seen: SeenFreeze[] = []
  for (const saveNow of saves) {
    await sleep(idleMs)
    const idle = await heartbeat.longestMs()
    const { result } = await saveNow()
    seen.push({ idleMs: idle, gapMs: await heartbeat.longestMs(), result })
  }
  return seen
}
