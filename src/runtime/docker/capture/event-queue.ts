import type { CaptureEvent } from '#runtime/runtime.ts'

/** Events of a capture for one reader. Progress that was not read yet gives way to newer progress, so that it stays short. */
export class EventQueue implements AsyncIterable<CaptureEvent> {
  readonly #events: CaptureEvent[] = []
  #hasEnded = false
  #wake: () => void = () => {}

  push(event: CaptureEvent): void {
    if (event.type === 'progress' && this.#events.at(-1)?.type === 'progress') this.#events.pop()
    this.#events.push(event)
    this.#wake()
  }

  end(): void {
    this.#hasEnded = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CaptureEvent> {
    for (;;) {
      const event = this.#events.shift()
      if (event) yield event
      else if (this.#hasEnded) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
