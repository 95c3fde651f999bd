/** Directories still to be visited, shared by all threads: a ring that never wraps, because each directory is queued once a pass. */
const HEAD = 0
const TAIL = 1
const PENDING = 2
const STOPPED = 3
const CONTROL_WORDS = 4
const IDLE_WAIT_MS = 1

export interface QueueBuffers {
  readonly control: SharedArrayBuffer
  readonly slots: SharedArrayBuffer
}

export function allocateQueue(capacity: number): QueueBuffers {
  return { control: new SharedArrayBuffer(CONTROL_WORDS * 4), slots: new SharedArrayBuffer(capacity * 4) }
}

const FRESH = 0x80000000

export interface Visit {
  readonly row: number
  /** Never listed before: everything below it is new. */
  readonly isFresh: boolean
}

export class WorkQueue {
  readonly #control: Int32Array
  readonly #slots: Uint32Array

  constructor(buffers: QueueBuffers) {
    this.#control = new Int32Array(buffers.control)
    this.#slots = new Uint32Array(buffers.slots)
  }

  /** Empty it for another pass; only while no thread takes from it. */
  reset(): void {
    this.#slots.fill(0, 0, Atomics.load(this.#control, TAIL))
    this.#control.fill(0)
  }

  push(row: number, isFresh: boolean): void {
    Atomics.add(this.#control, PENDING, 1)
    const slot = Atomics.add(this.#control, TAIL, 1)
    // A slot that is 0 has been claimed and not yet been filled: rows are kept one higher.
    Atomics.store(this.#slots, slot, (row + 1) | (isFresh ? FRESH : 0))
    Atomics.notify(this.#control, TAIL, 1)
  }

  /** Visit what there is until everything that was queued, also by other threads meanwhile, has been visited. */
  drain(visit: (item: Visit) => void): void {
    for (;;) {
      const tail = Atomics.load(this.#control, TAIL)
      const head = Atomics.load(this.#control, HEAD)
      if (Atomics.load(this.#control, STOPPED) !== 0) return
      if (head < tail) {
        if (Atomics.compareExchange(this.#control, HEAD, head, head + 1) === head) this.#visitSlot(head, visit)
      } else if (Atomics.load(this.#control, PENDING) === 0) return
      else Atomics.wait(this.#control, TAIL, tail, IDLE_WAIT_MS)
    }
  }

  /** Make every thread leave `drain`: another one has failed, or the pass has run out of time. */
  stop(): void {
    Atomics.store(this.#control, STOPPED, 1)
    Atomics.notify(this.#control, TAIL)
  }

  #visitSlot(slot: number, visit: (item: Visit) => void): void {
    let value = Atomics.load(this.#slots, slot)
    while (value === 0) value = Atomics.load(this.#slots, slot)
    visit({ row: (value & ~FRESH) - 1, isFresh: (value & FRESH) !== 0 })
    if (Atomics.sub(this.#control, PENDING, 1) === 1) Atomics.notify(this.#control, TAIL)
  }
}
