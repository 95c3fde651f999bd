import type { Clock } from '#base/clock.ts'
import type { ContainerFreezer } from '#freezer/freeze.ts'
import type { NamedChanges } from './named-changes.ts'
import type { ReaderEvent } from './protocol.ts'
import type { ReaderProcess } from './reader-process.ts'

export interface PassesParts {
  readonly reader: ReaderProcess
  /** Absent for a stopped container, and for `--no-freeze`. */
  readonly freezer: ContainerFreezer | undefined
  /** Write back what is dirty on the container's disk; false when that has not ended in time. */
  readonly sync: (limitMs: number) => Promise<boolean>
  readonly clock: Clock
  readonly maxFreezeMs: number
  readonly singlePass: boolean
  /** The reader knows what the layers of earlier captures hold, and so that most of it is unchanged. */
  readonly isDelta: boolean
  /** A running container that is not to be frozen. */
  readonly isUnfrozen: boolean
  /** Throws when a stopped container has been started. */
  readonly assertStopped: () => Promise<void>
  /** Start other heavy work of the capture; it must have ended before a freeze (attacks.md B2). The same promise each time. */
  readonly alongside: () => Promise<unknown>
  /** What changes from before the first look on; undefined where there is none, and the freeze has to walk. */
  readonly watch: () => Promise<NamedChanges | undefined>
  /** What the spool can take when so much of it is for the tail (attacks.md B8). */
  readonly roomBytes: (tailBytes: number) => Promise<number>
  /** Wait for the uploads, and have the spool give back their place. */
  readonly makeRoom: () => Promise<void>
  readonly reserveTail: (bytes: number) => void
  /** The freeze gets the machine and its disk to itself: a writer that waits for the disk cannot be frozen (attacks.md B2, C8). */
  readonly quietUploads: () => Promise<void>
  readonly resumeUploads: () => void
  readonly onEvent: (event: ReaderEvent) => void
  readonly onPass: (pass: number, phase: 'reading' | 'frozen') => void
  /** Called once, when the container runs again and what the image shows is safe in the spool. */
  readonly onTaken?: (() => void) | undefined
}

export interface PassesResult {
  readonly passes: number
  readonly frozenMs: number
  readonly barrierMs: number
  readonly freezeMethod: 'walk' | 'tracepoints' | 'none'
  /** When the state that the image shows was: the last freeze, else the end of the last pass. */
  readonly takenAtMs: number
}
