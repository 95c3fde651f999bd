import { sleep } from '#base/abort.ts'
import { AppError, toAppError } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import { parseExclusion } from '#overlay/exclusions.ts'
import type { SnapshotRecord } from '#store/snapshot-record.ts'
import type { SnapshotParts } from './parts.ts'
import { allExclusions, parseTarget } from './request.ts'
import type { SnapshotWorker } from './worker.ts'

export interface DeleteOptions {
  /** The tag in the registry and the image in the catalogue go, too. */
  readonly deleteImage: boolean
}

/** No client waits for much longer (dsw-api §10): what the registry has not done by then is an error, and nothing is removed. */
const LIMIT_MS = 2_500
const LOOK_MS = 50

interface Deleting {
  readonly parts: SnapshotParts
  readonly worker: SnapshotWorker
  /** Ends all waiting for others. */
  readonly signal?: AbortSignal
}

/**
 * Remove the record of a snapshot. With `deleteImage` the tag goes first, so that a refusal leaves everything as it was. One
 * that is not finished is cancelled by that, and its tag, if there comes to be one, goes after its record. Throws
 * `image_in_use`, `registry_…`.
 */
export async function deleteSnapshot(
  snapshot: SnapshotRecord,
  { deleteImage }: DeleteOptions,
  { parts, worker, signal = AbortSignal.timeout(LIMIT_MS) }: Deleting,
): Promise<void> {
  if (deleteImage && snapshot.status === 'Saved') await deleteImageOf(snapshot, parts, signal)
  const { snapshotId, instanceId, isUnfinished } = snapshot
  if (deleteImage && isUnfinished && !worker.has(snapshotId)) {
    const ended = await endElsewhere(snapshotId, { parts, worker, signal })
    if (ended) return await deleteSnapshot(ended, { deleteImage }, { parts, worker, signal })
  }
  const removed = await removeRecord(snapshot, parts)
  if (!removed) {
    const now = await parts.store.snapshots.findRecord(snapshotId)
    // It ended meanwhile: what was to be cancelled is saved, and has an image.
    if (now && isUnfinished) return await deleteSnapshot(now, { deleteImage }, { parts, worker, signal })
    throw new AppError('snapshot_not_found', `Snapshot ${snapshotId} is deleted already.`)
  }
  if (!isUnfinished) return
  const ended = worker.abandon(snapshotId)
  parts.instances.wake(instanceId)
  if (!deleteImage) return
  // Its tag may be on its way to the registry: it is looked for when nobody works on it any more, and no client waits so long.
  const deleting = ended.then(() => deleteTagOf(removed, parts, AbortSignal.timeout(LIMIT_MS)))
  const isLate = await Promise.race([deleting.then(() => false), late(signal)])
  if (!isLate) return
  deleting.catch((error: unknown) =>
    parts.log('The tag of a snapshot that was deleted could not be deleted.', {
      snapshotId,
      message: toAppError(error).message,
    }),
  )
}

/** Resolves with true when the signal fires, or after as long as anybody waits. */
async function late(signal: AbortSignal): Promise<true> {
  await sleep(LIMIT_MS, signal).catch(() => undefined)
  return true
}

/**
 * Whoever works on it may be about to put its tag, which nobody would know of once the record is gone: it is cancelled, and
 * its end waited for. Undefined: that takes too long.
 */
async function endElsewhere(
  snapshotId: string,
  { parts, worker, signal }: Required<Deleting>,
): Promise<SnapshotRecord | undefined> {
  const { snapshots } = parts.store
  await snapshots.requestCancel(snapshotId)
  await worker.cancel(snapshotId)
  while (!signal.aborted) {
    const now = await snapshots.findRecord(snapshotId)
    if (!now?.isUnfinished) return now
    await sleep(LOOK_MS, signal).catch(() => undefined)
  }
  return undefined
}

/** As it was at last; undefined: it is not there, or not as it was read. The instance is nobody else's yet in this moment. */
async function removeRecord(snapshot: SnapshotRecord, parts: SnapshotParts): Promise<SnapshotRecord | undefined> {
  const { snapshotId, instanceId, isUnfinished } = snapshot
  return parts.store.transaction(async (tables) => {
    const last = await tables.snapshots.findRecord(snapshotId)
    if (!last || !(await tables.snapshots.remove(snapshotId, { isUnfinished }))) return undefined
    if (isUnfinished)
      await parts.instances.endSaving(tables, instanceId, snapshotId, {
        outcome: 'SaveFailed',
        reasonCode: 'Cancelled',
        reasonMessage: 'The snapshot was deleted before it was finished.',
        then: 'run',
      })
    return last
  })
}

async function deleteImageOf(snapshot: SnapshotRecord, parts: SnapshotParts, signal: AbortSignal): Promise<void> {
  const { imageId, manifestDigest } = snapshot
  if (manifestDigest !== undefined && !(await isTagOfAnother(snapshot, parts))) {
    await refuseNeeded(snapshot, manifestDigest, parts)
    await deleteTagOf(snapshot, parts, signal)
  }
  await parts.store.images.remove(imageId)
}

/** Of an unfinished one, too: its tag may have moved a moment before it was cancelled. Only the tag of this very image goes. */
async function deleteTagOf(
  { imageUrl, name, manifestDigest }: SnapshotRecord,
  parts: SnapshotParts,
  signal: AbortSignal,
): Promise<void> {
  if (manifestDigest === undefined) return
  const target = { ...parseReference(imageUrl), tag: parseTarget(imageUrl, name).tag }
  await parts.registries.deleteTag(target, manifestDigest, signal)
}

/** With Overwrite the tag is the last one's, even if both images are the same. */
async function isTagOfAnother(snapshot: SnapshotRecord, { store }: SnapshotParts): Promise<boolean> {
  const { snapshotId, imageUrl } = snapshot
  const all = await store.imageUses.tagHolders(imageUrl)
  const others = all.filter((holder) => holder.snapshotId !== snapshotId)
  if (others.some(({ isUnfinished }) => isUnfinished))
    throw inUse(imageUrl, `Another snapshot is being saved as ${imageUrl}`, 'wait until that has ended')
  return others.some((other) => isLater(other, snapshot))
}

/** Throws `image_in_use` where an instance was made from it, or the next snapshot of its own instance adds to it. */
async function refuseNeeded(snapshot: SnapshotRecord, digest: string, parts: SnapshotParts): Promise<void> {
  const { imageUrl, imageId, instanceId } = snapshot
  if (await parts.instances.usesImage({ uri: imageUrl, digest, imageId }))
    throw inUse(imageUrl, `An instance was made from ${imageUrl}`, 'delete the instance first')
  const instance = await parts.instances.find(instanceId)
  if (instance === undefined) return // nothing will be added to its chain
  const chainOf = (excludePaths: readonly string[]) => chainKey(allExclusions(excludePaths, instance.mountPaths))
  const later = await parts.store.imageUses.laterExclusions(snapshot)
  if (later.some((excludePaths) => chainOf(excludePaths) === chainOf(snapshot.excludePaths))) return
  throw inUse(
    imageUrl,
    `The next snapshot of ${instanceId} adds to ${imageUrl}`,
    'save the instance once more with the same ExcludePaths, or delete it first',
  )
}

/** Snapshots that leave out the same paths are one chain (attacks.md C3). */
const chainKey = (exclusions: readonly string[]) => JSON.stringify([...new Set(exclusions.map(parseExclusion))].sort())

type Begun = Pick<SnapshotRecord, 'createdMs' | 'snapshotId'>
const isLater = (one: Begun, other: Begun) =>
  one.createdMs > other.createdMs || (one.createdMs === other.createdMs && one.snapshotId > other.snapshotId)

function inUse(imageUrl: string, why: string, remedy: string): AppError {
  const message = `${why}, so that it is not deleted: ${remedy}, or leave DeleteImage out.`
  return new AppError('image_in_use', message, { details: { imageUrl } })
}
