import type { AppError, ErrorKind } from '#base/errors.ts'
import type { Terminal } from './terminal.ts'
import { encodeJsonLine, escapeText } from './text.ts'

/** Exit codes of success: saved; saved, but some files were torn with --no-freeze (design.md §8: these numbers are fixed). */
export const EXIT = { ok: 0, torn: 7 } as const

/** The exit code for each kind of error: kinds are mapped, never codes. */
const BY_KIND: Readonly<Record<ErrorKind, number>> = {
  internal: 1,
  invalid: 2,
  not_found: 3,
  conflict: 4,
  denied: 5,
  unsupported: 5,
  unavailable: 5,
  throttled: 5,
  registry: 6,
  no_space: 8,
  cancelled: 130,
}

/** Tell the user what went wrong: one sentence on stderr, or one object on stdout with `--json`. Returns the exit code. */
export function reportFailure(error: AppError, terminal: Terminal, isJson: boolean): number {
  const { code, message, details } = error
  if (isJson) terminal.out(encodeJsonLine({ error: { code, message, details } }))
  else terminal.err(`tintype: ${escapeText(message)}\n`)
  return BY_KIND[error.kind]
}
