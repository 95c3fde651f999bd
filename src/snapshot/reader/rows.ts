import { AppError } from '#base/errors.ts'
import { FILE_TYPE, STAT, STAT_WORDS, stat64, statSeconds } from '#posix/stat.ts'

/**
 * What the upperdir looks like: one row per path, in shared memory, so that every thread of the reader walks, compares
 * and encodes over the same rows without a copy. The children of a directory are one block of rows, sorted by name.
 *
 * The buffers are reserved for the most entries that there can be; memory is used only where rows are.
 */
const ROW_WORDS = STAT_WORDS + 8
const FIELD = {
  parent: 16,
  nameOffset: 17,
  nameLength: 18,
  flags: 19,
  firstChild: 20,
  childCount: 21,
  readMicros: 22,
} as const
/** What a row takes in the buffers and in an index. */
export const ROW_BYTES = ROW_WORDS * 4
const NAME_BYTES_PER_ROW = 64
const LEAST_ROWS = 100_000

export const FLAG = {
  /** An earlier layer of this capture holds the path. */
  emitted: 1,
  /** To be written to the next layer. */
  changed: 2,
  /** The path is no longer in the upperdir; as long as an earlier layer holds it, the next one has a whiteout. */
  gone: 4,
  /** A directory that hides what the base has below it. */
  opaque: 8,
  /** Became opaque, or is another inode than the one an earlier layer holds: the next layer has the marker and the whole subtree. */
  opaqueNow: 16,
  /** Overlay's mark that a lower layer's path is deleted. */
  whiteout: 32,
  /** Never in a layer: sockets, names that would be whiteouts. */
  skipped: 64,
  /** Its ctime was set since the watch was opened: the walk that visits only those looks at it. */
  named: 128,
  /** A layer holds it, but not quite as it is: each capture has to say so, and so takes it again. */
  inexact: 256,
  /** A directory that overlay has copied up: the base has it, too. */
  copiedUp: 512,
} as const

/** The shared buffers; posted to every thread once. */
export interface RowsBuffers {
  readonly capacity: number
  readonly rows: SharedArrayBuffer
  readonly names: SharedArrayBuffer
  /** [rows in use, bytes of names in use] */
  readonly counters: SharedArrayBuffer
}

export function allocateRows(capacity: number): RowsBuffers {
  return {
    capacity,
    rows: new SharedArrayBuffer(capacity * ROW_BYTES),
    names: new SharedArrayBuffer(capacity * NAME_BYTES_PER_ROW),
    counters: new SharedArrayBuffer(8),
  }
}

/** Rows for as many entries as there can be, or where the system does not promise so much memory, for fewer. Throws RangeError. */
export function allocateMostRows(capacity: number): RowsBuffers {
  try {
    return allocateRows(capacity)
  } catch (error) {
    if (!(error instanceof RangeError) || capacity < LEAST_ROWS) throw error
    return allocateMostRows(Math.floor(capacity / 2))
  }
}

export const ROOT = 0

/** Where a row goes in an index. */
export interface RowPlace {
  readonly nameOffset: number
  readonly parent: number
  readonly firstChild: number
  readonly childCount: number
}

export class Rows {
  readonly buffers: RowsBuffers
  readonly words: Uint32Array
  /** The same as bytes. */
  readonly bytes: Buffer
  readonly names: Buffer
  readonly #micros: Float64Array
  readonly #counters: Int32Array

  constructor(buffers: RowsBuffers) {
    this.buffers = buffers
    this.words = new Uint32Array(buffers.rows)
    this.bytes = Buffer.from(buffers.rows)
    this.#micros = new Float64Array(buffers.rows)
    this.names = Buffer.from(buffers.names)
    this.#counters = new Int32Array(buffers.counters)
  }

  get count(): number {
    return Atomics.load(this.#counters, 0)
  }

  /** Room for `count` rows side by side: the first one. Any thread. Throws `limit_exceeded`. */
  allocate(count: number): number {
    const first = Atomics.add(this.#counters, 0, count)
    if (first + count > this.buffers.capacity) throw tooMany(this.buffers.capacity)
    return first
  }

  /** `count` rows with `nameBytes` of names will be written into the empty buffers by the caller. Throws `limit_exceeded`. */
  fill(count: number, nameBytes: number): void {
    this.allocate(count)
    if (nameBytes > this.names.byteLength) throw tooMany(this.buffers.capacity)
    Atomics.store(this.#counters, 1, nameBytes)
  }

  /** Copy a row to `into`, as it is at another place. */
  copyRow(row: number, into: Buffer, { at, place }: { readonly at: number; readonly place: RowPlace }): void {
    this.bytes.copy(into, at, row * ROW_BYTES, (row + 1) * ROW_BYTES)
    into.writeUInt32LE(place.nameOffset, at + FIELD.nameOffset * 4)
    into.writeUInt32LE(place.parent, at + FIELD.parent * 4)
    into.writeUInt32LE(place.firstChild, at + FIELD.firstChild * 4)
    into.writeUInt32LE(place.childCount, at + FIELD.childCount * 4)
  }

  /** Name a row; the bytes are followed by a NUL, so that a system call can be given their address. */
  setName(row: number, name: string): void {
    const offset = Atomics.add(this.#counters, 1, name.length + 1) >>> 0
    if (offset + name.length + 1 > this.names.byteLength) throw tooMany(this.buffers.capacity)
    this.names.write(name, offset, 'latin1')
    this.words[row * ROW_WORDS + FIELD.nameOffset] = offset
    this.words[row * ROW_WORDS + FIELD.nameLength] = name.length
  }

  /** Copy a whole row, children and all, to another place. */
  move(from: number, to: number): void {
    this.words.copyWithin(to * ROW_WORDS, from * ROW_WORDS, (from + 1) * ROW_WORDS)
  }

  /**
   * The device of a file system may have another number after a boot: rows of an earlier capture have that of their root
   * (attacks.md C2). They have `device` from now on, and rows of another file system below it keep theirs.
   */
  moveToDevice(device: number): void {
    const { words, count } = this
    const before = this.#word(ROOT, STAT.dev)
    for (let row = 0, at: number = STAT.dev; row < count; row++, at += ROW_WORDS)
      if (words[at] === before) words[at] = device
  }

  stat(row: number): number {
    return row * ROW_WORDS
  }

  nameOffset(row: number): number {
    return this.#word(row, FIELD.nameOffset)
  }

  nameLength(row: number): number {
    return this.#word(row, FIELD.nameLength)
  }

  name(row: number): string {
    const offset = this.nameOffset(row)
    return this.names.toString('latin1', offset, offset + this.nameLength(row))
  }

  parent(row: number): number {
    return this.#word(row, FIELD.parent)
  }

  setParent(row: number, parent: number): void {
    this.words[row * ROW_WORDS + FIELD.parent] = parent
  }

  firstChild(row: number): number {
    return this.#word(row, FIELD.firstChild)
  }

  childCount(row: number): number {
    return this.#word(row, FIELD.childCount)
  }

  setChildren(row: number, first: number, count: number): void {
    this.words[row * ROW_WORDS + FIELD.firstChild] = first
    this.words[row * ROW_WORDS + FIELD.childCount] = count
  }

  has(row: number, flag: number): boolean {
    return (this.#word(row, FIELD.flags) & flag) !== 0
  }

  /** Atomic, because two threads may mark one directory: the one that visits it and the one that visits its parent. */
  mark(row: number, flags: number): void {
    Atomics.or(this.words, row * ROW_WORDS + FIELD.flags, flags)
  }

  unmark(row: number, flags: number): void {
    Atomics.and(this.words, row * ROW_WORDS + FIELD.flags, ~flags)
  }

  setFlags(row: number, flags: number): void {
    this.words[row * ROW_WORDS + FIELD.flags] = flags
  }

  /** min(S, B) of the last read, in microseconds; 0 when it was never read (attacks.md A11). */
  readMicros(row: number): number {
    return this.#micros[(row * ROW_WORDS + FIELD.readMicros) >> 1] ?? 0
  }

  setReadMicros(row: number, micros: number): void {
    this.#micros[(row * ROW_WORDS + FIELD.readMicros) >> 1] = micros
  }

  mode(row: number): number {
    return this.#word(row, STAT.mode)
  }

  type(row: number): number {
    return this.mode(row) & FILE_TYPE.mask
  }

  isDirectory(row: number): boolean {
    return this.type(row) === FILE_TYPE.directory
  }

  isRegular(row: number): boolean {
    return this.type(row) === FILE_TYPE.regular
  }

  sizeBytes(row: number): number {
    return stat64(this.words, row * ROW_WORDS + STAT.size)
  }

  inode(row: number): number {
    return stat64(this.words, row * ROW_WORDS + STAT.ino)
  }

  word(row: number, field: number): number {
    return this.#word(row, field)
  }

  /** Whether the path is really there and belongs to the image, as an entry or as a whiteout. */
  isLive(row: number): boolean {
    return !this.has(row, FLAG.gone | FLAG.skipped)
  }

  /** Whether the tree has this row, below directories that are there: rows that have moved, or were replaced, lie about still. */
  isInTree(row: number): boolean {
    for (let at = row; at !== ROOT; at = this.parent(at)) {
      const parent = this.parent(at)
      const place = at - this.firstChild(parent)
      if (place < 0 || place >= this.childCount(parent) || (at !== row && !this.isLive(at))) return false
    }
    return true
  }

  /** Visit the rows with one of the flags, also those that are not in the tree. A look at a million rows takes 2 ms. */
  eachWith(flags: number, visit: (row: number) => void): void {
    const { words, count } = this
    for (let row = 0, at: number = FIELD.flags; row < count; row++, at += ROW_WORDS)
      if (((words[at] ?? 0) & flags) !== 0) visit(row)
  }

  /** Visit the rows whose inode number has a remainder by 65 536 that `sieve` holds, also those that are not in the tree. */
  eachInSieve(sieve: Uint8Array, visit: (row: number) => void): void {
    const { words, count } = this
    for (let row = 0, at: number = STAT.ino; row < count; row++, at += ROW_WORDS)
      if (sieve[(words[at] ?? 0) & 0xffff] === 1) visit(row)
  }

  /** Visit the rows that are in the image and were never read as they are now; also those that are not in the tree. */
  eachUnread(visit: (row: number) => void): void {
    for (let row = 0, { count } = this; row < count; row++)
      if (this.readMicros(row) === 0 && !this.has(row, FLAG.gone | FLAG.skipped)) visit(row)
  }

  ctimeSeconds(row: number): number {
    return statSeconds(this.words, this.stat(row) + STAT.ctimeSec)
  }

  /** The path below the upperdir without a leading slash, one char a byte; '' for the root. */
  path(row: number): string {
    let path = ''
    for (let at = row; at !== ROOT; at = this.parent(at))
      path = path === '' ? this.name(at) : `${this.name(at)}/${path}`
    return path
  }

  #word(row: number, field: number): number {
    return this.words[row * ROW_WORDS + field] ?? 0
  }
}

function tooMany(capacity: number): AppError {
  return new AppError(
    'limit_exceeded',
    `The container changed more than ${capacity} files: exclude some with --exclude.`,
  )
}
