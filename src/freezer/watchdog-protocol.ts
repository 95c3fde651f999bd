import type { FreezeRecord } from './record.ts'

/** A freeze and the path of its record. */
export interface RecordedFreeze {
  readonly path: string
  readonly record: FreezeRecord
}

/** What the owner tells its watchdog, one JSON object per line. `limitMs` counts from now. */
export type Command =
  | ({ readonly do: 'arm'; readonly limitMs: number } & RecordedFreeze)
  /** The container is thawed, but the engine is behind: go on until it is not. */
  | ({ readonly do: 'repair' } & RecordedFreeze)
  | { readonly do: 'disarm' }

/** What the watchdog tells its owner, one word per line. `thawed`: the limit passed, and it has thawed. */
export type Notice = 'ready' | 'armed' | 'thawed'

/** Argument of the watchdog: it has a cgroup of its own already. */
export const STAY_IN_CGROUP = '--stay-in-cgroup'

/** A line of the owner. The owner is the same program on the same host: its words are taken as they are. */
export function parseCommand(line: string): Command {
  return JSON.parse(line) as Command
}

/** A line of the watchdog, or undefined for anything else that was printed. */
export function parseNotice(line: string): Notice | undefined {
  return ['ready', 'armed', 'thawed'].includes(line) ? (line as Notice) : undefined
}
