import { AppError } from '#base/errors.ts'
import { errnoName, readDirectory } from '#posix/libc.ts'

// struct linux_dirent64 (getdents64(2)): d_ino u64, d_off s64, d_reclen u16, d_type u8, d_name.
const RECLEN_AT = 16
const TYPE_AT = 18
const NAME_AT = 19
const DT_UNKNOWN = 0
const DT_DIR = 4
const GONE = ['ENOENT', 'ENOTDIR']
const BUFFER_BYTES = 1 << 16
const buffer = Buffer.alloc(BUFFER_BYTES)

export interface ListedEntry {
  /** One char a byte. */
  readonly name: string
  readonly inode: number
  /** Undefined where the file system does not say. */
  readonly isDirectory: boolean | undefined
}

/**
 * The entries of an open directory without `.` and `..`, in no order; none when it has been removed since it was opened, or
 * is no directory after all. Throws `reader_failed`.
 */
export function listDirectory(descriptor: number): readonly ListedEntry[] {
  const entries: ListedEntry[] = []
  for (;;) {
    const filled = readDirectory(descriptor, buffer)
    if (filled < 0 && !GONE.includes(errnoName(filled)))
      throw new AppError('reader_failed', `A directory cannot be listed: ${errnoName(filled)}.`)
    if (filled <= 0) return entries
    for (let at = 0; at < filled; at += buffer.readUInt16LE(at + RECLEN_AT)) {
      const name = buffer.toString('latin1', at + NAME_AT, buffer.indexOf(0, at + NAME_AT))
      if (name === '.' || name === '..') continue
      const type = buffer[at + TYPE_AT] ?? DT_UNKNOWN
      const inode = buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * 2 ** 32
      entries.push({ name, inode, isDirectory: type === DT_UNKNOWN ? undefined : type === DT_DIR })
    }
  }
}
