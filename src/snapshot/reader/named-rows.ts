import { STAT } from '#posix/stat.ts'
import type { NamedInodes } from '#snapshot/protocol.ts'
import { FLAG, type Rows } from './rows.ts'

const NUMBERS = 3

/**
 * Mark the rows whose inode was named by the watch, and those that nobody has read yet; returns the directories to visit. An
 * inode that was only read from the disk is named too, with the ctime that it has had: where the row has it and is trusted,
 * nothing has changed (ADR 9). `isTrusted` says of a row that no change can hide behind its ctime.
 */
export function markNamed(rows: Rows, named: NamedInodes, isTrusted: (row: number) => boolean): ReadonlySet<number> {
  const directories = new Set<number>()
  const note = (row: number) => {
    // What was left out may be something else by now; a directory that lies too deep is not looked into.
    const isOut = rows.has(row, FLAG.gone) || (rows.has(row, FLAG.skipped) && rows.isDirectory(row))
    if (isOut || !rows.isInTree(row)) return
    rows.mark(row, FLAG.named)
    directories.add(rows.isDirectory(row) ? row : rows.parent(row))
  }
  rows.eachUnread(note)
  const { times, sieve } = sift(named)
  rows.eachInSieve(sieve, (row) => {
    const time = times.get(rows.inode(row))
    if (time !== undefined && !(hasTime(rows, row, time) && isTrusted(row))) note(row)
  })
  return directories
}

/** How many of the inodes belong to the tree: after a freeze, what was changed in it. */
export function countNamed(rows: Rows, named: NamedInodes): number {
  let count = 0
  const { times, sieve } = sift(named)
  rows.eachInSieve(sieve, (row) => {
    const time = times.get(rows.inode(row))
    if (time !== undefined && !hasTime(rows, row, time) && rows.isLive(row) && rows.isInTree(row)) count++
  })
  return count
}

interface Time {
  /** Null: it has changed, whatever its ctime says. */
  readonly sec: number | null
  readonly nsec: number
}

function sift(named: NamedInodes): { readonly times: ReadonlyMap<number, Time>; readonly sieve: Uint8Array } {
  const times = new Map<number, Time>()
  const sieve = new Uint8Array(1 << 16)
  for (let i = 0; i < named.length; i += NUMBERS) {
    const [inode = 0, sec, nsec] = [named[i] ?? 0, named[i + 1] ?? null, named[i + 2] ?? 0]
    times.set(inode, { sec, nsec })
    sieve[inode % (1 << 16)] = 1
  }
  return { times, sieve }
}

function hasTime(rows: Rows, row: number, { sec, nsec }: Time): boolean {
  if (sec === null) return false
  return rows.ctimeSeconds(row) === sec && rows.word(row, STAT.ctimeNsec) === nsec
}
