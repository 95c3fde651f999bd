/**
 * What a walk keeps of statx(2): 16 words of 32 bits, compared word by word and written without making an object.
 * 64-bit fields are two words, low first; device numbers are packed as the kernel does (12 bits major, 20 bits minor).
 */
export const STAT_WORDS = 16

export const STAT = {
  mode: 0,
  uid: 1,
  gid: 2,
  nlink: 3,
  ino: 4,
  size: 6,
  mtimeSec: 8,
  mtimeNsec: 10,
  ctimeNsec: 11,
  ctimeSec: 12,
  rdev: 14,
  dev: 15,
} as const

// Word offsets in struct statx (statx(2)).
const FROM = {
  nlink: 4,
  uid: 5,
  gid: 6,
  mode: 7,
  ino: 8,
  size: 10,
  blocks: 12,
  ctime: 24,
  mtime: 28,
  rdev: 32,
  dev: 34,
} as const

export const FILE_TYPE = {
  mask: 0o170000,
  socket: 0o140000,
  symlink: 0o120000,
  regular: 0o100000,
  block: 0o060000,
  directory: 0o040000,
  char: 0o020000,
  fifo: 0o010000,
} as const

const pack = (major: number, minor: number) => ((major << 20) | minor) >>> 0
const at = (words: Uint32Array, index: number) => words[index] ?? 0

/** Write the kept words of `statx` (64 words of struct statx) to `into` from `offset`. */
export function copyStat(statx: Uint32Array, into: Uint32Array, offset: number): void {
  into[offset + STAT.mode] = at(statx, FROM.mode) & 0xffff
  into[offset + STAT.uid] = at(statx, FROM.uid)
  into[offset + STAT.gid] = at(statx, FROM.gid)
  into[offset + STAT.nlink] = at(statx, FROM.nlink)
  into[offset + STAT.ino] = at(statx, FROM.ino)
  into[offset + STAT.ino + 1] = at(statx, FROM.ino + 1)
  into[offset + STAT.size] = at(statx, FROM.size)
  into[offset + STAT.size + 1] = at(statx, FROM.size + 1)
  into[offset + STAT.mtimeSec] = at(statx, FROM.mtime)
  into[offset + STAT.mtimeSec + 1] = at(statx, FROM.mtime + 1)
  into[offset + STAT.mtimeNsec] = at(statx, FROM.mtime + 2)
  into[offset + STAT.ctimeSec] = at(statx, FROM.ctime)
  into[offset + STAT.ctimeSec + 1] = at(statx, FROM.ctime + 1)
  into[offset + STAT.ctimeNsec] = at(statx, FROM.ctime + 2)
  into[offset + STAT.rdev] = pack(at(statx, FROM.rdev), at(statx, FROM.rdev + 1))
  into[offset + STAT.dev] = pack(at(statx, FROM.dev), at(statx, FROM.dev + 1))
}

/** Whether type, inode, size, mode, ids, mtime and ctime (ns) of `statx` are those kept at `offset` (design.md §4.3). */
export function equalsStat(statx: Uint32Array, kept: Uint32Array, offset: number): boolean {
  return (
    at(statx, FROM.ctime + 2) === kept[offset + STAT.ctimeNsec] &&
    at(statx, FROM.ctime) === kept[offset + STAT.ctimeSec] &&
    at(statx, FROM.ino) === kept[offset + STAT.ino] &&
    at(statx, FROM.ino + 1) === kept[offset + STAT.ino + 1] &&
    at(statx, FROM.size) === kept[offset + STAT.size] &&
    at(statx, FROM.size + 1) === kept[offset + STAT.size + 1] &&
    (at(statx, FROM.mode) & 0xffff) === kept[offset + STAT.mode] &&
    at(statx, FROM.uid) === kept[offset + STAT.uid] &&
    at(statx, FROM.gid) === kept[offset + STAT.gid] &&
    at(statx, FROM.mtime + 2) === kept[offset + STAT.mtimeNsec] &&
    at(statx, FROM.mtime) === kept[offset + STAT.mtimeSec] &&
    at(statx, FROM.mtime + 1) === kept[offset + STAT.mtimeSec + 1] &&
    at(statx, FROM.ctime + 1) === kept[offset + STAT.ctimeSec + 1]
  )
}

/** An unsigned 64-bit field; exact below 2^53, which sizes and inode numbers of real file systems are. */
export function stat64(words: Uint32Array, index: number): number {
  return at(words, index) + at(words, index + 1) * 2 ** 32
}

/** A signed 64-bit field: seconds before 1970 are negative. */
export function statSeconds(words: Uint32Array, index: number): number {
  return at(words, index) + (at(words, index + 1) | 0) * 2 ** 32
}

/** The change time in whole microseconds since 1970, rounded down. */
export function ctimeMicros(words: Uint32Array, offset: number): number {
  return statSeconds(words, offset + STAT.ctimeSec) * 1e6 + Math.floor(at(words, offset + STAT.ctimeNsec) / 1000)
}

/** The same, straight from struct statx. */
export function statxCtimeMicros(statx: Uint32Array): number {
  return statSeconds(statx, FROM.ctime) * 1e6 + Math.floor(at(statx, FROM.ctime + 2) / 1000)
}

/** The inode number and the file type, straight from struct statx. */
export function statxInode(statx: Uint32Array): number {
  return stat64(statx, FROM.ino)
}

/** The mode with its type bits, straight from struct statx. */
export function statxMode(statx: Uint32Array): number {
  return at(statx, FROM.mode) & 0xffff
}

/** The size of a file, straight from struct statx. */
export function statxSizeBytes(statx: Uint32Array): number {
  return stat64(statx, FROM.size)
}

/** Bytes on disk (512-byte blocks, straight from struct statx): fewer than the size where the file has holes. */
export function statxAllocatedBytes(statx: Uint32Array): number {
  return stat64(statx, FROM.blocks) * 512
}
