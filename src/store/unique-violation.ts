const SQLITE_UNIQUE = 2067 // https://sqlite.org/rescode.html#constraint_unique
const SQLITE_PRIMARY_KEY = 1555
const POSTGRES_UNIQUE = '23505' // https://www.postgresql.org/docs/15/errcodes-appendix.html: unique_violation

/** Whether a statement was refused because a value that has to be unique is there already. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('errcode' in error && (error.errcode === SQLITE_UNIQUE || error.errcode === SQLITE_PRIMARY_KEY)) return true
  return 'code' in error && error.code === POSTGRES_UNIQUE
}
