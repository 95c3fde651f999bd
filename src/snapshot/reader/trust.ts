import { ctimeMicros } from '#posix/stat.ts'
import type { Rows } from './rows.ts'

/** attacks.md C1: a ctime may be older than a clock that was read before the write, by up to this much. */
export const CTIME_MARGIN_MICROS = 20_000

/** Nothing that has changed since it was read can have kept this ctime (attacks.md A11). */
export function isTrustedRow(rows: Rows, row: number): boolean {
  return ctimeMicros(rows.words, rows.stat(row)) < rows.readMicros(row) - CTIME_MARGIN_MICROS
}
