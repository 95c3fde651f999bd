import { AppError } from '#base/errors.ts'
import { formatReference, parseReference } from '#oci/reference.ts'
import type { Preview } from '#snapshot/result.ts'
import type { SnapshotRecord } from '#store/snapshot-record.ts'
import type { SnapshotPage } from '#store/snapshots.ts'
import type { CaptureParts } from './capture.ts'
import { createSnapshot } from './create.ts'
import type { CreateSnapshot } from './create.ts'
import { deleteSnapshot } from './delete.ts'
import type { DeleteOptions } from './delete.ts'
import { parseDetails } from './details.ts'
import type { SnapshotDetails } from './details.ts'
import { TIMES } from './parts.ts'
import type { SnapshotParts } from './parts.ts'
import { ProgressBoard } from './progress.ts'
import { allExclusions, checkExclusions } from './request.ts'
import { freshName } from './fresh-name.ts'
import { watchSnapshot } from './watch.ts'
import type { SnapshotEvent } from './watch.ts'
import { SnapshotWorker } from './worker.ts'

/** The snapshots of instances: each use case is one call, the work goes on behind it. */
export interface Snapshots extends AsyncDisposable {
  /** Take up the work of this server's share; before, calls are answered and nothing is captured. */
  start(): void
  /** How many this server works on now. */
  running(): number
  /** See create.ts. */
  create(request: CreateSnapshot): Promise<SnapshotRecord>
  /** Save an instance under a fresh tag of `repository`, in order to stop it. Throws as `create`. */
  saveToStop(request: SaveToStop): Promise<SnapshotRecord>
  /** `registry/repository` to save to when none is named: what policies decide on. Throws `parameter_invalid` when nobody knows one. */
  stopRepository(instanceId: string, userId: string): Promise<string>
  /** Throws `snapshot_not_found`, also for one of another instance. */
  get(instanceId: string, snapshotId: string): Promise<SnapshotRecord>
  details(instanceId: string, snapshotId: string): Promise<SnapshotDetails>
  list(
    instanceId: string,
    page: SnapshotPage,
  ): Promise<{ readonly records: readonly SnapshotRecord[]; readonly total: number }>
  delete(instanceId: string, snapshotId: string, options: DeleteOptions): Promise<void>
  /** End it and keep its record. Throws `snapshot_not_found`, `snapshot_finished`. */
  cancel(instanceId: string, snapshotId: string): Promise<void>
  watch(instanceId: string, snapshotId: string, signal: AbortSignal): AsyncIterable<SnapshotEvent>
  /** Throws `instance_not_found`, `instance_not_running`, `parameter_invalid`. */
  preview(instanceId: string, excludePaths: readonly string[], signal: AbortSignal): Promise<Preview>
  unfinishedOf(instanceId: string): Promise<SnapshotRecord | undefined>
}

export interface SaveToStop {
  readonly instanceId: string
  readonly userId: string
  /** As `stopRepository` named it when the right to push there was asked for: another may be the last one meanwhile. */
  readonly repository: string
}

/** The service of snapshots. It must be closed: what it works on is then given back for the next server. */
export function openSnapshots(given: SnapshotParts): Snapshots {
  const parts = { ...given, times: { ...TIMES, ...given.times }, board: new ProgressBoard(given.clock) }
  const worker = new SnapshotWorker(parts)
  return {
    start: () => worker.start(),
    running: () => worker.size,
    ...beginnings(parts, worker),
    ...readings(parts),
    ...endings(parts, worker),
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  }
}

type Beginnings = Pick<Snapshots, 'create' | 'saveToStop' | 'stopRepository' | 'preview'>
function beginnings(parts: CaptureParts, worker: SnapshotWorker): Beginnings {
  const create = async (request: CreateSnapshot): Promise<SnapshotRecord> => {
    const record = await createSnapshot(request, parts)
    worker.wake()
    return record
  }
  return {
    create,
    stopRepository: (instanceId, userId) => repositoryToStop(instanceId, userId, parts),
    async saveToStop({ instanceId, userId, repository }) {
      const name = freshName('stop', parts.clock)
      return create({
        instanceId,
        userId,
        name,
        imageUrl: `${repository}:${name}`,
        description: 'Saved before the instance was stopped.',
        labels: [],
        excludePaths: [],
        overwrite: false,
        origin: 'stop',
      })
    },
    preview: previewer(parts),
  }
}

const BUSY_MS = 1_000

/** Each walks through a container, with processes of its own: one of an instance, and as many as there may be snapshots. */
function previewer(parts: CaptureParts): Snapshots['preview'] {
  const running = new Set<string>()
  const most = Math.max(1, parts.maxSnapshots)
  return async (instanceId, excludePaths, signal) => {
    checkExclusions(excludePaths)
    const instance = await parts.instances.find(instanceId)
    if (instance === undefined) throw new AppError('instance_not_found', `There is no instance ${instanceId}.`)
    if (!instance.handle || !['Running', 'Saving'].includes(instance.status))
      throw new AppError('instance_not_running', `Instance ${instanceId} is ${instance.status}, and has to be Running.`)
    if (running.has(instanceId) || running.size >= most) {
      const what = running.has(instanceId) ? `A preview of ${instanceId} is` : 'Previews of other instances are'
      throw new AppError('rate_exceeded', `${what} being made: try again when that is done.`, {
        details: { limit: most, timeLeftMs: BUSY_MS },
      })
    }
    running.add(instanceId)
    try {
      return await parts.runtime.preview(instance.handle, allExclusions(excludePaths, instance.mountPaths), signal)
    } finally {
      running.delete(instanceId)
    }
  }
}

function readings(parts: CaptureParts): Pick<Snapshots, 'get' | 'details' | 'list' | 'watch' | 'unfinishedOf'> {
  const { snapshots } = parts.store
  return {
    get: (instanceId, snapshotId) => findSnapshot(parts, instanceId, snapshotId),
    async details(instanceId, snapshotId) {
      const found = await snapshots.find(snapshotId)
      if (found?.instanceId !== instanceId) throw notFound(instanceId, snapshotId)
      return parseDetails(found, parts.board.get(snapshotId))
    },
    list: (instanceId, page) => snapshots.list(instanceId, page),
    async *watch(instanceId, snapshotId, signal) {
      await findSnapshot(parts, instanceId, snapshotId)
      yield* watchSnapshot(snapshotId, parts, signal)
    },
    unfinishedOf: (instanceId) => snapshots.unfinishedOf(instanceId),
  }
}

function endings(parts: CaptureParts, worker: SnapshotWorker): Pick<Snapshots, 'delete' | 'cancel'> {
  return {
    async delete(instanceId, snapshotId, options) {
      await deleteSnapshot(await findSnapshot(parts, instanceId, snapshotId), options, { parts, worker })
      parts.board.tell(snapshotId)
    },
    async cancel(instanceId, snapshotId) {
      await findSnapshot(parts, instanceId, snapshotId)
      if (!(await parts.store.snapshots.requestCancel(snapshotId)))
        throw new AppError('snapshot_finished', `Snapshot ${snapshotId} is finished: there is nothing to cancel.`)
      await worker.cancel(snapshotId)
    },
  }
}

async function findSnapshot({ store }: SnapshotParts, instanceId: string, snapshotId: string): Promise<SnapshotRecord> {
  const found = await store.snapshots.findRecord(snapshotId)
  if (found?.instanceId === instanceId) return found
  throw notFound(instanceId, snapshotId)
}

function notFound(instanceId: string, snapshotId: string): AppError {
  return new AppError('snapshot_not_found', `Instance ${instanceId} has no snapshot ${snapshotId}.`, {
    details: { instanceId, snapshotId },
  })
}

/**
 * Where its owner, or who stops it, has saved the instance last, else the server's default (dsw-api §9 row 12). Where somebody
 * else has saved it, while it was public, is none of the owner's places.
 */
async function repositoryToStop(instanceId: string, userId: string, parts: SnapshotParts): Promise<string> {
  const { store, defaultRepository, instances } = parts
  const owner = (await instances.find(instanceId))?.userId ?? userId
  const text = (await store.snapshots.lastSavedBy([owner, userId], instanceId)) ?? defaultRepository
  if (text !== undefined) {
    const { registry, repository } = parseReference(text)
    return formatReference({ registry, repository })
  }
  throw new AppError(
    'parameter_invalid',
    'SaveImage: the instance was never saved, and the server has no default repository: save it with CreateInstanceSnapshot first, or have TINTYPE_DEFAULT_REPOSITORY set.',
    { details: { field: 'SaveImage' } },
  )
}
