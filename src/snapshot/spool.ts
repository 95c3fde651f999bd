import { mkdir, open, statfs, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, systemCode } from '#base/errors.ts'
import { makeDirectory } from '#base/make-directory.ts'
import { errnoName, punchHole, reserve, setXattr, systemError } from '#posix/libc.ts'
import { makeLockedDirectory, sweepLockedDirectories } from './locked-directory.ts'
import { PROBE_ATTRIBUTE } from './reader/jail.ts'

/**
 * Where a capture keeps what it has read until the image is verified, or, where there is no room for all of it, until the
 * target has it (attacks.md B8): compressed frames in one file, the raw copies of the freeze in another. It holds the container's secrets: 0700 and 0600, removed with the capture.
 */
export interface Spool extends AsyncDisposable {
  readonly directory: string
  readonly frames: FileHandle
  readonly tail: FileHandle
  /** Frames of the layers that take the place of others (design.md §4.9). */
  readonly squashed: FileHandle
  /** A file with an attribute that only a reader with all its rights can see. */
  readonly probePath: string
  /** An empty directory for the reader to mount on. */
  readonly jail: string
  /** How much more can be written with some left over, when `tailBytes` are reserved for the tail: negative where not even those. */
  roomBytes(tailBytes: number): Promise<number>
  /** The frames reach to `bytes` now. Throws `spool_full` beyond TINTYPE_SPOOL_BYTES. */
  growFrames(bytes: number): void
  /** Give back the place of these frames. False, and they can be read as before, where the file system cannot do that. */
  releaseFrames(frames: readonly Extent[]): boolean
  /** The same for the frames of squashed layers: both count. */
  growSquashed(bytes: number): void
  /** Reserve room for the tail before the freeze. Throws `spool_full`. */
  reserveTail(bytes: number): void
}

/** Where in the frames file something is. */
export interface Extent {
  readonly offset: number
  readonly size: number
}

/** Of the room one part in so many stays free: for the index, the last block of each frame, and what others write (attacks.md B8). */
const SPARE_PARTS = 20

/**
 * A spool of this capture's own below `home`, of at most `limitBytes` of frames and tail. Throws `permission_denied`,
 * `config_invalid` where no directory can be, `spool_full`.
 */
export async function openSpool(home: string, limitBytes?: number): Promise<Spool> {
  const parent = spoolsOf(home)
  try {
    await makeDirectory(parent, 0o700)
    await sweepSpools(home)
    await using made = new AsyncDisposableStack()
    const { path } = made.use(await makeLockedDirectory(parent, 'capture-'))
    return await makeSpool(path, { home, limitBytes }, made)
  } catch (cause) {
    throw spoolError(home, cause)
  }
}

/** Remove what captures and squashes that are no more have left below `home`. */
export const sweepSpools = (home: string): Promise<void> =>
  sweepLockedDirectories(spoolsOf(home), ['capture-', 'squash-'])

const spoolsOf = (home: string) => join(home, 'spool')

interface SpoolOptions {
  readonly home: string
  readonly limitBytes: number | undefined
}

/** What is made goes to `made`, and with the spool when all of it is there. */
async function makeSpool(
  directory: string,
  { home, limitBytes = Infinity }: SpoolOptions,
  made: AsyncDisposableStack,
): Promise<Spool> {
  const create = async (name: string) => made.use(await open(join(directory, name), 'wx+', 0o600))
  const frames = await create('frames')
  const tail = await create('tail')
  const squashed = await create('squashed')
  const jail = join(directory, 'jail')
  await mkdir(jail, { mode: 0o700 })
  const probePath = join(directory, 'probe')
  const probe = await create('probe')
  setXattr(probe.fd, PROBE_ATTRIBUTE, Uint8Array.of(1))
  const owned = made.move()
  let framesEnd = 0
  let releasedBytes = 0
  let reservedBytes = 0
  const framesBytes = () => framesEnd - releasedBytes
  const requireRoom = (neededBytes: number, what: string) => {
    if (neededBytes > limitBytes) throw overLimit(neededBytes, limitBytes, what)
  }
  return {
    directory,
    frames,
    tail,
    squashed,
    probePath,
    jail,
    async roomBytes(tailBytes) {
      const { bavail, bsize } = await statfs(directory)
      const room = Math.min(bavail * bsize, limitBytes - framesBytes() - reservedBytes)
      return Math.floor(room - Math.max(room, 0) / SPARE_PARTS) - Math.max(0, tailBytes - reservedBytes)
    },
    growFrames(bytes) {
      framesEnd = Math.max(framesEnd, bytes)
      requireRoom(framesBytes(), 'the image on its way')
    },
    releaseFrames(extents) {
      if (!punchAll(frames.fd, extents)) return false
      releasedBytes += extents.reduce((sum, { size }) => sum + size, 0)
      return true
    },
    growSquashed(bytes) {
      requireRoom(framesBytes() + bytes, 'the image on its way and its squashed layers')
    },
    reserveTail(bytes) {
      requireRoom(framesBytes() + bytes, 'the image on its way and what changes last')
      reserveTail(tail.fd, bytes, home)
      reservedBytes = Math.max(reservedBytes, bytes)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function overLimit(neededBytes: number, limitBytes: number, what: string): AppError {
  const message = `TINTYPE_SPOOL_BYTES allows ${mebibytes(limitBytes)}, and ${what} needs at least ${mebibytes(neededBytes)}: raise it, or exclude something large.`
  return new AppError('spool_full', message, { details: { neededBytes, limitBytes } })
}

/** The first answers for all: whether holes can be punched depends on the file system alone. */
function punchAll(descriptor: number, extents: readonly Extent[]): boolean {
  for (const { offset, size } of extents) {
    const result = size > 0 ? punchHole(descriptor, offset, size) : 0
    if (errnoName(result) === 'EOPNOTSUPP') return false
    if (result < 0) throw systemError('fallocate', result)
  }
  return true
}

function reserveTail(descriptor: number, bytes: number, home: string): void {
  const result = bytes > 0 ? reserve(descriptor, 0, bytes) : 0
  if (result === 0 || errnoName(result) === 'EOPNOTSUPP') return
  const message = `${home} has no room for the ${mebibytes(bytes)} that are reserved before the freeze: free space there, or set TINTYPE_HOME to a larger disk.`
  throw new AppError('spool_full', message, { details: { home, neededBytes: bytes, system: errnoName(result) } })
}

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

/** A path on which there is, or can be, no directory: below a file, in /proc, too long. */
const NO_DIRECTORY: ReadonlySet<string> = new Set(['ENOTDIR', 'EEXIST', 'ENOENT', 'ELOOP', 'ENAMETOOLONG'])

/** A failure to write below TINTYPE_HOME in words. */
export function spoolError(home: string, cause: unknown): unknown {
  const code = systemCode(cause)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError('spool_full', `${home} is full: free space there, or set TINTYPE_HOME to a larger disk.`, {
      cause,
      details: { home },
    })
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new AppError('permission_denied', `${home} cannot be written: run as root, or set TINTYPE_HOME.`, {
      cause,
      details: { home },
    })
  }
  if (code !== undefined && NO_DIRECTORY.has(code)) {
    const message = `${home} cannot be made (${code}): set TINTYPE_HOME to a directory on a disk of this host.`
    return new AppError('config_invalid', message, { cause, details: { home } })
  }
  return cause
}
