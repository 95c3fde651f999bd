import type { ReaderEvent } from './protocol.ts'
import type { Progress } from './result.ts'

/** What a member takes beside its content, on average: a header and half a block of padding, some have more. */
const MEMBER_BYTES = 800

/** Adds up what the parts of a capture report, and hands on the whole. */
export class CaptureProgress {
  readonly #report: ((progress: Progress) => void) | undefined
  readonly #uploaded = { layers: 0, base: 0, squashed: 0 }
  #totalFiles = 0
  #state: Progress = { phase: 'locating', pass: 0, files: 0, bytes: 0, uploadedBytes: 0 }

  constructor(report: ((progress: Progress) => void) | undefined) {
    this.#report = report
    this.#set({})
  }

  /** Members of all layers so far. */
  get totalFiles(): number {
    return this.#totalFiles
  }

  startPass(pass: number, phase: 'reading' | 'frozen'): void {
    const { uploadedBytes } = this.#state
    this.#state = { phase, pass, files: 0, bytes: 0, uploadedBytes }
    this.#set({})
  }

  setPhase(phase: Progress['phase']): void {
    this.#set({ phase })
  }

  /** What has been sent of the container's layers, of the base image's, or of those that took the place of others. */
  setUploaded(part: 'layers' | 'base' | 'squashed', bytes: number): void {
    this.#uploaded[part] = bytes
    const { layers, base, squashed } = this.#uploaded
    this.#set({ uploadedBytes: layers + base + squashed })
  }

  /** How far a reading of layers has come; the first of a squash begins a pass of its own. */
  setReading(reading: { readonly files: number; readonly bytes: number; readonly bytesTotal: number }): void {
    this.#set(reading)
  }

  get pass(): number {
    return this.#state.pass
  }

  onEvent(event: ReaderEvent): void {
    if (event.event === 'scanned') {
      const { files, bytes } = event
      this.#set({ filesTotal: files, bytesTotal: bytes + files * MEMBER_BYTES })
    }
    if (event.event === 'frame') {
      this.#totalFiles += event.files
      this.#set({
        files: atMost(this.#state.files + event.files, this.#state.filesTotal),
        bytes: atMost(this.#state.bytes + event.rawBytes, this.#state.bytesTotal),
      })
    }
  }

  #set(change: Partial<Progress>): void {
    this.#state = { ...this.#state, ...change }
    this.#report?.(this.#state)
  }
}

/** Ancestors' headers are written again in each layer, so the sum may pass the estimate. */
function atMost(value: number, total: number | undefined): number {
  return total === undefined ? value : Math.min(value, total)
}
