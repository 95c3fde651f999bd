import type { Caller } from '#access/caller.ts'
import type { Clock } from '#base/clock.ts'
import { toAppError } from '#base/errors.ts'

/** One row: who did what to what, from where, and how it ended. */
export interface AuditEntry {
  readonly timeMs: number
  readonly requestId: string
  readonly principalArn: string
  readonly accessKeyId: string
  readonly action: string
  readonly resource: string
  readonly outcome: 'done' | 'denied' | 'failed'
  /** Why it did not end well, as the client was told; else empty. */
  readonly code: string
  readonly sourceIp: string
}

export interface AuditTrail {
  /** The entry is kept when this resolves. */
  write(entry: AuditEntry): Promise<void>
  /** The entry is written some time later, with others, and may be lost with the process. */
  add(entry: AuditEntry): void
}

export interface AuditParts {
  readonly trail: AuditTrail
  readonly clock: Clock
  /** Told of an entry that could not be kept. */
  readonly onLost: (entry: AuditEntry, error: unknown) => void
}

export interface Audited {
  readonly requestId: string
  readonly sourceIp: string
  readonly caller: Caller
  readonly action: string
  readonly resource: string
  readonly isChange: boolean
}

/** So many reads make one row. Each of them is counted in the metrics. */
const READS_PER_ROW = 100

/** The audit log: a row for every change and every denial, kept before the client has its answer; of reads, samples. */
export class Audit {
  readonly #parts: AuditParts
  #reads = 0

  constructor(parts: AuditParts) {
    this.#parts = parts
  }

  /** What was asked for is done. */
  async done(audited: Audited): Promise<void> {
    if (audited.isChange) return this.#keep(this.#entryOf(audited, 'done', ''))
    this.#reads++
    if (this.#reads % READS_PER_ROW === 1) this.#parts.trail.add(this.#entryOf(audited, 'done', ''))
  }

  /** It was refused or went wrong; `code` is what the client is told. */
  async failed(audited: Audited, thrown: unknown, code: string): Promise<void> {
    const isDenied = toAppError(thrown).kind === 'denied'
    if (isDenied || audited.isChange) await this.#keep(this.#entryOf(audited, isDenied ? 'denied' : 'failed', code))
  }

  #entryOf(audited: Audited, outcome: AuditEntry['outcome'], code: string): AuditEntry {
    const { caller, requestId, action, resource, sourceIp } = audited
    const who = { principalArn: caller.arn, accessKeyId: caller.accessKeyId }
    return { timeMs: this.#parts.clock.wallMs(), requestId, ...who, action, resource, outcome, code, sourceIp }
  }

  /** A change that is done stays done when its row cannot be kept: the log gets it then. */
  async #keep(entry: AuditEntry): Promise<void> {
    try {
      await this.#parts.trail.write(entry)
    } catch (error) {
      this.#parts.onLost(entry, error)
    }
  }
}
