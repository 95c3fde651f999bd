import { STAT } from '#posix/stat.ts'
import type { TailItem } from './copy-tail.ts'
import { needsWhiteout } from './plan.ts'
import { FLAG, ROOT, type Rows } from './rows.ts'
import type { HardlinkGroups } from './settle.ts'

/** What opening and reading one entry costs beside its bytes, as bytes: so that the lanes end together. */
const ENTRY_COST_BYTES = 16 << 10

/** How many paths the next layer will name, and the bytes of their content (of a hardlink group once). */
export function changedTotals(rows: Rows, groups: HardlinkGroups): { files: number; bytes: number } {
  let files = 0
  let bytes = 0
  visitPending(rows, (row) => {
    files++
    bytes += contentBytes(rows, row, groups)
  })
  return { files, bytes }
}

/** Bytes of all files that layers hold and that are there, of a hardlink group once. */
export function contentTotal(rows: Rows): number {
  let bytes = 0
  const links = new Set<number>()
  rows.eachWith(FLAG.emitted, (row) => {
    if (!rows.isLive(row) || !rows.isRegular(row) || !rows.isInTree(row)) return
    const isLink = rows.word(row, STAT.nlink) > 1
    if (!isLink || !links.has(rows.inode(row))) bytes += rows.sizeBytes(row)
    if (isLink) links.add(rows.inode(row))
  })
  return bytes
}

/** The changed entries and their ancestors, cut into lanes of about the same work, each with its place in the tail spool. */
export function tailLanes(rows: Rows, groups: HardlinkGroups, count: number): readonly (readonly TailItem[])[] {
  const changed = [...changedWithAncestors(rows)].filter((row) => !isFurtherLink(row, groups))
  const costs = changed.map((row) => ENTRY_COST_BYTES + contentBytes(rows, row, groups))
  const share = costs.reduce((sum, cost) => sum + cost, 0) / count
  const lanes: TailItem[][] = Array.from({ length: count }, () => [])
  let done = 0
  let offset = 0
  for (const [i, row] of changed.entries()) {
    lanes[Math.min(count - 1, Math.floor(done / share))]?.push([row, offset])
    done += costs[i] ?? 0
    offset += contentBytes(rows, row, groups)
  }
  return lanes
}

/** A link whose content the first member of its group carries. */
function isFurtherLink(row: number, groups: HardlinkGroups): boolean {
  const group = groups.get(row)
  return group !== undefined && group[0] !== row
}

function contentBytes(rows: Rows, row: number, groups: HardlinkGroups): number {
  return rows.isLive(row) && rows.isRegular(row) && !isFurtherLink(row, groups) ? rows.sizeBytes(row) : 0
}

/** A deletion that is still to be told, or an entry that is marked as changed. */
function isPending(rows: Rows, row: number): boolean {
  return rows.has(row, FLAG.gone | FLAG.skipped) ? needsWhiteout(rows, row) : rows.has(row, FLAG.changed)
}

function changedWithAncestors(rows: Rows): ReadonlySet<number> {
  const found = new Set<number>()
  visitPending(rows, (row) => {
    for (let at = row; !found.has(at); at = rows.parent(at)) {
      if (rows.isLive(at) && !rows.has(at, FLAG.whiteout)) found.add(at)
      if (at === ROOT) return
    }
  })
  return found
}

function visitPending(rows: Rows, visit: (row: number) => void): void {
  rows.eachWith(FLAG.changed | FLAG.gone | FLAG.skipped, (row) => {
    if (isPending(rows, row) && rows.isInTree(row)) visit(row)
  })
}
