/** A report stays readable, and its line short, whatever the container made. */
const MOST_PATHS = 10_000
/** Of one list's lines as JSON: two lists and the rest stay far below the protocol's limit for a line. */
const MOST_BYTES = 2 << 20

export interface NamedPath {
  /** One char a byte. */
  readonly path: string
  readonly reason: string
}

/** Paths for a report, each with its reason, once. Beyond a bound in number and in bytes they are only counted. */
export class NamedPaths {
  readonly #reasons = new Map<string, string>()
  #bytes = 0
  #unnamed = 0

  add(path: string, reason = ''): void {
    if (this.#reasons.has(path)) return
    if (this.#reasons.size < MOST_PATHS && this.#bytes < MOST_BYTES) {
      this.#bytes += Buffer.byteLength(JSON.stringify({ path, reason })) // control characters take six bytes each
      this.#reasons.set(path, reason)
    } else this.#unnamed++
  }

  get paths(): readonly string[] {
    return [...this.#reasons.keys()]
  }

  get entries(): readonly NamedPath[] {
    return [...this.#reasons].map(([path, reason]) => ({ path, reason }))
  }

  /** How many were added beyond the bound; one that was added twice counts twice. */
  get unnamed(): number {
    return this.#unnamed
  }

  get count(): number {
    return this.#reasons.size + this.#unnamed
  }
}
