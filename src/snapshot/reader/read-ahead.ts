import { closeDescriptor, willNeed } from '#posix/libc.ts'
import { statxAllocatedBytes } from '#posix/stat.ts'
import { OP, OP_NUMBERS, type Segment } from './plan.ts'
import { EntryOpener } from './read-entry.ts'
import type { Rows } from './rows.ts'

/**
 * So many segments the disk is told of before they are read. Two workers that read one file after the other wait for the
 * disk in turn, and a disk that is asked for one file at a time does a third of what it can (docs/performance.md).
 */
const SEGMENTS_AHEAD = 16
/** Of a segment's 8 MiB: less comes from disk when the page cache holds most. */
const COLD_BYTES = 1 << 20
/** It costs less to fetch such a file than to ask whether it has holes. */
const SMALL_BYTES = 1 << 20
const BLOCK_BYTES = 512 // of getrusage(2)'s ru_inblock, whatever the disk's

export interface AheadSegment {
  readonly segment: Segment
  /** Ops of later segments whose files the disk should fetch by now. */
  readonly ahead: readonly Float64Array[]
}

/** Segments in their order; while the disk is cold those that come later are planned early, and told. */
export class LookAhead {
  readonly #segments: Iterator<Segment>
  readonly #isCold: () => boolean
  readonly #planned: Segment[] = []

  constructor(segments: Iterator<Segment>, isCold: () => boolean) {
    this.#segments = segments
    this.#isCold = isCold
  }

  next(): AheadSegment | undefined {
    const segment = this.#planned.shift() ?? this.#plan()
    if (!segment) return undefined
    const ahead: Float64Array[] = []
    for (const room = this.#isCold() ? SEGMENTS_AHEAD : 0; this.#planned.length < room;) {
      const later = this.#plan()
      if (!later) break
      this.#planned.push(later)
      ahead.push(later.ops)
    }
    return { segment, ahead }
  }

  #plan(): Segment | undefined {
    const next = this.#segments.next()
    return next.done ? undefined : next.value
  }
}

/** Tells whether this process has read much from disk since it was last asked. */
export class DiskReads {
  #seen = blocksRead()

  isCold(): boolean {
    const now = blocksRead()
    const bytes = (now - this.#seen) * BLOCK_BYTES
    this.#seen = now
    return bytes >= COLD_BYTES
  }
}

function blocksRead(): number {
  return process.resourceUsage().fsRead
}

/** Has the disk fetch the files of a segment, without waiting for it (posix_fadvise(2)). What fails is met when it is read. */
export class FileFetcher {
  readonly #rows: Rows
  readonly #opener: EntryOpener

  constructor(rows: Rows) {
    this.#rows = rows
    this.#opener = new EntryOpener(rows)
  }

  fetch(ops: Float64Array): void {
    for (let i = 0; i < ops.length; i += OP_NUMBERS) {
      const from = ops[i + 2] ?? 0
      const to = ops[i + 3] ?? 0
      if (ops[i] === OP.file && from < to) this.#fetchPart(ops[i + 1] ?? 0, from, to)
    }
    this.#opener.close()
  }

  #fetchPart(row: number, from: number, to: number): void {
    const size = this.#rows.sizeBytes(row)
    const isSmall = size < SMALL_BYTES
    const descriptor = isSmall ? this.#opener.openUnverified(row) : this.#opener.openFile(row)
    if (descriptor < 0) return
    // The holes of a large sparse file would fill the page cache with zeros.
    if (isSmall || statxAllocatedBytes(this.#opener.statx) >= size) willNeed(descriptor, from, to - from)
    closeDescriptor(descriptor)
  }
}
