import type { ChangedInode } from '#watch/ctime-log.ts'
import type { CtimeWatch } from '#watch/watch.ts'
import type { NamedInodes } from './protocol.ts'

/** More is not quicker than a walk: it has to go to the reader while the container stands still. */
const MOST_NAMED = 50_000

/**
 * What has changed since a look at the whole tree, from a watch of ctimes: it makes the walk of the freeze unnecessary
 * (ADR 9). Once something may be missing it stays so, and the walk is taken.
 */
export class NamedChanges {
  readonly #watch: CtimeWatch
  #flaw: string | undefined

  constructor(watch: CtimeWatch) {
    this.#watch = watch
  }

  /** Why it cannot be relied on. */
  get flaw(): string | undefined {
    return this.#flaw
  }

  /** What was named since the last call; undefined when that may not be all, or is too much. Synchronous: the container is frozen. */
  take(): NamedInodes | undefined {
    const named = this.#drain()
    if (this.#flaw === undefined && named.length > MOST_NAMED) this.#flaw = `${named.length} inodes changed at once`
    return this.#flaw === undefined ? numbersOf(named) : undefined
  }

  /** The same while the container runs: any number is good, in as many messages as it takes, but at least one. */
  takeInParts(): readonly NamedInodes[] | undefined {
    const named = this.#drain()
    if (this.#flaw !== undefined) return undefined
    const parts = Math.max(1, Math.ceil(named.length / MOST_NAMED))
    return Array.from({ length: parts }, (_, part) =>
      numbersOf(named.slice(part * MOST_NAMED, (part + 1) * MOST_NAMED)),
    )
  }

  #drain(): readonly ChangedInode[] {
    const named = [...this.#watch.drain().values()]
    this.#watch.forget()
    this.#flaw ??= this.#watch.lost()
    return named
  }
}

function numbersOf(named: readonly ChangedInode[]): NamedInodes {
  const numbers: (number | null)[] = []
  for (const { inode, ctimeSec, ctimeNsec } of named)
    numbers.push(inode, Number.isNaN(ctimeSec) ? null : ctimeSec, ctimeNsec)
  return numbers
}
