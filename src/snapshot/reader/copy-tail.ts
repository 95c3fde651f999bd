import { AppError } from '#base/errors.ts'
import { addressOf, closeDescriptor, errnoName, readAt, statxDescriptor } from '#posix/libc.ts'
import { equalsStat, FILE_TYPE } from '#posix/stat.ts'
import type { KeptEntry } from './encode.ts'
import { EntryOpener, NO_XATTRS, XattrReader, type EntryOptions } from './read-entry.ts'
import type { Rows } from './rows.ts'
import { writeWhole } from './write-whole.ts'

const BUFFER_BYTES = 1 << 20

/** A row and where its content goes in the tail spool. */
export type TailItem = readonly [row: number, offset: number]

/**
 * Copy what changed out of the frozen container: content to the tail spool as it is, attributes and link targets to the
 * result. Nothing is packed or compressed here: this is the part of the freeze that grows with the change.
 * Undefined when an entry is not what the walk saw a moment ago: then the container was not frozen all the time.
 */
export function copyTail(
  rows: Rows,
  items: readonly TailItem[],
  tailDescriptor: number,
  options: EntryOptions,
): readonly (readonly [number, KeptEntry])[] | undefined {
  const copier = new TailCopier(rows, tailDescriptor, options)
  const kept: (readonly [number, KeptEntry])[] = []
  try {
    for (const [row, offset] of items) {
      const entry = copier.copy(row, offset)
      if (!entry) return undefined
      kept.push([row, entry])
    }
    return kept
  } finally {
    copier.close()
  }
}

class TailCopier {
  readonly #rows: Rows
  readonly #tailDescriptor: number
  readonly #xattrs: XattrReader
  readonly #opener: EntryOpener
  readonly #buffer = new Uint8Array(BUFFER_BYTES)
  readonly #statx = new Uint32Array(64)

  constructor(rows: Rows, tailDescriptor: number, options: EntryOptions) {
    this.#rows = rows
    this.#tailDescriptor = tailDescriptor
    this.#xattrs = new XattrReader(options)
    this.#opener = new EntryOpener(rows)
  }

  copy(row: number, offset: number): KeptEntry | undefined {
    const type = this.#rows.type(row)
    if (type === FILE_TYPE.regular) return this.#copyFile(row, offset)
    if (type === FILE_TYPE.directory) {
      const descriptor = this.#opener.directory(row)
      return descriptor < 0 ? undefined : { offset, ...this.#readXattrs(descriptor, row) }
    }
    if (type !== FILE_TYPE.symlink) return { offset, ...NO_XATTRS }
    const link = this.#opener.readLink(row)
    return link && this.#opener.isAsSeen(row) ? { offset, ...NO_XATTRS, link } : undefined
  }

  close(): void {
    this.#opener.close()
  }

  #copyFile(row: number, offset: number): KeptEntry | undefined {
    const descriptor = this.#opener.openFile(row)
    if (descriptor < 0) return undefined
    try {
      const xattrs = this.#readXattrs(descriptor, row)
      const isWhole = this.#copyContent(descriptor, row, offset) && this.#isAsSeen(descriptor, row)
      return isWhole ? { offset, ...xattrs } : undefined
    } finally {
      closeDescriptor(descriptor)
    }
  }

  /** False when the file is shorter than the walk saw. */
  #copyContent(descriptor: number, row: number, offset: number): boolean {
    const size = this.#rows.sizeBytes(row)
    const address = addressOf(this.#buffer)
    for (let position = 0; position < size;) {
      const got = readAt(descriptor, address, Math.min(BUFFER_BYTES, size - position), position)
      if (got < 0) throw new AppError('reader_failed', `/${this.#rows.path(row)} cannot be read: ${errnoName(got)}.`)
      if (got === 0) return false
      writeWhole(this.#tailDescriptor, this.#buffer.subarray(0, got), offset + position, 'The spool')
      position += got
    }
    return true
  }

  /** A write that was in flight at the freeze ends after it, and the engine copies into a frozen container (attacks.md B3, C8). */
  #isAsSeen(descriptor: number, row: number): boolean {
    return (
      statxDescriptor(descriptor, this.#statx) === 0 && equalsStat(this.#statx, this.#rows.words, this.#rows.stat(row))
    )
  }

  #readXattrs(descriptor: number, row: number) {
    return this.#xattrs.read(descriptor, () => this.#rows.path(row))
  }
}
