import { closeDescriptor, startWriteback, statxDescriptor } from '#posix/libc.ts'
import { equalsStat } from '#posix/stat.ts'
import { EntryOpener } from './read-entry.ts'
import type { Rows } from './rows.ts'

/**
 * The slow way, for when the file system as a whole did not answer in time: start the writeback of one file before it is
 * read. The function says whether its stat is still the walk's; a file that has changed since is not trusted (attacks.md A2).
 */
export function fileSync(rows: Rows): (row: number) => boolean {
  const opener = new EntryOpener(rows)
  const statx = new Uint32Array(64)
  return (row) => {
    const descriptor = opener.openFile(row)
    if (descriptor < 0) return false
    startWriteback(descriptor)
    const isSame = statxDescriptor(descriptor, statx) === 0 && equalsStat(statx, rows.words, rows.stat(row))
    closeDescriptor(descriptor)
    return isSame
  }
}
