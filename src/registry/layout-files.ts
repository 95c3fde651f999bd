import { randomBytes } from 'node:crypto'
import { open, readFile, readdir, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sleep } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'
import { makeDirectory } from '#base/make-directory.ts'
import { tryLock } from '#posix/libc.ts'

/** The files of an OCI image layout (image-spec, image-layout.md): how they are made, so that a reader never sees half of one. */

const LAYOUT_VERSION = '1.0.0'
const TEMPORARY = '.tintype-'
/** A blob is flushed in parts while it is written: all of a layer at its end would be most of a second of waiting. */
const FLUSH_BYTES = 32 * 1024 * 1024
const LOCK_POLL_MS = 20 // flock(2) that waits would hold a thread of the pool

/** Whether `directory` is a layout already. Throws `layout_invalid` when it is something else than a layout or empty. */
export async function checkLayout(directory: string): Promise<boolean> {
  // Listed first: a writer makes oci-layout before everything else that counts.
  const names = await listIfThere(directory)
  if (names.includes('oci-layout')) {
    const text = await readIfThere(join(directory, 'oci-layout'))
    if (text !== undefined && parseVersion(text) === LAYOUT_VERSION) return true
    throw new AppError(
      'layout_invalid',
      `${directory}/oci-layout does not say version ${LAYOUT_VERSION}: name another directory.`,
    )
  }
  if (names.some((name) => !name.startsWith(TEMPORARY) && name !== 'blobs'))
    throw new AppError(
      'layout_invalid',
      `${directory} is neither an OCI image layout nor empty: name another directory.`,
    )
  return false
}

function parseVersion(text: string): unknown {
  try {
    return (JSON.parse(text) as { imageLayoutVersion?: unknown } | null)?.imageLayoutVersion
  } catch {
    return undefined
  }
}

/** Make what a layout needs, and remove what writers that died have left. */
export async function prepareLayout(directory: string): Promise<void> {
  await namingErrors(directory, async () => {
    await makeDirectory(join(directory, 'blobs/sha256'))
    await removeLeftovers(directory)
    await removeLeftovers(join(directory, 'blobs/sha256'))
    if (await checkLayout(directory)) return
    await replaceFile(join(directory, 'oci-layout'), (file) =>
      file.writeFile(JSON.stringify({ imageLayoutVersion: LAYOUT_VERSION })),
    )
  })
}

/** A file's text, or undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function listIfThere(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    if (systemCode(error) === 'ENOTDIR')
      throw new AppError('layout_invalid', `${directory} is not a directory: name another one.`, { cause: error })
    throw error
  }
}

export function isMissing(error: unknown): boolean {
  const code = systemCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/**
 * Write a file under a name that nobody reads, flush it, and give it the name that `write` returns (else `path`): readers
 * see all of it or nothing. On failure nothing is left.
 */
export async function replaceFile(path: string, write: (file: FileHandle) => Promise<string | void>): Promise<void> {
  const { temporary, file } = await openTemporary(dirname(path))
  try {
    const target = (await write(file)) ?? path
    await file.sync()
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

/** Flushes what has been written of a file beside the writing, one flush at a time. */
export class Flusher {
  readonly #file: Pick<FileHandle, 'datasync'>
  #flushedBytes = 0
  #flushing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(file: Pick<FileHandle, 'datasync'>) {
    this.#file = file
  }

  /** So many bytes have been written so far. */
  onWritten(sizeBytes: number): void {
    if (this.#flushing || sizeBytes - this.#flushedBytes < FLUSH_BYTES) return
    this.#flushedBytes = sizeBytes
    this.#flushing = this.#flush()
  }

  /** Throws what a flush threw: the kernel says it once, and no later flush would (fsync(2)). */
  async finish(): Promise<void> {
    await this.#flushing
    if (this.#failure) throw this.#failure.error
  }

  async #flush(): Promise<void> {
    try {
      await this.#file.datasync()
    } catch (error) {
      this.#failure ??= { error }
    } finally {
      this.#flushing = undefined
    }
  }
}

/** A new file, locked as long as it is open: so a sweep can tell a living writer's file from a dead one's. */
async function openTemporary(directory: string): Promise<{ readonly temporary: string; readonly file: FileHandle }> {
  for (;;) {
    const temporary = join(directory, `${TEMPORARY}${randomBytes(8).toString('hex')}`)
    const file = await open(temporary, 'wx', 0o644)
    if (tryLock(file.fd) && (await file.stat()).nlink > 0) return { temporary, file }
    await file.close() // a sweep came between open and lock
  }
}

async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(TEMPORARY) || name === LOCK_NAME) continue
    const path = join(directory, name)
    await using file = await open(path, 'r+').catch(() => undefined)
    if (file && tryLock(file.fd)) await rm(path, { force: true })
  }
}

const LOCK_NAME = `${TEMPORARY}lock`

/** Run `work` while no other writer of this layout does. The lock file stays: removing it would let two writers in. */
export async function withLayoutLock<T>(directory: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  await using file = await open(join(directory, LOCK_NAME), 'a', 0o644)
  while (!tryLock(file.fd)) await sleep(LOCK_POLL_MS, signal)
  return await work()
}

/** Flush the names in a directory, so that a file that was renamed into it is there after a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory)
  await handle.sync()
}

/** System errors of `work` as sentences about the layout: full, not permitted, or not usable. */
export async function namingErrors<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const code = systemCode(cause)
    if (code === undefined || cause instanceof AppError) throw cause
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG')
      throw new AppError(
        'layout_full',
        `There is no room left in ${directory}: free some, or name another directory.`,
        { cause },
      )
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      throw new AppError('permission_denied', `${directory} cannot be written (${code}): name another directory.`, {
        cause,
      })
    if (!code.startsWith('E') || code.startsWith('ERR_')) throw cause
    throw new AppError(
      'layout_invalid',
      `${directory} cannot be used as an OCI image layout (${code}): name another directory.`,
      { cause },
    )
  }
}
