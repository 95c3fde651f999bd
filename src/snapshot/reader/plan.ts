import { WHITEOUT_PREFIX } from '#overlay/xattrs.ts'
import { FILE_TYPE } from '#posix/stat.ts'
import { FLAG, ROOT, type Rows } from './rows.ts'
import type { HardlinkGroups } from './settle.ts'

/** The unit of parallel work: about this much layer tar, compressed as one frame (design.md §4.4). */
export const SEGMENT_BYTES = 8 << 20
const HEADER_ESTIMATE = 1024
/** A layer is closed at about 2 GiB of tar: the unit of retry, and below every registry's limit (registry.md). */
export const LAYER_BYTES = 2 ** 31
/** So many layers of one size, then the size doubles: the number of layers stays small for any total (attacks.md B9). */
const LAYERS_PER_SIZE = 8

/** What a worker does for one member or a part of one: five numbers each in a segment's `ops`. */
export const OP = {
  /** row: its header alone (directory, symlink, FIFO, device). */
  header: 0,
  /** row: the opaque marker of a directory. */
  opaque: 1,
  /** row: a whiteout of its path. */
  whiteout: 2,
  /** row, from, to: bytes of a regular file, after its header when `from` is 0. */
  file: 3,
  /** row, target row. */
  link: 4,
} as const
export const OP_NUMBERS = 4

export interface Segment {
  readonly layer: number
  readonly ops: Float64Array
  readonly files: number
  /** The tar ends with it. */
  readonly isLast: boolean
}

export interface PlanOptions {
  /** The number of the first layer. */
  readonly firstLayer: number
  readonly readMicros: number
  readonly groups: HardlinkGroups
  readonly layerBytes?: number
  /** Asked for each layer: the most that it may hold, unless one file alone is more. */
  readonly fitBytes?: () => number
  /** Called before a regular file is planned: where the pass could not sync the file system, it does so file by file. False: do not trust. */
  readonly beforeFile?: (row: number) => boolean
}

/**
 * Everything that is marked as changed, as segments in the order of the tree; the rows are marked as emitted. Each layer has
 * the headers of all ancestors (attacks.md A6), whiteouts before the other entries of their directory, and hardlink
 * groups whole, directly after the member with the content (B1).
 */
export function* planLayers(rows: Rows, options: PlanOptions): Generator<Segment> {
  const planner = new Planner(rows, options)
  const stack: { directory: number; next: number }[] = []
  const open = (directory: number) => {
    planner.openDirectory(directory)
    stack.push({ directory, next: 0 })
  }
  open(ROOT)
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    if (top.next === rows.childCount(top.directory)) {
      stack.pop()
      continue
    }
    const row = rows.firstChild(top.directory) + top.next++
    if (!rows.isLive(row)) continue
    if (rows.isDirectory(row)) open(row)
    else if (rows.has(row, FLAG.changed) && !rows.has(row, FLAG.whiteout)) {
      if (!planner.fits(row)) planner.closeLayer()
      yield* planner.take() // nothing of the next layer is marked while who asks still waits for it
      planner.addEntry(row)
    }
    yield* planner.take()
  }
  planner.closeLayer()
  yield* planner.take()
}

class Planner {
  readonly #rows: Rows
  readonly #options: PlanOptions
  readonly #layerOf = new Map<number, number>()
  readonly #ready: Segment[] = []
  readonly #untrusted = new Set<number>()
  #ops: number[] = []
  #segmentBytes = 0
  #files = 0
  #layer: number
  #layerBytes = 0
  #hasMembers = false

  constructor(rows: Rows, options: PlanOptions) {
    this.#rows = rows
    this.#options = options
    this.#layer = options.firstLayer
  }

  take(): readonly Segment[] {
    return this.#ready.splice(0)
  }

  /** The directory's own header and whiteouts, if it has any to write. */
  openDirectory(directory: number): void {
    if (this.#rows.has(directory, FLAG.changed) || this.#hasWhiteouts(directory)) this.#enter(directory)
  }

  /** Whether the layer has room for it, or nothing else. */
  fits(row: number): boolean {
    const links = this.#options.groups.get(row)?.length ?? 1
    const bytes = links * HEADER_ESTIMATE + (this.#rows.isRegular(row) ? this.#rows.sizeBytes(row) : 0)
    return this.#layerBytes + bytes <= this.#fitBytes()
  }

  addEntry(row: number): void {
    const group = this.#options.groups.get(row)
    this.#enter(this.#rows.parent(row))
    if (group) this.#addGroup(group)
    else if (this.#rows.isRegular(row)) this.#addFile(row)
    else this.#push(OP.header, row)
    this.#done(row)
    if (this.#layerBytes >= this.#layerLimit()) this.closeLayer()
  }

  closeLayer(): void {
    if (!this.#hasMembers) return
    this.#flush(true)
    this.#layer++
    this.#layerBytes = 0
    this.#hasMembers = false
  }

  #layerLimit(): number {
    const size = this.#options.layerBytes ?? LAYER_BYTES
    return Math.min(size * 2 ** Math.floor(this.#layer / LAYERS_PER_SIZE), this.#fitBytes())
  }

  #fitBytes(): number {
    return this.#options.fitBytes?.() ?? Infinity
  }

  #addGroup(group: readonly number[]): void {
    const [content = 0, ...others] = group
    this.#enter(this.#rows.parent(content))
    if (this.#rows.isRegular(content)) this.#addFile(content)
    else this.#push(OP.header, content)
    this.#done(content)
    for (const other of others) {
      this.#enter(this.#rows.parent(other))
      this.#push(OP.link, other, content)
      this.#done(other)
    }
  }

  #addFile(row: number): void {
    if (this.#options.beforeFile?.(row) === false) this.#untrusted.add(row)
    const size = this.#rows.sizeBytes(row)
    let from = 0
    do {
      const room = Math.max(SEGMENT_BYTES - this.#segmentBytes - HEADER_ESTIMATE, 512)
      // A part ends on a block of the tar, so that the padding belongs to the last part alone.
      const to = Math.min(size, from + (room & ~511))
      this.#push(OP.file, row, from, to)
      from = to
    } while (from < size)
  }

  /** The header of a directory, after its ancestors', once a layer; then what hides the base's entries. */
  #enter(directory: number): void {
    const rows = this.#rows
    if (this.#layerOf.get(directory) === this.#layer) return
    if (directory !== ROOT) this.#enter(rows.parent(directory))
    this.#layerOf.set(directory, this.#layer)
    this.#push(OP.header, directory)
    const isOpaqueNow = rows.has(directory, FLAG.opaqueNow)
    if (isOpaqueNow) this.#push(OP.opaque, directory)
    rows.unmark(directory, FLAG.opaqueNow)
    const first = rows.firstChild(directory)
    for (let row = first; row < first + rows.childCount(directory); row++) {
      if (!needsWhiteout(rows, row)) continue
      if (!isOpaqueNow && hidesSomething(rows, row, directory)) this.#push(OP.whiteout, row)
      rows.unmark(row, FLAG.emitted | FLAG.changed)
      rows.setReadMicros(row, this.#options.readMicros)
    }
    this.#done(directory)
  }

  #hasWhiteouts(directory: number): boolean {
    const first = this.#rows.firstChild(directory)
    for (let row = first; row < first + this.#rows.childCount(directory); row++)
      if (needsWhiteout(this.#rows, row)) return true
    return false
  }

  #done(row: number): void {
    this.#rows.unmark(row, FLAG.changed | FLAG.inexact)
    this.#rows.mark(row, FLAG.emitted)
    if (this.#rows.isDirectory(row)) return // set when it was listed
    this.#rows.setReadMicros(row, this.#untrusted.has(row) ? 0 : this.#options.readMicros)
  }

  #push(kind: number, row: number, a = 0, b = 0): void {
    const bytes = HEADER_ESTIMATE + (kind === OP.file ? b - a : 0)
    this.#ops.push(kind, row, a, b)
    this.#hasMembers = true
    this.#segmentBytes += bytes
    this.#layerBytes += bytes
    if (kind !== OP.file || a === 0) this.#files++
    if (this.#segmentBytes >= SEGMENT_BYTES) this.#flush(false)
  }

  #flush(isLast: boolean): void {
    this.#ready.push({ layer: this.#layer, ops: Float64Array.from(this.#ops), files: this.#files, isLast })
    this.#ops = []
    this.#segmentBytes = 0
    this.#files = 0
  }
}

/**
 * A deletion that the layer has to tell: overlay's own mark, a path that an earlier layer of ours holds, or what is left
 * out itself but may have taken the place of something in the base.
 */
export function needsWhiteout(rows: Rows, row: number): boolean {
  if (rows.has(row, FLAG.gone)) return rows.has(row, FLAG.emitted)
  if (rows.has(row, FLAG.skipped))
    return rows.has(row, FLAG.emitted) || (rows.has(row, FLAG.changed) && mayHide(rows, row))
  return rows.has(row, FLAG.whiteout) && rows.has(row, FLAG.changed) && rows.type(row) !== FILE_TYPE.directory
}

/**
 * Whether a layer below may have the path. In an opaque directory there is nothing to hide, and a whiteout beside the marker
 * breaks readers; in a directory that no layer below has it is a name that cannot be looked at (attacks.md A7).
 */
function hidesSomething(rows: Rows, row: number, directory: number): boolean {
  if (rows.has(row, FLAG.emitted)) return true
  if (rows.has(directory, FLAG.opaque)) return false
  return rows.has(row, FLAG.whiteout) || directory === ROOT || rows.has(directory, FLAG.copiedUp)
}

/** No base has a directory where one lies too deep to be reached; and the whiteout of a whiteout's name means something else. */
function mayHide(rows: Rows, row: number): boolean {
  return !rows.isDirectory(row) && !rows.name(row).startsWith(WHITEOUT_PREFIX)
}
