import { AppError } from '#base/errors.ts'
import { encodeHeader, maxHeaderBytes, OPAQUE_NAME, padding, whiteoutName, type TarHeader } from '#oci/tar.ts'
import { OVERFLOW_ID } from '#overlay/id-map.ts'
import { addressOf, closeDescriptor, errnoName, nextData, nextHole, readAt, statxDescriptor } from '#posix/libc.ts'
import { equalsStat, FILE_TYPE, STAT, statSeconds, statxAllocatedBytes } from '#posix/stat.ts'
import { OP, OP_NUMBERS } from './plan.ts'
import { EntryOpener, NO_XATTRS, XattrReader, type EntryOptions, type EntryXattrs } from './read-entry.ts'
import { MemberNames } from './member-names.ts'
import type { Rows } from './rows.ts'

const END_BYTES = 1024

/** What was copied of an entry while the container was frozen. */
export interface KeptEntry extends EntryXattrs {
  /** Where its content begins in the tail spool. */
  readonly offset: number
  readonly link?: Uint8Array
}

export interface EncodeOptions extends EntryOptions {
  readonly toImageGid: (hostId: number) => number | undefined
  /** Where the content of kept entries is read. */
  readonly tailDescriptor: number
}

export interface EncodeRequest {
  readonly ops: Float64Array
  readonly isLast: boolean
  /** Set for the layer of what was copied at the freeze: nothing is read from the container. */
  readonly kept?: ReadonlyMap<number, KeptEntry>
  /** Compare each file's stat after its reading with what the walk saw: for a capture without a freeze. */
  readonly checksAfterRead: boolean
}

export interface Encoded {
  /** The slot's buffer, or a larger one that replaces it. */
  readonly buffer: Uint8Array
  readonly length: number
  /** Rows whose bytes are not one state of the file: padded or cut. */
  readonly torn: readonly number[]
  /** Rows that were gone when they should be read: the segment has no entry for them. */
  readonly absent: readonly number[]
  /** Rows that are in the segment, but not whole, and what of them is not. */
  readonly leftOut: readonly (readonly [row: number, what: string])[]
  readonly unmappedIds: number
}

/** In the place of a target that is not known any more. */
const NOWHERE = Buffer.from('.')

/** Writes the tar of one segment. The result depends on the rows and the files alone, not on who writes it. */
export class SegmentEncoder {
  readonly #rows: Rows
  readonly #options: EncodeOptions
  readonly #opener: EntryOpener
  readonly #statx = new Uint32Array(64)
  #into: Uint8Array = new Uint8Array(0)
  #address = 0
  #at = 0
  #torn = new Set<number>()
  #absent: number[] = []
  #leftOut: (readonly [number, string])[] = []
  #xattrs: XattrReader
  #unmappedIds = 0
  #request: EncodeRequest = { ops: new Float64Array(), isLast: false, checksAfterRead: false }
  #names: MemberNames

  constructor(rows: Rows, options: EncodeOptions) {
    this.#rows = rows
    this.#options = options
    this.#xattrs = new XattrReader(options)
    this.#names = new MemberNames(rows)
    this.#opener = new EntryOpener(rows)
  }

  /** Encode into `buffer`. Throws `reader_failed` when a file cannot be read, `limit_exceeded`, `overlay_unsupported`. */
  encode(request: EncodeRequest, buffer: Uint8Array): Encoded {
    this.#begin(request, buffer)
    const { ops } = request
    for (let i = 0; i < ops.length; i += OP_NUMBERS) {
      const kind = ops[i] ?? 0
      const row = ops[i + 1] ?? 0
      const a = ops[i + 2] ?? 0
      const b = ops[i + 3] ?? 0
      if (kind === OP.file) this.#addFilePart(row, a, b)
      else if (kind === OP.link) this.#addLink(row, a)
      else if (kind === OP.whiteout) this.#addMarker(whiteoutName(this.#names.of(row)))
      else if (kind === OP.opaque) this.#addMarker(Buffer.concat([this.#names.of(row), Buffer.from(OPAQUE_NAME)]))
      else this.#addHeaderOnly(row)
    }
    this.#opener.close()
    if (request.isLast) this.#addZeros(END_BYTES)
    return {
      buffer: this.#into,
      length: this.#at,
      torn: [...this.#torn],
      absent: this.#absent,
      leftOut: this.#leftOut,
      unmappedIds: this.#unmappedIds,
    }
  }

  #begin(request: EncodeRequest, buffer: Uint8Array): void {
    this.#request = request
    this.#into = buffer
    this.#address = addressOf(buffer)
    this.#at = 0
    this.#torn = new Set()
    this.#absent = []
    this.#leftOut = []
    this.#xattrs = new XattrReader(this.#options)
    this.#unmappedIds = 0
    this.#names = new MemberNames(this.#rows)
  }

  #addHeaderOnly(row: number): void {
    const kept = this.#request.kept
    const type = this.#rows.type(row)
    if (type === FILE_TYPE.symlink) this.#addSymlink(row)
    else if (type === FILE_TYPE.directory) {
      const xattrs = this.#noted(row, kept ? kept.get(row) : this.#directoryXattrs(row))
      this.#addHeader(this.#header(row, { kind: 'directory', xattrs }))
    } else if (type === FILE_TYPE.fifo) this.#addHeader(this.#header(row, { kind: 'fifo' }))
    else {
      const rdev = this.#rows.word(row, STAT.rdev)
      const kind = type === FILE_TYPE.block ? 'block' : 'char'
      this.#addHeader(this.#header(row, { kind, devMajor: rdev >>> 20, devMinor: rdev & 0xfffff }))
    }
  }

  /** One that is gone leaves no entry, unless links need it (attacks.md A8): then it keeps its place, and is torn. */
  #addSymlink(row: number): void {
    const { kept } = this.#request
    const linkName = kept ? kept.get(row)?.link : this.#opener.readLink(row)
    if (linkName !== undefined) this.#addHeader(this.#header(row, { kind: 'symlink', linkName }))
    else if (this.#rows.word(row, STAT.nlink) > 1) {
      this.#torn.add(row)
      this.#addHeader(this.#header(row, { kind: 'symlink', linkName: NOWHERE }))
    } else this.#absent.push(row)
  }

  #directoryXattrs(row: number): EntryXattrs {
    const descriptor = this.#opener.directory(row)
    if (descriptor >= 0) return this.#xattrs.read(descriptor, () => this.#rows.path(row))
    this.#torn.add(row)
    return NO_XATTRS
  }

  #noted(row: number, { xattrs, leftOut }: EntryXattrs = NO_XATTRS): EntryXattrs['xattrs'] {
    if (leftOut !== undefined) this.#leftOut.push([row, leftOut])
    return xattrs
  }

  #addLink(row: number, targetRow: number): void {
    this.#addHeader(this.#header(row, { kind: 'hardlink', linkName: this.#names.of(targetRow) }))
  }

  #addMarker(name: Uint8Array): void {
    this.#addHeader({ name, kind: 'file', mode: 0o600, uid: 0, gid: 0, size: 0, mtimeSec: 0 })
  }

  #addFilePart(row: number, from: number, to: number): void {
    const size = this.#rows.sizeBytes(row)
    const { kept } = this.#request
    if (kept) {
      const entry = kept.get(row)
      if (from === 0) this.#addHeader(this.#header(row, { kind: 'file', size, xattrs: this.#noted(row, entry) }))
      this.#addContent(this.#options.tailDescriptor, row, { from, to, shift: entry?.offset ?? 0 })
    } else if (!this.#addLivePart(row, from, to)) return
    if (to === size) this.#addZeros(padding(size))
  }

  /** False when the file is not there any more and nothing of it was written. */
  #addLivePart(row: number, from: number, to: number): boolean {
    const size = this.#rows.sizeBytes(row)
    const descriptor = this.#opener.openFile(row)
    if (descriptor < 0) return this.#addVanished(row, from, to)
    try {
      if (from === 0) {
        const xattrs = this.#noted(
          row,
          this.#xattrs.read(descriptor, () => this.#rows.path(row)),
        )
        this.#addHeader(this.#header(row, { kind: 'file', size, xattrs }))
      }
      if (statxAllocatedBytes(this.#opener.statx) < size) this.#addSparse(descriptor, row, { from, to })
      else this.#addContent(descriptor, row, { from, to, shift: 0 })
      if (this.#request.checksAfterRead) this.#checkAfterRead(descriptor, row)
    } finally {
      closeDescriptor(descriptor)
    }
    return true
  }

  /**
   * A file that is gone leaves no entry. One that has other parts in other segments, or links that need it (attacks.md A8),
   * keeps its place, in zeros. It is torn either way.
   */
  #addVanished(row: number, from: number, to: number): boolean {
    const size = this.#rows.sizeBytes(row)
    const isNeeded = from > 0 || to < size || this.#rows.word(row, STAT.nlink) > 1
    if (!isNeeded) {
      this.#absent.push(row)
      return false
    }
    this.#torn.add(row)
    if (from === 0) this.#addHeader(this.#header(row, { kind: 'file', size }))
    this.#addZeros(to - from)
    return true
  }

  #addContent(descriptor: number, row: number, { from, to, shift }: { from: number; to: number; shift: number }): void {
    this.#makeRoom(to - from)
    for (let position = from; position < to;) {
      const got = readAt(descriptor, this.#address + this.#at, to - position, position + shift)
      if (got < 0) throw unreadable(this.#rows.path(row), got)
      if (got === 0) {
        this.#torn.add(row) // it shrank: padded
        return this.#addZeros(to - position)
      }
      this.#at += got
      position += got
    }
  }

  #addSparse(descriptor: number, row: number, { from, to }: { from: number; to: number }): void {
    for (let position = from; position < to;) {
      const data = nextData(descriptor, position)
      const start = data < 0 ? to : Math.min(data, to)
      this.#addZeros(start - position)
      if (start === to) return
      const hole = nextHole(descriptor, start)
      const end = hole <= start ? to : Math.min(hole, to)
      this.#addContent(descriptor, row, { from: start, to: end, shift: 0 })
      position = end
    }
  }

  #checkAfterRead(descriptor: number, row: number): void {
    const status = statxDescriptor(descriptor, this.#statx)
    if (status < 0 || !equalsStat(this.#statx, this.#rows.words, this.#rows.stat(row))) this.#torn.add(row)
  }

  #header(row: number, rest: Pick<TarHeader, 'kind'> & Partial<TarHeader>): TarHeader {
    const rows = this.#rows
    return {
      name: this.#names.of(row),
      mode: rows.mode(row) & 0o7777,
      uid: this.#imageId(this.#options.toImageUid(rows.word(row, STAT.uid))),
      gid: this.#imageId(this.#options.toImageGid(rows.word(row, STAT.gid))),
      size: 0,
      mtimeSec: this.#mtimeSec(row),
      ...rest,
    }
  }

  /** tmpfs and btrfs keep any 64-bit time that a user sets. */
  #mtimeSec(row: number): number {
    const seconds = statSeconds(this.#rows.words, this.#rows.stat(row) + STAT.mtimeSec)
    if (Number.isSafeInteger(seconds)) return seconds
    this.#leftOut.push([row, 'only its time, which is further off than a layer can say'])
    return 0
  }

  #imageId(id: number | undefined): number {
    if (id === undefined) this.#unmappedIds++
    return id ?? OVERFLOW_ID
  }

  #addHeader(header: TarHeader): void {
    this.#makeRoom(maxHeaderBytes(header))
    this.#at = encodeHeader(header, this.#into, this.#at)
  }

  #addZeros(length: number): void {
    this.#makeRoom(length)
    this.#into.fill(0, this.#at, this.#at + length)
    this.#at += length
  }

  #makeRoom(length: number): void {
    if (this.#at + length <= this.#into.byteLength) return
    const larger = new Uint8Array(new SharedArrayBuffer(Math.max(this.#at + length, this.#into.byteLength * 2)))
    larger.set(this.#into.subarray(0, this.#at))
    this.#into = larger
    this.#address = addressOf(larger)
  }
}

function unreadable(path: string, result: number): AppError {
  return new AppError(
    'reader_failed',
    `/${path} cannot be read: ${errnoName(result)}. Exclude it with --exclude, or mend the disk.`,
    {
      details: { path: `/${path}` },
    },
  )
}
