/** One line of /proc/PID/uid_map: container ids from `inside` are host ids from `outside`. */
export interface IdRange {
  readonly inside: number
  readonly outside: number
  readonly count: number
}

/** Shown by the kernel for ids that a user namespace does not know (/proc/sys/kernel/overflowuid). */
export const OVERFLOW_ID = 65534

/** The function from host ids to image ids; undefined for an id outside of the map. An empty map leaves ids alone. */
export function imageId(ranges: readonly IdRange[]): (hostId: number) => number | undefined {
  if (ranges.length === 0) return (id) => id
  return (id) => {
    const range = ranges.find(({ outside, count }) => id >= outside && id < outside + count)
    return range && range.inside + (id - range.outside)
  }
}
