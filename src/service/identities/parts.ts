import type { Store } from '#store/open-store.ts'
import type { Tables } from '#store/tables.ts'

/** What the parts of the identities share. */
export interface IdentityParts {
  readonly store: Store
  readonly accountId: string
  /** A transaction after which nothing that was looked up before counts any more in this process. */
  readonly change: <T>(work: (tables: Tables, nowMs: number) => Promise<T>) => Promise<T>
}

/** A page of a list that is ordered by name. */
export interface Page<T> {
  readonly items: readonly T[]
  /** Where the next page begins; absent on the last one. */
  readonly next?: string
}

export interface PageRequest {
  /** What the page before said. */
  readonly after?: string | undefined
  readonly limit: number
}

/** `rows` were asked for with one more than `limit`: whether there is more is known then. */
export function pageOf<T>(rows: readonly T[], limit: number, nameOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return rows.length > limit && last !== undefined ? { items, next: nameOf(last) } : { items }
}
