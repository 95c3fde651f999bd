/** A part of an ordered list. */
export interface Place {
  readonly order: 'asc' | 'desc'
  readonly offset: number
  readonly limit: number
}

/**
 * The same entries of a list of `total`, counted from the end that is nearer, so that few are passed over: a database
 * finds the last page of 100 000 entries as fast as the first. The entries come in the order of that end.
 */
export function fromNearerEnd<T extends Place>(place: T, total: number): T {
  const { offset, limit } = place
  const length = Math.max(0, Math.min(limit, total - offset))
  const after = Math.max(0, total - offset - length)
  if (after >= offset) return { ...place, limit: length }
  return { ...place, order: place.order === 'asc' ? 'desc' : 'asc', offset: after, limit: length }
}
