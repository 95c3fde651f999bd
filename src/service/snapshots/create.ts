import { AppError } from '#base/errors.ts'
import { formatReference } from '#oci/reference.ts'
import { newId } from '#service/ids.ts'
import type { SnapshotOrigin, SnapshotRecord } from '#store/snapshot-record.ts'
import type { InstanceFacts } from '#service/saving.ts'
import type { SnapshotParts } from './parts.ts'
import { checkRequest } from './request.ts'
import type { SnapshotRequest, Target } from './request.ts'

export interface CreateSnapshot extends SnapshotRequest {
  readonly instanceId: string
  /** Whose snapshot it is: the caller. */
  readonly userId: string
  readonly origin: SnapshotOrigin
  readonly scheduleId?: string
}

/** The wait for the registry at request time: clients give up after 3 s (design.md §4.8, dsw-api §10). */
const LOOK_MS = 1_000

/**
 * Begin to save a running instance. Everything that can be refused is refused now; the rest goes on behind the answer.
 * Throws `parameter_invalid`, `registry_not_allowed`, `instance_not_found`, `instance_not_running`,
 * `snapshot_in_progress`, `tag_exists`.
 */
export async function createSnapshot(request: CreateSnapshot, parts: SnapshotParts): Promise<SnapshotRecord> {
  const { store, instances, registries, clock } = parts
  const target = checkRequest(request)
  await registries.accessTo(target.registry)
  const instance = await requireRunning(request.instanceId, parts)
  if (!request.overwrite) await refuseExistingTag(target, parts)
  const snapshotId = newId('snp')
  const { instanceId, userId, name, description, overwrite, excludePaths, labels, origin, scheduleId } = request
  const isBegun = await store.snapshots.insert(
    {
      snapshotId,
      instanceId,
      workspaceId: instance.workspaceId,
      userId,
      name,
      description,
      imageUrl: formatReference(target),
      overwrite,
      excludePaths,
      labels,
      origin,
      ...(scheduleId !== undefined && { scheduleId }),
    },
    clock.wallMs(),
  )
  if (!isBegun) throw inProgress(instanceId)
  if (!(await instances.setSaving(instanceId, snapshotId))) {
    await store.snapshots.remove(snapshotId)
    throw notRunning((await instances.find(instanceId)) ?? instance)
  }
  const record = await store.snapshots.findRecord(snapshotId)
  if (record) return record
  throw new AppError('snapshot_not_found', 'The snapshot was deleted while it was begun.')
}

async function requireRunning(instanceId: string, { store, instances }: SnapshotParts): Promise<InstanceFacts> {
  const instance = await instances.find(instanceId)
  if (instance === undefined)
    throw new AppError('instance_not_found', `There is no instance ${instanceId}.`, { details: { instanceId } })
  if (await store.snapshots.unfinishedOf(instanceId)) throw inProgress(instanceId)
  if (instance.status !== 'Running') throw notRunning(instance)
  return instance
}

function inProgress(instanceId: string): AppError {
  return new AppError(
    'snapshot_in_progress',
    `Instance ${instanceId} has a snapshot that is not finished: wait until it is saved, or cancel it.`,
    { details: { instanceId } },
  )
}

function notRunning({ instanceId, status }: InstanceFacts): AppError {
  return new AppError(
    'instance_not_running',
    `Instance ${instanceId} is ${status}; only a running instance can be saved.`,
    { details: { instanceId, status } },
  )
}

/** A registry that says nothing in time, or an error, is asked again by the capture: the snapshot then ends with the reason. */
async function refuseExistingTag(target: Target, { registries }: SnapshotParts): Promise<void> {
  const { tag, ...reference } = target
  const repository = await registries.open(reference)
  const asked = repository.resolve(tag, { signal: AbortSignal.timeout(LOOK_MS) })
  const found = await Promise.race([asked, silence()]).catch(unlessUntrusted)
  if (found === undefined) return
  throw new AppError(
    'tag_exists',
    `ImageUrl: ${formatReference(target)} exists already: choose another tag, or set Overwrite to true to replace it.`,
    { details: { field: 'ImageUrl', digest: found.digest } },
  )
}

/** The signal ends a request, but not every look-up of a name. */
async function silence(): Promise<undefined> {
  return new Promise((resolve) => void setTimeout(() => resolve(undefined), LOOK_MS + 50).unref())
}

function unlessUntrusted(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'registry_untrusted') throw error
  return undefined
}
