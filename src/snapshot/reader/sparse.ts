import { statxAllocatedBytes, statxSizeBytes } from '#posix/stat.ts'
import type { SparseFile } from '#snapshot/protocol.ts'
import { EntryOpener } from './read-entry.ts'
import type { Rows } from './rows.ts'

/** Zeros that are worth a word: layers hold no holes (image-spec, layer.md), so that they are made, hashed and unpacked. */
const LEAST_HOLE_BYTES = 2 ** 30
const MOST_FILES = 20

/** The files with the largest holes, largest first, a hardlink group once, and none that is excluded (byte paths, relative). */
export function sparseFiles(rows: Rows, exclusions: readonly string[] = []): readonly SparseFile[] {
  const opener = new EntryOpener(rows)
  const found = new Map<number, SparseFile>()
  try {
    for (let row = 0, { count } = rows; row < count; row++) {
      if (!rows.isRegular(row) || rows.sizeBytes(row) < LEAST_HOLE_BYTES) continue
      if (!rows.isLive(row) || !rows.isInTree(row) || !opener.look(row)) continue
      const [bytes, storedBytes] = [statxSizeBytes(opener.statx), statxAllocatedBytes(opener.statx)]
      if (bytes - storedBytes < LEAST_HOLE_BYTES || found.has(rows.inode(row))) continue
      const path = rows.path(row)
      if (exclusions.some((excluded) => `${path}/`.startsWith(`${excluded}/`))) continue
      found.set(rows.inode(row), { path, bytes, storedBytes })
    }
  } finally {
    opener.close()
  }
  const hole = ({ bytes, storedBytes }: SparseFile) => bytes - storedBytes
  return [...found.values()].sort((a, b) => hole(b) - hole(a)).slice(0, MOST_FILES)
}
