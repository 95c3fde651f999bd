import type { KeptEntry } from './encode.ts'
import { changedTotals } from './tail.ts'
import type { Segment } from './plan.ts'
import type { Rows } from './rows.ts'
import type { HardlinkGroups } from './settle.ts'

/** What a member takes beside its content, at the most on average: header, attributes and padding, before compression. */
const MEMBER_BYTES = 1536
/** What does not compress grows by five bytes in 64 KiB, and each frame has ends of its own. */
const GROWTH = 1.001
const ENDS_BYTES = 64 << 10
/** Smaller layers would be too many for an image: rather one is begun that has room only when it compresses. */
const LEAST_FIT_BYTES = 64 << 20

/** How a pass reads what goes into layers. */
export interface TakeOptions {
  readonly readMicros: number
  readonly syncsEachFile: boolean
  readonly checksAfterRead: boolean
  readonly kept?: ReadonlyMap<number, KeptEntry>
}

export interface LayerStepsOptions {
  readonly groups: HardlinkGroups
  readonly plan: (fitBytes: () => number) => Iterator<Segment>
  readonly encode: (segments: Iterator<Segment>) => Promise<void>
}

/** A pass as it goes into the spool: all of it where there is room, else layer by layer (attacks.md B8). */
export class LayerSteps {
  readonly #rows: Rows
  readonly #options: LayerStepsOptions
  readonly #plan: Iterator<Segment>
  #fitBytes = Infinity
  #isBegun = false

  constructor(rows: Rows, options: LayerStepsOptions) {
    this.#rows = rows
    this.#options = options
    this.#plan = options.plan(() => this.#fitBytes)
  }

  /**
   * Go on while `roomBytes` suffice whatever compression makes of it; true when nothing is left. The first time nothing is
   * begun that may not fit as a whole: earlier passes may have left what can go. After that it is one layer.
   */
  async next(roomBytes: number): Promise<boolean> {
    if (spoolBound(this.#rest()) <= roomBytes) {
      this.#fitBytes = Infinity
      await this.#options.encode(this.#plan)
      return true
    }
    if (this.#isBegun) {
      this.#fitBytes = Math.max(LEAST_FIT_BYTES, Math.floor(roomBytes / GROWTH) - ENDS_BYTES)
      const layer = new OneLayer(this.#plan)
      await this.#options.encode(layer)
      if (layer.isLast) return true
    }
    this.#isBegun = true
    return this.#rest().files === 0
  }

  #rest(): { readonly files: number; readonly bytes: number } {
    return changedTotals(this.#rows, this.#options.groups)
  }
}

/** The most that these may take in the spool. */
function spoolBound({ files, bytes }: { readonly files: number; readonly bytes: number }): number {
  return (bytes + files * MEMBER_BYTES) * GROWTH + (files > 0 ? ENDS_BYTES : 0)
}

/** Up to the end of a layer, and nothing that comes after it is planned. */
class OneLayer implements Iterator<Segment> {
  readonly #plan: Iterator<Segment>
  #hasEnded = false
  /** Nothing comes after it. */
  isLast = false

  constructor(plan: Iterator<Segment>) {
    this.#plan = plan
  }

  next(): IteratorResult<Segment> {
    if (this.#hasEnded) return { done: true, value: undefined }
    const next = this.#plan.next()
    this.isLast = next.done === true
    this.#hasEnded = this.isLast || next.value.isLast
    return next
  }
}
