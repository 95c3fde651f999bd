import { RECORD_HOME } from '#freezer/record.ts'
import { openCtimeWatch } from '#watch/open.ts'
import type { OpenedWatch } from '#watch/open.ts'
import { sweepWatches } from '#watch/sweep.ts'
import { NamedChanges } from './named-changes.ts'

/** What one capture knows of changes without a walk, or why it knows nothing (ADR 9). */
export class CaptureWatch implements AsyncDisposable {
  readonly #opened: Promise<OpenedWatch>
  readonly #changes: Promise<NamedChanges | undefined>
  #whyWalk: string | undefined
  #closing: Promise<void> | undefined

  constructor(opened: Promise<OpenedWatch>) {
    this.#opened = opened
    this.#changes = this.#open()
    this.#changes.catch(() => {}) // seen by who asks for them
  }

  /** What has changed since the capture began; undefined where the freeze has to walk. Throws `cancelled`. */
  changes(): Promise<NamedChanges | undefined> {
    return this.#changes
  }

  /** Why a freeze walks, as the end of a sentence; undefined when it need not. */
  async whyWalk(): Promise<string | undefined> {
    return (await this.#changes)?.flaw ?? this.#whyWalk
  }

  /** The container runs again: nothing is to be known any more. Takes the kernel up to 100 ms, for which nobody need wait. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #open(): Promise<NamedChanges | undefined> {
    const opened = await this.#opened
    if ('watch' in opened) return new NamedChanges(opened.watch)
    this.#whyWalk = opened.reason
    return undefined
  }

  async #close(): Promise<void> {
    const opened = await this.#opened.catch(() => undefined)
    if (opened && 'watch' in opened) await opened.watch[Symbol.asyncDispose]()
  }
}

export interface CaptureWatchOptions {
  readonly upperdir: string
  /** A directory of ours, for the self-test. */
  readonly scratch: string
  readonly signal: AbortSignal
  /** Why there is to be none. */
  readonly whyNot: string | undefined
}

/** Watch what changes in the container from now on. What killed captures have left on is removed. */
export function openCaptureWatch({ whyNot, ...options }: CaptureWatchOptions): CaptureWatch {
  return new CaptureWatch(whyNot === undefined ? open(options) : Promise.resolve({ reason: whyNot }))
}

async function open({ upperdir, scratch, signal }: Omit<CaptureWatchOptions, 'whyNot'>): Promise<OpenedWatch> {
  await sweepWatches(RECORD_HOME)
  return openCtimeWatch({ upperdir, scratch, recordDirectory: RECORD_HOME, signal })
}
