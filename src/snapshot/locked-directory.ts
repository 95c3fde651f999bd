import { constants } from 'node:fs'
import { mkdtemp, open, readdir, rm, rmdir, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '#base/errors.ts'
import { tryLock } from '#posix/libc.ts'

/** A directory that is its maker's as long as that lives: a lock in it says so. Disposing removes it with all that is in it. */
export interface LockedDirectory extends AsyncDisposable {
  readonly path: string
}

const LOCK_NAME = 'lock'

/** A new one below `parent`, mode 0700. */
export async function makeLockedDirectory(parent: string, prefix: string): Promise<LockedDirectory> {
  for (;;) {
    const path = await mkdtemp(join(parent, prefix))
    const lock = await lockNew(path)
    if (lock)
      return {
        path,
        async [Symbol.asyncDispose]() {
          await removeLocked(path)
          await lock.close()
        },
      }
  }
}

/** Remove those with one of these prefixes of which the maker is no more, wherever it was when it died. */
export async function sweepLockedDirectories(parent: string, prefixes: readonly string[]): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (!prefixes.some((prefix) => name.startsWith(prefix))) continue // a disk of its own has lost+found, too
    const path = join(parent, name)
    // One without a lock gets one: its maker died before it had one, or takes it for swept and makes another.
    const lock = await openIf(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW)
    if (lock && tryLock(lock.fd)) await removeLocked(path)
    await lock?.close()
  }
}

/** Undefined: a sweep was here between two steps. */
async function lockNew(path: string): Promise<FileHandle | undefined> {
  const lock = await openIf(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL)
  if (lock && tryLock(lock.fd) && (await lock.stat()).nlink > 0) return lock
  await lock?.close()
  return undefined
}

/** What a sweep finds in its way: removed by another, no directory, not ours, or locked before its maker came to it. */
const IN_THE_WAY: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EEXIST'])

async function openIf(path: string, flags: number): Promise<FileHandle | undefined> {
  try {
    return await open(join(path, LOCK_NAME), flags, 0o600)
  } catch (error) {
    if (IN_THE_WAY.has(systemCode(error) ?? '')) return undefined
    throw error
  }
}

/** The lock goes last: until then nobody else removes it, too. */
async function removeLocked(path: string): Promise<void> {
  for (const name of await readdir(path))
    if (name !== LOCK_NAME) await rm(join(path, name), { recursive: true, force: true })
  await rm(join(path, LOCK_NAME), { force: true })
  // A sweep that has locked it meanwhile removes it.
  await rmdir(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOTEMPTY' && systemCode(error) !== 'ENOENT') throw error
  })
}
