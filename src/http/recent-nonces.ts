/** A minute of signed dates shares one set: sets are dropped whole. */
const BUCKET_MS = 60_000
/** About 50 MB at the very worst; at the documented rates nothing is ever dropped early. */
const MAX_NONCES = 300_000

export interface RecentNoncesOptions {
  /** How far a signed date may be off, either way; after that its nonces need not be known. */
  readonly windowMs: number
  readonly max?: number
}

/**
 * Nonces of reads, in memory: a read that is sent twice does no harm, so a restart may forget them, and when there are
 * too many the oldest go first. Those of changes are kept in the store.
 */
export class RecentNonces {
  readonly #options: RecentNoncesOptions
  /** Minute of the signed date → what was used with it. A repeated request has the same date, and so the same set. */
  readonly #byMinute = new Map<number, Set<string>>()
  #size = 0

  constructor(options: RecentNoncesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#size
  }

  /** Whether this nonce is used for the first time; it is not after that. Times in ms since 1970. */
  use(key: string, dateMs: number, nowMs: number): boolean {
    const minute = Math.floor(dateMs / BUCKET_MS)
    const known = this.#byMinute.get(minute) ?? this.#open(minute, nowMs)
    if (known.has(key)) return false
    known.add(key)
    this.#size++
    if (this.#size > (this.#options.max ?? MAX_NONCES)) this.#dropOldest()
    return true
  }

  #open(minute: number, nowMs: number): Set<string> {
    const oldest = Math.floor((nowMs - this.#options.windowMs) / BUCKET_MS)
    for (const [each, known] of this.#byMinute) if (each < oldest) this.#drop(each, known)
    const opened = new Set<string>()
    this.#byMinute.set(minute, opened)
    return opened
  }

  #dropOldest(): void {
    const oldest = Math.min(...this.#byMinute.keys())
    const known = this.#byMinute.get(oldest)
    if (known) this.#drop(oldest, known)
  }

  #drop(minute: number, known: ReadonlySet<string>): void {
    this.#byMinute.delete(minute)
    this.#size -= known.size
  }
}
