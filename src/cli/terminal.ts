/** Where a command writes: the result to `out`, everything else to `err`. Plain functions, so that a test can listen. */
export interface Terminal {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Whether `err` is a terminal that a bar can be drawn on. */
  readonly isInteractive: boolean
  /** Width of that terminal, now. */
  readonly columns: () => number
}
