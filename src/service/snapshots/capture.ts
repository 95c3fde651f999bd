import { sleep, throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { Reference } from '#oci/reference.ts'
import type { CaptureRequest, CaptureRun, RuntimeHandle } from '#runtime/runtime.ts'
import type { Captured } from '#snapshot/result.ts'
import type { SnapshotDetail } from '#store/snapshot-record.ts'
import type { InstanceFacts } from '#service/saving.ts'
import type { SnapshotParts, SnapshotTimes } from './parts.ts'
import type { ProgressBoard } from './progress.ts'
import { allExclusions } from './request.ts'
import type { StoredManifest } from './resume.ts'
import type { Tenure } from './tenure.ts'

export interface CaptureParts extends SnapshotParts {
  readonly board: ProgressBoard
  readonly times: SnapshotTimes
}

export interface Capturing {
  readonly snapshot: SnapshotDetail
  readonly target: Reference
  readonly tenure: Tenure
  readonly reached: Reached
}

/** How far a snapshot is, over all tries: none goes back behind it. */
export interface Reached {
  /** It is `Pushing`. */
  isThawed: boolean
  /** Which one this server has begun to save. */
  containerId?: string
  /** Stored, and put or about to be. */
  manifest: StoredManifest | undefined
}

/** As long as another process may take to save the same container, or one that was lost to let go of it. */
const TRIES = 60

/**
 * Capture the instance once more from the start: `Committing` until it is thawed, then `Pushing`; the manifest is stored
 * before it is put. Throws what the capture threw, `instance_not_running`, `container_gone`.
 */
export async function captureInstance(capturing: Capturing, parts: CaptureParts): Promise<Captured> {
  const { snapshot, tenure, reached } = capturing
  const instance = await parts.instances.find(snapshot.instanceId)
  if (!instance?.handle) throw new AppError('container_gone', 'The instance has no container any more.')
  requireSameContainer(capturing, instance.startedMs, instance.handle)
  // A snapshot never goes back from Pushing: one that is taken up then is captured beside the running instance.
  const isSaving = reached.isThawed || (await parts.instances.setSaving(snapshot.instanceId, snapshot.snapshotId))
  if (!isSaving)
    throw new AppError('instance_not_running', `The instance is ${instance.status}; only a running one can be saved.`)
  const request = await requestOf(capturing, instance, parts)
  for (let tries = 1; ; tries++) {
    throwIfAborted(tenure.signal)
    try {
      return await captureOnce(capturing, { handle: instance.handle, request }, parts)
    } catch (error) {
      const isBusy = error instanceof AppError && error.code === 'capture_in_progress'
      if (!isBusy || tries === TRIES) throw error
      await sleep(parts.times.retryMs, tenure.signal)
    }
  }
}

/**
 * What is saved is the container as it was when the snapshot was asked for: another one, made anew meanwhile, has nothing of
 * it. A server that takes the snapshot up does not know which it was, but whether it has run since. Throws `container_gone`.
 */
function requireSameContainer(
  { snapshot, reached }: Capturing,
  startedMs: number | null,
  { containerId }: RuntimeHandle,
): void {
  const known = reached.containerId
  const isSame =
    known === undefined ? !reached.isThawed || (startedMs ?? 0) <= snapshot.createdMs : known === containerId
  if (!isSame) throw new AppError('container_gone', 'The instance was started anew before it was saved: save it again.')
  reached.containerId = containerId
}

async function requestOf(
  { snapshot, target }: Capturing,
  instance: InstanceFacts,
  { registries }: CaptureParts,
): Promise<CaptureRequest> {
  const [access, all] = await Promise.all([registries.accessTo(target.registry), registries.all()])
  return {
    captureId: snapshot.snapshotId,
    reference: snapshot.imageUrl,
    name: snapshot.name,
    ...(snapshot.description !== '' && { description: snapshot.description }),
    labels: Object.fromEntries(snapshot.labels.map(({ key, value }) => [key, value])),
    exclusions: allExclusions(snapshot.excludePaths, instance.mountPaths),
    overwrite: snapshot.overwrite,
    compression: 'auto',
    full: false,
    registries: { target: access, others: all.filter(({ host }) => host !== access.host) },
  }
}

interface Call {
  readonly handle: RuntimeHandle
  readonly request: CaptureRequest
}

async function captureOnce(capturing: Capturing, { handle, request }: Call, parts: CaptureParts): Promise<Captured> {
  const { signal } = capturing.tenure
  await using run = parts.runtime.startCapture(handle, request)
  const stop = () => run.cancel()
  signal.addEventListener('abort', stop, { once: true })
  const followed = follow(run, capturing, parts).catch((error: unknown) => {
    run.cancel()
    throw error
  })
  try {
    const [captured] = await Promise.all([run.result, followed])
    return captured
  } catch (error) {
    await followed.catch(() => {}) // a next try goes by all that was told in this one
    throwIfAborted(signal) // why it was stopped, not how
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

async function follow(run: CaptureRun, { snapshot, tenure, reached }: Capturing, parts: CaptureParts) {
  for await (const event of run.events) {
    if (event.type === 'progress') {
      const { type: _, ...progress } = event
      parts.board.set(snapshot.snapshotId, progress)
    }
    if (event.type === 'thawed') {
      await tenure.change({ status: 'Pushing' })
      reached.isThawed = true
      parts.board.tell(snapshot.snapshotId)
      // One that is saved in order to be stopped stays in Saving: it must not change any more.
      if (snapshot.origin !== 'stop') await parts.instances.endCommitting(snapshot.instanceId, snapshot.snapshotId)
    }
    if (event.type === 'manifest') {
      const manifest = { digest: event.digest, text: event.manifest }
      await tenure.change({ manifest })
      reached.manifest = manifest
      run.confirmManifest()
    }
  }
}
