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

/** More than what rounding to whole milliseconds can make of a clock that runs on (attacks.md A2). */
const SET_BACK_MS = 10

/** Notices that the wall clock was set back since it was made: then times of before and after say nothing about each other. */
export class ClockWatch {
  readonly #clock: Clock
  readonly #offsetMs: number
  #wasSetBack = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offsetMs = clock.wallMs() - clock.monotonicMs()
  }

  /** Once true, always true. */
  wasSetBack(): boolean {
    this.#wasSetBack ||= this.#clock.wallMs() - this.#clock.monotonicMs() < this.#offsetMs - SET_BACK_MS
    return this.#wasSetBack
  }
}
