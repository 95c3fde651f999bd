/** What is copied in a freeze without making it long: about 30 ms. */
export const SMALL_TAIL_BYTES = 32 << 20
/** How much a freeze may copy in the first, second and third try; the last also has to fit the time budget. */
const TAIL_BYTES = [SMALL_TAIL_BYTES * 2, SMALL_TAIL_BYTES * 8, 2 ** 40] as const
/** Copying from the page cache on a slow machine. */
const COPY_BYTES_PER_MS = 200_000

/** What the freeze of a try, counted from 0, may copy. */
export function tailBytes(attempt: number, maxFreezeMs: number): number {
  return Math.min(TAIL_BYTES[attempt] ?? 0, maxFreezeMs * COPY_BYTES_PER_MS)
}
