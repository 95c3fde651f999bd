import { systemClock, type Clock } from '#base/clock.ts'
import { toAppError } from '#base/errors.ts'
import type { Freezer } from './freezer.ts'
import { isAlive } from './process-identity.ts'
import { listRecords, readRecord, RECORD_HOME, removeRecord, writeRecord, type FreezeRecord } from './record.ts'
import { repairEngine, thaw } from './thaw.ts'

/**
 * What was done about one record. `thawed`: the container may have been frozen, and runs; `repaired`: the engine knows
 * again that it runs; `gone`: the container, or the record, is of no more use; `held`: a living process holds it, and was
 * left alone; `failed`: with `reason`, and to be tried again at the next start.
 */
export interface Leftover {
  readonly did: 'thawed' | 'repaired' | 'gone' | 'held' | 'failed'
  readonly record: string
  readonly freezer?: Freezer
  readonly reason?: string
}

export interface RecoverOptions {
  readonly home?: string
  readonly clock?: Clock
}

/**
 * Thaw what earlier runs of Tintype left frozen: every start does this first (attacks.md A9). Never thaws a container
 * whose init is another process now, or one whose living owner has time left. Throws only when the records cannot be listed.
 */
export async function thawLeftovers({ home = RECORD_HOME, clock = systemClock }: RecoverOptions = {}): Promise<
  readonly Leftover[]
> {
  const leftovers: Leftover[] = []
  for (const path of listRecords(home)) {
    try {
      leftovers.push(await recover(path, clock))
    } catch (error) {
      leftovers.push({ did: 'failed', record: path, reason: toAppError(error).message })
    }
  }
  return leftovers
}

async function recover(path: string, clock: Clock): Promise<Leftover> {
  const record = readRecord(path)
  if (record === undefined || !isAlive(record.init)) {
    removeRecord(path)
    return { did: 'gone', record: path, ...(record && { freezer: record.freezer }) }
  }
  const { freezer } = record
  if (isHeld(record, clock)) return { did: 'held', record: path, freezer }
  if (record.engineBehind) await repairEngine(freezer)
  else if ((await thaw(freezer)) === 'engine_behind') {
    writeRecord(path, { ...record, engineBehind: true })
    return {
      did: 'thawed',
      record: path,
      freezer,
      reason: 'The engine did not answer: what it says of the container is put right at the next start.',
    }
  }
  removeRecord(path)
  return { did: record.engineBehind ? 'repaired' : 'thawed', record: path, freezer }
}

function isHeld(record: FreezeRecord, clock: Clock): boolean {
  return !record.engineBehind && isAlive(record.owner) && clock.wallMs() < record.deadlineMs
}
