/** The middle of some numbers: of an even count, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** How many times `of` is of `to`: the median of the pairs that were measured together, else the ratio of the medians. */
export function medianRatio(of: readonly number[], to: readonly number[]): number {
  if (of.length !== to.length) return median(of) / median(to)
  return median(of.map((value, i) => value / to[i]!))
}
