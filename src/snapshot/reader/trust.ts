import { ctimeMicros, STAT } from '#posix/stat.ts'
import type { Rows } from './rows.ts'

/** attacks.md C1: a ctime may be older than a clock that was read before the write, by up to this much. */
export const CTIME_MARGIN_MICROS = 20_000

/** A ctime of a whole second may be of a file system that keeps no parts of one (ext3, ext4 with small inodes). */
const SECOND_MICROS = 1_000_000

/** Nothing that has changed since it was read can have kept this ctime (attacks.md A11). */
export function isTrustedRow(rows: Rows, row: number): boolean {
  const margin = CTIME_MARGIN_MICROS + (rows.word(row, STAT.ctimeNsec) === 0 ? SECOND_MICROS : 0)
  return ctimeMicros(rows.words, rows.stat(row)) < rows.readMicros(row) - margin
}
