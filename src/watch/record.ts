import { randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '#base/errors.ts'
import { tryLock } from '#posix/libc.ts'

/**
 * A watch on record, from before its instance is made until after it is removed. The record is a file named by the
 * instance, empty, and locked as long as its owner lives: the lock ends with the process, however it ends, and says nothing
 * about another one with its pid.
 */
export interface WatchRecord {
  readonly instance: string
  /** The instance is gone: the record goes, too. */
  remove(): void
  /** The instance cannot be removed now: the next sweep tries again. */
  release(): void
}

const PREFIX = 'watch-'
// Nothing else is taken for the name of an instance: it becomes a path.
const NAME = /^watch-(tintype-\d+-[0-9a-f]{12})$/

/** Put a new watch on record, so that it survives the crash of this process. Throws the system error. */
export function recordWatch(home: string): WatchRecord {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  for (;;) {
    const instance = `tintype-${process.pid}-${randomBytes(6).toString('hex')}`
    const path = join(home, PREFIX + instance)
    const descriptor = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600)
    if (isHeld(descriptor)) {
      syncDirectory(home)
      return held(instance, path, descriptor)
    }
    closeSync(descriptor) // a sweep came between and took it for one whose owner is dead
  }
}

/** The records under `home` whose owners are dead, each locked by us until it is removed or released. */
export function* deadRecords(home: string): Iterable<WatchRecord> {
  for (const name of namesIn(home)) {
    const instance = NAME.exec(name)?.[1]
    if (instance === undefined) continue
    const path = join(home, name)
    const descriptor = openIfThere(path)
    if (descriptor === undefined) continue
    if (isHeld(descriptor)) yield held(instance, path, descriptor)
    else closeSync(descriptor)
  }
}

/** Whether the lock is ours and the file still has its name. */
const isHeld = (descriptor: number) => tryLock(descriptor) && fstatSync(descriptor).nlink > 0

function held(instance: string, path: string, descriptor: number): WatchRecord {
  return {
    instance,
    remove: () => {
      rmSync(path, { force: true })
      closeSync(descriptor)
    },
    release: () => closeSync(descriptor),
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_NOFOLLOW)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function namesIn(home: string): readonly string[] {
  try {
    return readdirSync(home)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
