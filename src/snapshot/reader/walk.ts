import { AppError } from '#base/errors.ts'
import type { Clock } from '#base/clock.ts'
import type { Exclusions } from '#overlay/exclusions.ts'
import { WHITEOUT_PREFIX, type OverlayPrefix } from '#overlay/xattrs.ts'
import { addressOf, closeDescriptor, cString, errnoName, openDirectory, statxAt, statxDescriptor } from '#posix/libc.ts'
import { copyStat, equalsStat, FILE_TYPE, STAT, statxCtimeMicros, statxInode, statxMode } from '#posix/stat.ts'
import { listDirectory, type ListedEntry } from './list-directory.ts'
import { isBareDirectory, isXattrWhiteout, overlayMarks, type OverlayMarks } from './overlay-marks.ts'
import { FLAG, ROOT, type Rows } from './rows.ts'
import { CTIME_MARGIN_MICROS, isTrustedRow } from './trust.ts'
import type { WorkQueue } from './work-queue.ts'

/** The kernel takes no longer path in one call; an image could not be unpacked either. */
const PATH_MAX = 4096
/** A layer holds a sparse file with all its zeros: hours of hashing for nothing on disk (attacks.md C10). Real ones are smaller. */
export const MOST_FILE_BYTES = 2 ** 40

/** What all threads of one pass know. */
export interface WalkOptions {
  /** min(S, B) of this pass in microseconds; 0 when either is missing: then nothing that is read now is trusted. */
  readonly readMicros: number
  readonly trustsNothing: boolean
  /** Only rows that are marked as named are looked at, and directories with one. */
  readonly isOfNamed: boolean
  /** Set while the container is frozen: when that was seen (F1). */
  readonly frozenMicros?: number
  readonly exclusions: Exclusions
  /** Mount points: an empty entry at one of them is a stub that the runtime made. */
  readonly stubs: Exclusions
  readonly overlayPrefix: OverlayPrefix
}

export interface WalkResult {
  /** Rows that appeared in directories that had been listed before: [directory, first row, count] in a row. */
  readonly blocks: readonly number[]
  /** Known directories that were not where they should be: their parents must have seen why. */
  readonly missing: readonly number[]
  /** Entries that changed or went while the container was frozen: the pass has not seen one state (attacks.md B3). */
  readonly moved: number
  /** Byte paths of exclusions that were met. */
  readonly excluded: readonly string[]
}

/** One thread's part of a pass: it visits directories from the queue until nobody has any left. */
export class Walker {
  readonly #rows: Rows
  readonly #queue: WorkQueue
  readonly #options: WalkOptions
  readonly #clock: Clock
  readonly #namesAddress: number
  readonly #statx = new Uint32Array(64)
  readonly #blocks: number[] = []
  readonly #missing: number[] = []
  readonly #excluded: string[] = []
  #moved = 0

  constructor(rows: Rows, queue: WorkQueue, options: WalkOptions, clock: Clock) {
    this.#rows = rows
    this.#queue = queue
    this.#options = options
    this.#clock = clock
    this.#namesAddress = addressOf(rows.names)
  }

  /** Walk. Throws `container_gone` when the upperdir itself is gone, `overlay_unsupported` for what cannot be saved exactly. */
  run(): WalkResult {
    try {
      this.#queue.drain(({ row, isFresh }) => this.#visit(row, isFresh))
    } catch (error) {
      this.#queue.stop()
      throw error
    }
    return { blocks: this.#blocks, missing: this.#missing, moved: this.#moved, excluded: this.#excluded }
  }

  #visit(directory: number, isFresh: boolean): void {
    const path = this.#rows.path(directory)
    if (path.length >= PATH_MAX - 256) return this.#tooDeep(directory)
    const descriptor = openDirectory(cString(path === '' ? '.' : path))
    if (descriptor < 0) return this.#unreachable(directory, path, descriptor)
    try {
      const status = statxDescriptor(descriptor, this.#statx)
      if (status < 0 || statxInode(this.#statx) !== this.#rows.inode(directory)) return this.#notSeen(directory)
      if (isFresh) this.#list(directory, descriptor, path)
      else if (this.#options.isOfNamed && !this.#rows.has(directory, FLAG.named))
        this.#compareNamed(directory, descriptor)
      else this.#compare(directory, descriptor, path)
    } finally {
      closeDescriptor(descriptor)
    }
  }

  /** A directory that was never listed: all its entries are new. */
  #list(directory: number, descriptor: number, path: string): void {
    const marks = overlayMarks(descriptor, path, this.#options.overlayPrefix)
    if (marks.isOpaque) this.#rows.mark(directory, FLAG.opaque | FLAG.opaqueNow)
    if (marks.isCopiedUp) this.#rows.mark(directory, FLAG.copiedUp)
    // A name that is moved meanwhile may be listed twice. Sorted by bytes: a char is one.
    const names = [...new Set(listDirectory(descriptor).map(({ name }) => name))].sort()
    this.#rows.setReadMicros(directory, this.#options.readMicros) // not trusted if an entry has gone by now: see #raced
    const [first, count] = this.#append(directory, descriptor, { path, marks, names })
    this.#rows.setChildren(directory, first, count)
  }

  #compare(directory: number, descriptor: number, path: string): void {
    const rows = this.#rows
    const isSame = equalsStat(this.#statx, rows.words, rows.stat(directory))
    const isTrusted = isSame && !this.#options.isOfNamed && this.#isTrusted(directory)
    if (isTrusted) {
      for (let i = 0, row = rows.firstChild(directory); i < rows.childCount(directory); i++, row++)
        this.#compareChild(directory, descriptor, row)
      return
    }
    if (!isSame) this.#keepStat(directory)
    rows.mark(directory, FLAG.changed)
    const marks = overlayMarks(descriptor, path, this.#options.overlayPrefix)
    if (marks.isOpaque && !rows.has(directory, FLAG.opaque)) rows.mark(directory, FLAG.opaque | FLAG.opaqueNow)
    if (marks.isCopiedUp) rows.mark(directory, FLAG.copiedUp)
    rows.setReadMicros(directory, this.#options.readMicros)
    this.#relist(directory, descriptor, { path, marks })
  }

  /** A directory that has not changed itself. */
  #compareNamed(directory: number, descriptor: number): void {
    const rows = this.#rows
    for (let i = 0, row = rows.firstChild(directory); i < rows.childCount(directory); i++, row++)
      if (rows.has(row, FLAG.named)) this.#compareChild(directory, descriptor, row)
  }

  /** A directory whose listing may have changed: known names are compared, new ones appended, missing ones marked. */
  #relist(directory: number, descriptor: number, { path, marks }: { path: string; marks: OverlayMarks }): void {
    const rows = this.#rows
    const listed = new Map(listDirectory(descriptor).map((entry) => [entry.name, entry]))
    for (let i = 0, row = rows.firstChild(directory); i < rows.childCount(directory); i++, row++) {
      if (rows.has(row, FLAG.gone)) continue
      const name = rows.name(row)
      const entry = listed.get(name)
      if (!entry || this.#isAnother(row, entry) || this.#isReplaced(directory, descriptor, { row, entry }))
        rows.mark(row, FLAG.gone)
      else listed.delete(name)
    }
    if (listed.size === 0) return
    const [first, count] = this.#append(directory, descriptor, { path, marks, names: [...listed.keys()].sort() })
    if (count > 0) this.#blocks.push(directory, first, count)
  }

  /** Whether a known directory is another one by now. By its inode number alone that cannot be said: they are used again at once. */
  #isAnother(row: number, entry: ListedEntry): boolean {
    return this.#rows.isDirectory(row) && (entry.isDirectory === false || entry.inode !== this.#rows.inode(row))
  }

  /** As `#compareChild`; under a watch an inode that was not named, and has its old name, is as it was. */
  #isReplaced(directory: number, descriptor: number, { row, entry }: { row: number; entry: ListedEntry }): boolean {
    const rows = this.#rows
    const isSame = entry.inode === rows.inode(row) && entry.isDirectory === rows.isDirectory(row)
    const isAsItWas = this.#options.isOfNamed && !rows.has(row, FLAG.named) && isSame
    return !isAsItWas && this.#compareChild(directory, descriptor, row)
  }

  /** Compare an entry that is still listed. True when another kind of entry has taken its name: it needs a row of its own. */
  #compareChild(directory: number, descriptor: number, row: number): boolean {
    const rows = this.#rows
    if (rows.has(row, FLAG.gone) || rows.isDirectory(row)) return false // a directory is compared when it is visited
    const status = statxAt(descriptor, this.#namesAddress + rows.nameOffset(row), this.#statx)
    if (status < 0) {
      this.#raced(directory, status)
      return false
    }
    if (equalsStat(this.#statx, rows.words, rows.stat(row))) {
      if (rows.has(row, FLAG.whiteout)) return false // it has no content
      // A watched file may have been written to while it was read: its content is taken again (attacks.md A11).
      if (!this.#isTrusted(row) || (this.#options.isOfNamed && rows.isRegular(row))) rows.mark(row, FLAG.changed)
      return false
    }
    if ((statxMode(this.#statx) & FILE_TYPE.mask) === FILE_TYPE.directory) return true
    const wasWhiteout = rows.has(row, FLAG.whiteout)
    this.#keepStat(row)
    const kind = this.#kindFlags(row)
    // Overlay's whiteouts are links of one inode: each one that comes or goes changes the ctime of all.
    if (wasWhiteout && kind === FLAG.whiteout) return false
    rows.unmark(row, FLAG.whiteout | FLAG.skipped)
    rows.mark(row, FLAG.changed | kind)
    return false
  }

  /** Rows for `names` of a directory, sorted; directories among them are queued. */
  #append(
    directory: number,
    descriptor: number,
    { path, marks, names }: { path: string; marks: OverlayMarks; names: readonly string[] },
  ): readonly [first: number, count: number] {
    const rows = this.#rows
    const key = path === '' ? '' : `/${path}`
    const excluded = this.#options.exclusions.get(key)
    const stubs = this.#options.stubs.get(key)
    const kept = excluded ? names.filter((name) => !excluded.has(name)) : names
    for (const name of excluded ? names : []) if (excluded?.has(name)) this.#excluded.push(`${key}/${name}`)
    const first = rows.allocate(kept.length)
    for (const [i, name] of kept.entries()) {
      const row = first + i
      rows.setName(row, name)
      rows.setParent(row, directory)
      rows.setFlags(row, FLAG.gone)
      const nameAddress = this.#namesAddress + rows.nameOffset(row)
      const status = statxAt(descriptor, nameAddress, this.#statx)
      if (status < 0) {
        this.#raced(directory, status)
        continue
      }
      this.#keepStat(row)
      if (stubs?.has(name) && this.#isStub(row, descriptor, nameAddress)) continue
      const isMarkedFile = marks.hasXattrWhiteouts && rows.isRegular(row) && rows.sizeBytes(row) === 0
      const whiteout =
        isMarkedFile && isXattrWhiteout(descriptor, nameAddress, this.#options.overlayPrefix) ? FLAG.whiteout : 0
      rows.setFlags(row, FLAG.changed | whiteout | this.#kindFlags(row))
      if (rows.isDirectory(row) && !rows.has(row, FLAG.skipped)) this.#queue.push(row, true)
    }
    return [first, kept.length]
  }

  /** Whether the runtime made it to mount on: an empty file, or a directory that is empty and stands for none below. */
  #isStub(row: number, directory: number, name: number): boolean {
    const rows = this.#rows
    if (!rows.isDirectory(row)) return rows.isRegular(row) && rows.sizeBytes(row) === 0
    return isBareDirectory(directory, name, this.#options.overlayPrefix)
  }

  #kindFlags(row: number): number {
    const rows = this.#rows
    const type = rows.type(row)
    if (type === FILE_TYPE.char && rows.word(row, STAT.rdev) === 0) return FLAG.whiteout
    const isTooLarge = type === FILE_TYPE.regular && rows.sizeBytes(row) > MOST_FILE_BYTES
    return isTooLarge || type === FILE_TYPE.socket || rows.name(row).startsWith(WHITEOUT_PREFIX) ? FLAG.skipped : 0
  }

  #keepStat(row: number): void {
    copyStat(this.#statx, this.#rows.words, this.#rows.stat(row))
    const { frozenMicros } = this.#options
    if (frozenMicros === undefined) return
    const changed = statxCtimeMicros(this.#statx)
    // A ctime in the future (the clock was set back) says nothing about the freeze.
    if (changed <= frozenMicros + CTIME_MARGIN_MICROS || changed > Number(this.#clock.wallNs() / 1000n) + 1000) return
    this.#moved++
  }

  #isTrusted(row: number): boolean {
    return !this.#options.trustsNothing && isTrustedRow(this.#rows, row)
  }

  /**
   * A listed name was not there a moment later: while frozen that cannot be, else the next pass lists the directory again.
   * Throws `reader_failed` when it is there and cannot be looked at.
   */
  #raced(directory: number, result: number): void {
    const error = errnoName(result)
    if (error !== 'ENOENT')
      throw new AppError('reader_failed', `An entry of /${this.#rows.path(directory)} cannot be read: ${error}.`)
    if (this.#options.frozenMicros !== undefined) this.#moved++
    this.#rows.setReadMicros(directory, 0)
  }

  #unreachable(directory: number, path: string, result: number): void {
    if (directory === ROOT) throw rootGone()
    if (errnoName(result) === 'EIO' || errnoName(result) === 'EMFILE')
      throw new AppError('reader_failed', `The directory /${path} cannot be read: ${errnoName(result)}.`)
    this.#notSeen(directory)
  }

  #notSeen(directory: number): void {
    this.#rows.setReadMicros(directory, 0)
    this.#missing.push(directory)
  }

  #tooDeep(directory: number): void {
    this.#rows.mark(directory, FLAG.skipped)
  }
}

function rootGone(): AppError {
  return new AppError(
    'container_gone',
    "The container's writable layer is gone: was it removed? Try again while it runs.",
  )
}
