import { AppError, toAppError } from '#base/errors.ts'
import type { InstanceRecord, InstanceStatus } from '#store/instance-record.ts'
import { changeInstance, wrongState, type Change } from './change.ts'
import { findVisible } from './find.ts'
import type { InstanceParts, Viewer } from './parts.ts'
import { NO_REASON } from './reasons.ts'

/** Who is told that something is wanted of an instance. */
export interface Wakeable {
  wake(instanceId: string): void
}

const STARTABLE: readonly InstanceStatus[] = ['Stopped', 'Failed']
/** States in which there is, or will be, something to stop. */
const STOPPABLE: readonly InstanceStatus[] = [
  'Creating',
  'ResourceAllocating',
  'Queuing',
  'EnvPreparing',
  'Starting',
  'Running',
  'Recovering',
]
const AGAIN = { attempts: 0, retryMs: 0, ...NO_REASON } as const

/** As a change of a record that may be started. Throws `instance_state_invalid`. */
export function startChange(record: InstanceRecord): Change {
  if (!STARTABLE.includes(record.status)) throw wrongState(record, STARTABLE, 'started')
  return {
    patch: { ...AGAIN, status: 'Starting', wanted: 'run', session: record.session + 1 },
    event: { level: 'Info', text: 'The instance is being started.' },
  }
}

/** Start an instance that is Stopped or Failed; it runs some time after the answer. */
export async function startInstance(
  parts: InstanceParts & { readonly worker: Wakeable },
  instanceId: string,
  viewer: Viewer,
): Promise<void> {
  await findVisible(parts.store, instanceId, viewer)
  await changeInstance(parts, instanceId, startChange)
  parts.worker.wake(instanceId)
}

export interface StopOptions {
  /** `registry/repository` to save it to as an image first; it is stopped once that was pushed. */
  readonly saveTo?: string | undefined
}

/**
 * Stop an instance; one that is stopped, or about to be, stays so. Throws `instance_state_invalid` while it is saved or
 * deleted, and with `saveTo` unless it is Running; and what the snapshot throws.
 */
export async function stopInstance(
  parts: InstanceParts & { readonly worker: Wakeable },
  instanceId: string,
  { viewer, saveTo }: StopOptions & { readonly viewer: Viewer },
): Promise<void> {
  const record = await findVisible(parts.store, instanceId, viewer)
  if (saveTo !== undefined) {
    if (record.status !== 'Running' || record.wanted !== '') throw wrongState(record, ['Running'], 'saved')
    return parts.snapshots.saveThenStop({ instanceId, userId: viewer.userId, repository: saveTo })
  }
  await stopBecause(parts, instanceId, { reason: NO_REASON, text: 'The instance is being stopped.' })
}

export interface StopCause {
  readonly reason: { readonly reasonCode: string; readonly reasonMessage: string }
  /** The event that tells of it. */
  readonly text: string
}

/** The same for whoever decides it: a user, a timer, the culler. False: it is stopped already, or about to be. */
export async function stopBecause(
  parts: Pick<InstanceParts, 'store' | 'clock'> & { readonly worker: Wakeable },
  instanceId: string,
  { reason, text }: StopCause,
): Promise<boolean> {
  let isNew = true
  await changeInstance(parts, instanceId, (record) => {
    isNew = !['Stopping', 'Stopped'].includes(record.status)
    if (!isNew) return undefined
    if (!STOPPABLE.includes(record.status)) throw wrongState(record, ['Running'], 'stopped')
    const patch = { ...AGAIN, ...reason, status: 'Stopping', wanted: 'stop' } as const
    return { patch, event: { level: 'Info', text } }
  })
  if (isNew) parts.worker.wake(instanceId)
  return isNew
}

/**
 * Delete an instance with its container and its volume; it is gone some time after the answer. Throws
 * `instance_state_invalid` while it is saved, and `snapshot_in_progress` while one of its images is pushed.
 */
export async function deleteInstance(
  parts: InstanceParts & { readonly worker: Wakeable },
  instanceId: string,
  viewer: Viewer,
): Promise<void> {
  await findVisible(parts.store, instanceId, viewer)
  const unfinished = await parts.store.snapshots.unfinishedOf(instanceId)
  if (unfinished) throw beingSaved(unfinished)
  await changeInstance(parts, instanceId, (record) => {
    if (record.status === 'Saving') throw wrongState(record, ['Running', 'Stopped', 'Failed'], 'deleted')
    if (record.wanted === 'delete') return undefined
    const patch = { ...AGAIN, status: 'Deleting', wanted: 'delete' } as const
    return { patch, event: { level: 'Info', text: 'The instance is being deleted.' } }
  })
  parts.worker.wake(instanceId)
}

/** Its container is needed until then: what cannot be pushed is captured again. */
export function beingSaved({ instanceId, snapshotId }: { readonly instanceId: string; readonly snapshotId: string }) {
  const message = `Instance ${instanceId} is being saved as ${snapshotId}: wait for that snapshot, or delete it first.`
  return new AppError('snapshot_in_progress', message, { details: { snapshotId } })
}

/** What became of each instance of a batch. */
export interface BatchOutcome {
  readonly done: readonly string[]
  readonly failures: readonly { readonly instanceId: string; readonly error: AppError }[]
}

/** Each on its own: one that cannot be changed does not keep the others from it. An id counts once. */
export async function forEachInstance(
  instanceIds: readonly string[],
  work: (instanceId: string) => Promise<void>,
): Promise<BatchOutcome> {
  const done: string[] = []
  const failures: { instanceId: string; error: AppError }[] = []
  for (const instanceId of new Set(instanceIds)) {
    try {
      await work(instanceId)
      done.push(instanceId)
    } catch (error) {
      failures.push({ instanceId, error: toAppError(error) })
    }
  }
  return { done, failures }
}
