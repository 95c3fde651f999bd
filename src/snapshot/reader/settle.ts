import { STAT } from '#posix/stat.ts'
import { FLAG, ROOT, type Rows } from './rows.ts'
import type { WalkResult } from './walk.ts'

/** Hardlinked entries of any kind that have changed: the rows of each group, in the order of the tree; from each row to its group. */
export type HardlinkGroups = ReadonlyMap<number, readonly number[]>

/**
 * Bring the rows in order after a pass: new entries take their sorted place among their siblings, and what an image needs to
 * be whole is marked as changed with what made it so (hardlink groups, directories that became opaque).
 */
export function settle(rows: Rows, results: readonly WalkResult[]): HardlinkGroups {
  mergeBlocks(
    rows,
    results.flatMap(({ blocks }) => blocks),
  )
  spreadOpaque(rows)
  return closeHardlinkGroups(rows)
}

/** Whether a pass over a frozen container saw one state: nothing moved, and each missing directory was missed by its parent too. */
export function sawOneState(rows: Rows, results: readonly WalkResult[]): boolean {
  return results.every(({ moved, missing }) => moved === 0 && missing.every((row) => isGone(rows, row)))
}

function isGone(rows: Rows, row: number): boolean {
  for (let at = row; at !== ROOT; at = rows.parent(at)) if (rows.has(at, FLAG.gone)) return true
  return false
}

function mergeBlocks(rows: Rows, blocks: readonly number[]): void {
  const movedTo = new Map<number, number>()
  const byDirectory = new Map<number, number[]>()
  for (let i = 0; i < blocks.length; i += 3) {
    const [directory = 0, first = 0, count = 0] = blocks.slice(i, i + 3)
    byDirectory.set(
      directory,
      Array.from({ length: count }, (_, n) => first + n),
    )
  }
  for (const [directory, added] of byDirectory)
    mergeChildren(rows, movedTo.get(directory) ?? directory, { added, movedTo })
}

interface Addition {
  readonly added: readonly number[]
  readonly movedTo: Map<number, number>
}

/** One sorted block of the old children and the added ones; of two with one name the added one is there now. */
function mergeChildren(rows: Rows, directory: number, { added, movedTo }: Addition): void {
  const live = added.filter((row) => !rows.has(row, FLAG.gone))
  const byName = new Map(live.map((row) => [rows.name(row), row]))
  const first = rows.firstChild(directory)
  for (let old = first; old < first + rows.childCount(directory); old++) {
    const name = rows.name(old)
    const successor = byName.get(name)
    if (successor === undefined) {
      if (!rows.has(old, FLAG.gone) || rows.has(old, FLAG.emitted)) byName.set(name, old)
    } else if (rows.has(old, FLAG.emitted)) succeed(rows, successor)
  }
  const merged = [...byName].sort(([a], [b]) => (a < b ? -1 : 1))
  const block = rows.allocate(merged.length)
  for (const [i, [, row]] of merged.entries()) {
    moveRow(rows, row, { to: block + i, movedTo })
    rows.setParent(block + i, directory) // an added row may know the directory by where it was before its own parent was merged
  }
  rows.setChildren(directory, block, merged.length)
}

/** An entry at a path that an earlier layer holds: a directory must not show what that layer has below it (attacks.md A7). */
function succeed(rows: Rows, row: number): void {
  rows.mark(row, FLAG.emitted)
  if (rows.isDirectory(row)) rows.mark(row, FLAG.opaqueNow)
}

function moveRow(rows: Rows, row: number, { to, movedTo }: { to: number; movedTo: Map<number, number> }): void {
  rows.move(row, to)
  movedTo.set(row, to)
  if (!rows.isDirectory(to)) return
  const first = rows.firstChild(to)
  for (let child = first; child < first + rows.childCount(to); child++) rows.setParent(child, to)
}

/** The opaque marker hides what earlier layers hold below it, so the whole subtree goes into the layer that has it. */
function spreadOpaque(rows: Rows): void {
  const walk = (directory: number) => {
    const first = rows.firstChild(directory)
    for (let row = first; row < first + rows.childCount(directory); row++) {
      // What is gone is hidden by the marker: a whiteout below it would be of nothing (attacks.md A7).
      if (!rows.isLive(row) || rows.has(row, FLAG.whiteout)) rows.unmark(row, FLAG.emitted | FLAG.changed)
      else {
        rows.mark(row, FLAG.changed)
        if (rows.isDirectory(row)) walk(row)
      }
    }
  }
  rows.eachWith(FLAG.opaqueNow, (row) => {
    if (rows.isLive(row) && rows.isInTree(row)) walk(row)
  })
}

/** The groups that have changed, each as a whole. Only rows of changed inodes are looked at twice: this happens in the freeze. */
function closeHardlinkGroups(rows: Rows): HardlinkGroups {
  // Overlay's whiteouts are links of one device; they are no entries of the image.
  const isLink = (row: number) =>
    rows.word(row, STAT.nlink) > 1 && rows.isLive(row) && !rows.isDirectory(row) && !rows.has(row, FLAG.whiteout)
  const byInode = new Map<string, number[]>()
  const sieve = new Uint8Array(1 << 16)
  rows.eachWith(FLAG.changed, (row) => {
    if (!isLink(row) || !rows.isInTree(row)) return
    sieve[rows.word(row, STAT.ino) & 0xffff] = 1
    byInode.set(inodeKey(rows, row), [])
  })
  if (byInode.size === 0) return new Map()
  rows.eachInSieve(sieve, (row) => {
    const group = isLink(row) && byInode.get(inodeKey(rows, row))
    if (group && rows.isInTree(row)) group.push(row)
  })
  const groups = new Map<number, readonly number[]>()
  for (const members of byInode.values()) {
    if (members.length < 2) continue
    const group = inOrder(rows, members)
    for (const row of group) {
      rows.mark(row, FLAG.changed)
      groups.set(row, group)
    }
  }
  return groups
}

function inodeKey(rows: Rows, row: number): string {
  return `${rows.word(row, STAT.dev)}:${rows.word(row, STAT.ino)}:${rows.word(row, STAT.ino + 1)}`
}

/** In the order of the tree, which is the same whoever walked first. */
function inOrder(rows: Rows, group: readonly number[]): readonly number[] {
  const paths = group.map((row) => ({ row, path: rows.path(row).replaceAll('/', '\0') }))
  return paths.sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ row }) => row)
}
