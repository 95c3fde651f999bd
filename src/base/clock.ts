/** The one place that reads a clock; everything else is handed one, so that a test can turn it. */
export interface Clock {
  /** Wall clock, nanoseconds since 1970: what file times are compared with. */
  wallNs(): bigint
  /** Wall clock, milliseconds since 1970. */
  wallMs(): number
  /** Monotonic milliseconds, for durations. */
  monotonicMs(): number
}

// performance.timeOrigin + now() drifts from the kernel's clock when that is set; Date.now() does not, but has 1 ms steps.
// A trust rule only needs "not later than": the step is rounded down.
export const systemClock: Clock = {
  wallNs: () => BigInt(Date.now()) * 1_000_000n,
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
}

const TRIES = 20
const AT_ONCE_MS = 1

/**
 * What `read` makes of several clocks, read at once: a process that has to wait for its core between two of them would find
 * that one was set. The quickest of a few tries.
 */
export function readAtOnce<T>(read: () => T): T {
  let [found, tookMs] = timed(read)
  for (let tries = 1; tries < TRIES && tookMs > AT_ONCE_MS; tries++) {
    const [again, againMs] = timed(read)
    if (againMs < tookMs) [found, tookMs] = [again, againMs]
  }
  return found
}

function timed<T>(read: () => T): [T, number] {
  const begunMs = performance.now()
  const found = read()
  return [found, performance.now() - begunMs]
}

/** More than what rounding to whole milliseconds can make of a clock that runs on (attacks.md A2). */
const SET_BACK_MS = 10

/** Notices that the wall clock was set back since it was made: then times of before and after say nothing about each other. */
export class ClockWatch {
  readonly #clock: Clock
  readonly #offsetMs: number
  #wasSetBack = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offsetMs = this.#readOffsetMs()
  }

  /** Once true, always true. */
  wasSetBack(): boolean {
    this.#wasSetBack ||= this.#readOffsetMs() < this.#offsetMs - SET_BACK_MS
    return this.#wasSetBack
  }

  #readOffsetMs(): number {
    return readAtOnce(() => this.#clock.wallMs() - this.#clock.monotonicMs())
  }
}
