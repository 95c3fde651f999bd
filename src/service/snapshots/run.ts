import { sleep, throwIfAborted } from '#base/abort.ts'
import { AppError, toAppError } from '#base/errors.ts'
import type { ErrorCode } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import { newId } from '#service/ids.ts'
import type { Captured } from '#snapshot/result.ts'
import type { SnapshotDetail } from '#store/snapshot-record.ts'
import { captureInstance } from './capture.ts'
import type { CaptureParts, Capturing, Reached } from './capture.ts'
import { reasonOf } from './reasons.ts'
import { parseTarget } from './request.ts'
import { isTagOurs, putStored, sizeOfImage } from './resume.ts'
import type { StoredManifest } from './resume.ts'
import type { Tenure } from './tenure.ts'

/** A snapshot on which so many servers were lost is not the servers' misfortune. */
const ATTEMPTS = 5
/** How long the registry may take to say whether the tag is ours, after all that went wrong. */
const LAST_LOOK_MS = 5_000
/** Tries of a capture by one server, and how much longer each pause is: with `TIMES`, 35 s of pauses in all. */
const TRIES = 3
const LONGER = 6
/**
 * Errors that may pass, but not in so short a time: the instance is too busy, or was stopped, or made anew; and where
 * another process saves it, `captureInstance` has waited for a minute.
 */
const NOT_SOON: ReadonlySet<ErrorCode> = new Set([
  'freeze_budget_exceeded',
  'container_gone',
  'instance_not_running',
  'capture_in_progress',
  'cancelled',
])

interface Made {
  readonly manifest: StoredManifest
  /** Absent when an earlier server has made it. */
  readonly captured?: Captured
}

/**
 * Work on a claimed snapshot until it is `Saved` or `Failed`, or until it is no longer ours:
 *
 *     go on with what is stored already, else capture (again, if the failure may pass) → catalogue and record in one step
 *
 * Never throws for what went wrong with the snapshot; throws when the store does not answer: then the lease runs out, and
 * another server takes it up.
 */
export async function runSnapshot(snapshot: SnapshotDetail, tenure: Tenure, parts: CaptureParts): Promise<void> {
  const reached: Reached = { isThawed: snapshot.status === 'Pushing', manifest: storedManifest(snapshot) }
  try {
    if (snapshot.cancelRequested) tenure.cancel()
    throwIfAborted(tenure.signal)
    refuseAttempts(snapshot)
    await endSaved(snapshot, await make(snapshot, { tenure, reached }, parts), { tenure, parts })
  } catch (error) {
    if (tenure.isLost || tenure.isReleased) return
    const { manifest } = reached
    // A put whose answer was lost has moved the tag all the same; nobody may read "Failed" of an image that is there.
    if (manifest && (await isThere(snapshot, manifest, parts)))
      return await endSaved(snapshot, { manifest }, { tenure, parts })
    await endFailed(snapshot, error, { tenure, parts })
  }
}

type Making = Pick<Capturing, 'tenure' | 'reached'>

/** Tries until one succeeds, or fails for good. Throws what the last one threw. */
async function make(snapshot: SnapshotDetail, making: Making, parts: CaptureParts): Promise<Made> {
  const { signal } = making.tenure
  for (let tries = 1; ; tries++) {
    try {
      return (await resume(snapshot, making, parts)) ?? (await capture(snapshot, making, parts))
    } catch (error) {
      throwIfAborted(signal)
      if (tries === TRIES || !mayPass(error)) throw error
      const waitMs = parts.times.againMs * LONGER ** (tries - 1)
      const { code, message } = toAppError(error)
      parts.log('A snapshot is tried again.', { snapshotId: snapshot.snapshotId, tries, waitMs, code, message })
      await sleep(waitMs, signal)
    }
  }
}

/** Whether the same capture may succeed a little later, without anybody doing anything about it. */
function mayPass(error: unknown): boolean {
  const { retry, code } = toAppError(error)
  return retry && !NOT_SOON.has(code)
}

function storedManifest({ manifest, manifestDigest }: SnapshotDetail): StoredManifest | undefined {
  return manifest === undefined || manifestDigest === undefined ? undefined : { digest: manifestDigest, text: manifest }
}

function refuseAttempts({ attempts }: SnapshotDetail): void {
  if (attempts <= ATTEMPTS) return
  throw new AppError(
    'snapshot_interrupted',
    `${ATTEMPTS} servers were lost while they made this snapshot, and no more will try: begin another one.`,
  )
}

/** Undefined: there is nothing to go on with. */
async function resume(
  snapshot: SnapshotDetail,
  { tenure, reached }: Making,
  parts: CaptureParts,
): Promise<Made | undefined> {
  const { manifest } = reached
  if (manifest === undefined) return undefined
  const { tag, ...reference } = parseTarget(snapshot.imageUrl, snapshot.name)
  const target = await parts.registries.open(reference)
  if (await putStored(manifest, snapshot, { target, tag, signal: tenure.signal })) return { manifest }
  await tenure.change({ manifest: null })
  reached.manifest = undefined
  return undefined
}

async function capture(snapshot: SnapshotDetail, making: Making, parts: CaptureParts): Promise<Made> {
  const captured = await captureInstance({ ...making, snapshot, target: parseReference(snapshot.imageUrl) }, parts)
  const { manifest } = making.reached
  if (manifest?.digest === captured.digest) return { manifest, captured }
  throw new AppError('internal', `The capture put ${captured.digest}, and had named ${manifest?.digest ?? 'nothing'}.`)
}

async function isThere(snapshot: SnapshotDetail, { digest }: StoredManifest, parts: CaptureParts): Promise<boolean> {
  try {
    const { tag, ...reference } = parseTarget(snapshot.imageUrl, snapshot.name)
    const target = await parts.registries.open(reference)
    return await isTagOurs(digest, { target, tag, signal: AbortSignal.timeout(LAST_LOOK_MS) })
  } catch {
    return false
  }
}

interface Ending {
  readonly tenure: Tenure
  readonly parts: CaptureParts
}

async function endSaved(snapshot: SnapshotDetail, made: Made, { tenure, parts }: Ending): Promise<void> {
  const { store, instances, clock, board } = parts
  const instance = await instances.find(snapshot.instanceId)
  const outcome = {
    outcome: 'Saved',
    reasonCode: '',
    reasonMessage: '',
    then: snapshot.origin === 'stop' ? 'stop' : 'run',
  } as const
  const imageId = newId('image')
  const progress = board.get(snapshot.snapshotId)
  // The instance is touched only by whom the snapshot still belongs to: another one may have ended it, and the user gone on.
  await store.transaction(async (tables) => {
    const end = {
      status: 'Saved',
      imageId,
      ...(made.captured && { result: JSON.stringify(made.captured) }),
      ...(progress && { progress: JSON.stringify(progress) }),
    } as const
    if (!(await tenure.end(end, tables.snapshotQueue))) return
    await instances.endSaving(tables, snapshot.instanceId, snapshot.snapshotId, outcome)
    await tables.images.insert(
      {
        imageId,
        workspaceId: snapshot.workspaceId,
        userId: snapshot.userId,
        name: snapshot.name,
        description: snapshot.description,
        uri: snapshot.imageUrl,
        accessibility: 'PRIVATE',
        sizeBytes: sizeOfImage(made.manifest.text),
        sourceType: 'Build',
        sourceId: snapshot.snapshotId,
        fromSnapshot: true,
        labels: catalogueLabels(snapshot, instance?.imageId ?? ''),
      },
      clock.wallMs(),
    )
  })
  instances.wake(snapshot.instanceId)
}

/** Those of the request, and where the image comes from; these names are documented (dsw-api §2, AddImage). */
function catalogueLabels(snapshot: SnapshotDetail, fromImageId: string) {
  return [
    ...snapshot.labels,
    { key: 'system.supported.dsw', value: 'true' },
    { key: 'system.dsw.fromInstanceId', value: snapshot.instanceId },
    ...(fromImageId === '' ? [] : [{ key: 'system.dsw.fromImageId', value: fromImageId }]),
  ]
}

async function endFailed(snapshot: SnapshotDetail, error: unknown, { tenure, parts }: Ending): Promise<void> {
  const { snapshotId, instanceId, imageUrl } = snapshot
  const reason = reasonOf(error, imageUrl)
  const { code, message } = toAppError(error)
  parts.log('A snapshot failed.', { snapshotId, instanceId, code, message })
  await parts.store.transaction(async (tables) => {
    if (!(await tenure.end({ status: 'Failed', ...reason }, tables.snapshotQueue))) return
    const outcome = { outcome: 'SaveFailed', ...reason, then: 'run' } as const
    await parts.instances.endSaving(tables, instanceId, snapshotId, outcome)
  })
}
