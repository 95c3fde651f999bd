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
    const named = this.#watch.drain()
    this.#watch.forget()
    this.#flaw ??= this.#watch.lost()
    if (this.#flaw === undefined && named.size > MOST_NAMED) this.#flaw = `${named.size} inodes changed at once`
    if (this.#flaw !== undefined) return undefined
    const numbers: (number | null)[] = []
    for (const { inode, ctimeSec, ctimeNsec } of named.values())
      numbers.push(inode, Number.isNaN(ctimeSec) ? null : ctimeSec, ctimeNsec)
    return numbers
  }
}
