import { writeSync } from 'node:fs'
import { AppError, systemCode } from '#base/errors.ts'

const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT'])

/**
 * Write all of the bytes at the position: a disk that has room for a part of them takes that part and says nothing.
 * Throws `spool_full` when there is no room; its sentence begins with `what`.
 */
export function writeWhole(descriptor: number, bytes: Uint8Array, position: number, what: string): void {
  try {
    for (let done = 0; done < bytes.byteLength;)
      done += writeSync(descriptor, bytes, done, bytes.byteLength - done, position + done)
  } catch (cause) {
    if (!FULL.has(systemCode(cause))) throw cause
    const message = `${what} has no room: free space in TINTYPE_HOME, or set TINTYPE_HOME to a larger disk.`
    throw new AppError('spool_full', message, { cause })
  }
}
