import { AppError } from '#base/errors.ts'
import type { Clock } from '#base/clock.ts'
import type { EventLevel } from '#store/instance-history.ts'
import type { InstancePatch, InstanceRecord, InstanceStatus } from '#store/instance-record.ts'
import type { Store } from '#store/open-store.ts'
import type { Tables } from '#store/tables.ts'

/** One step in the life of an instance: what it becomes, and what is told about it. */
export interface Change {
  readonly patch: InstancePatch
  readonly event?: { readonly level: EventLevel; readonly text: string }
}

export interface ChangeParts {
  readonly store: Pick<Store, 'transaction' | 'instances'>
  readonly clock: Clock
}

/** More often than people collide over one instance; a loop that never wins is a fault of ours. */
const ATTEMPTS = 20

/**
 * Write a change of the instance as it was read, with its lifecycle and event, all or nothing. With `fence`: as the worker
 * that holds its lease. Undefined: it was changed meanwhile, or the lease is lost.
 */
export async function writeChange(
  { store, clock }: ChangeParts,
  record: InstanceRecord,
  change: Change,
  fence?: number,
): Promise<InstanceRecord | undefined> {
  return store.transaction((tables) => applyChange(tables, record, { change, nowMs: clock.wallMs(), fence }))
}

interface Application {
  readonly change: Change
  readonly nowMs: number
  readonly fence?: number | undefined
}

/** The same inside of a transaction. */
export async function applyChange(
  tables: Tables,
  record: InstanceRecord,
  { change, nowMs, fence }: Application,
): Promise<InstanceRecord | undefined> {
  const { instanceId, version } = record
  const patch = withTimes(record, change.patch, nowMs)
  const guard = { instanceId, version, ...(fence !== undefined && { fence }) }
  if (!(await tables.instances.update(guard, patch))) return undefined
  const changed: InstanceRecord = { ...record, ...patch, version: version + 1 }
  const { session, status, reasonCode, reasonMessage } = changed
  if (status !== record.status || session !== record.session)
    await tables.lifecycle.begin({ instanceId, session, status, reasonCode, reasonMessage, startMs: nowMs })
  if (change.event) await tables.instanceEvents.add({ instanceId, timeMs: nowMs, ...change.event })
  return changed
}

/** An instance runs from `Running` until it has stopped, and no part of that is counted twice. */
function withTimes(record: InstanceRecord, patch: InstancePatch, nowMs: number): InstancePatch {
  const status = patch.status ?? record.status
  const hasEnded = status === 'Stopped' || status === 'Failed'
  return {
    modifiedMs: nowMs,
    ...(status === 'Running' && record.startedMs === null && { startedMs: nowMs }),
    ...(hasEnded && { startedMs: null, accumulatedMs: runningMs(record, nowMs) }),
    ...patch,
  }
}

/** How long the instance has run, over all its sessions. */
export function runningMs({ accumulatedMs, startedMs }: InstanceRecord, nowMs: number): number {
  return accumulatedMs + (startedMs === null ? 0 : Math.max(0, nowMs - startedMs))
}

/**
 * Read the instance, decide, write; again if someone else was faster. `decide` throws when this cannot be done now, and
 * gives undefined when nothing is to be done. Throws `instance_not_found`.
 */
export async function changeInstance(
  parts: ChangeParts,
  instanceId: string,
  decide: (record: InstanceRecord) => Change | undefined,
): Promise<InstanceRecord> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const record = await parts.store.instances.find(instanceId)
    if (!record) throw notFound(instanceId)
    const change = decide(record)
    if (!change) return record
    const changed = await writeChange(parts, record, change)
    if (changed) return changed
  }
  throw new AppError('store_unavailable', `Instance ${instanceId} is changed by too many at once: try again.`)
}

export const notFound = (instanceId: string) =>
  new AppError('instance_not_found', `There is no instance ${JSON.stringify(instanceId)}: ListInstances lists yours.`)

/** "… is Stopped: only an instance that is Running can be …". */
export function wrongState(record: InstanceRecord, allowed: readonly InstanceStatus[], what: string): AppError {
  const message = `Instance ${record.instanceId} is ${record.status}: only an instance that is ${allowed.join(' or ')} can be ${what}.`
  return new AppError('instance_state_invalid', message, { details: { status: record.status } })
}
