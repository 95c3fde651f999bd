import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '#base/errors.ts'
import { makeDirectory } from '#base/make-directory.ts'
import { makeLockedDirectory } from '#snapshot/locked-directory.ts'
import { spoolError, sweepSpools } from '#snapshot/spool.ts'

/** Where compressed layers wait until the image is verified. As a capture's spool: 0700 and 0600, gone when it is closed. */
export interface FramesFile extends AsyncDisposable {
  readonly frames: FileHandle
  /** The frames reach to `bytes` now. Throws `spool_full` beyond the limit. */
  grow(bytes: number): void
}

/**
 * A file of this process below `home`; what dead ones have left is swept. It needs no right but to write there. Throws
 * `permission_denied`, `config_invalid`, `spool_full`.
 */
export async function openFramesFile(home: string, limitBytes = Infinity): Promise<FramesFile> {
  const parent = join(home, 'spool')
  try {
    await makeDirectory(parent, 0o700)
    await sweepSpools(home)
    await using made = new AsyncDisposableStack()
    const directory = made.use(await makeLockedDirectory(parent, 'squash-'))
    const frames = made.use(await open(join(directory.path, 'frames'), 'wx+', 0o600))
    const owned = made.move()
    return {
      frames,
      grow(bytes) {
        if (bytes <= limitBytes) return
        const message = `TINTYPE_SPOOL_BYTES allows ${limitBytes} bytes, and the squashed layers need more: raise it.`
        throw new AppError('spool_full', message, { details: { neededBytes: bytes, limitBytes } })
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    }
  } catch (cause) {
    throw spoolError(home, cause)
  }
}
