import type { Clock } from '#base/clock.ts'

export interface TimedCacheOptions {
  readonly ttlMs: number
  /** With more than that all are dropped: names that nobody has must not fill the memory. */
  readonly maxEntries: number
  readonly clock: Clock
}

interface Entry<V> {
  readonly value: Promise<V>
  readonly loadedMs: number
}

/** Values that are dear to load, each kept for a short time. Callers that ask at once share one load; a failure is not kept. */
export class TimedCache<V> {
  readonly #load: (key: string) => Promise<V>
  readonly #options: TimedCacheOptions
  #entries = new Map<string, Entry<V>>()

  constructor(load: (key: string) => Promise<V>, options: TimedCacheOptions) {
    this.#load = load
    this.#options = options
  }

  get(key: string): Promise<V> {
    const { ttlMs, maxEntries, clock } = this.#options
    const nowMs = clock.monotonicMs()
    const known = this.#entries.get(key)
    if (known && nowMs - known.loadedMs < ttlMs) return known.value
    if (this.#entries.size >= maxEntries) this.clear()
    // Counted from before the load: what changes during it may not be in it.
    const entry = { value: this.#load(key), loadedMs: nowMs }
    const entries = this.#entries
    entries.set(key, entry)
    entry.value.catch(() => entries.get(key) === entry && entries.delete(key))
    return entry.value
  }

  /** Nothing that is loading or loaded counts any more. */
  clear(): void {
    this.#entries = new Map()
  }
}
