import type { Clock } from '#base/clock.ts'
import type { InstanceFacts, SavingOutcome } from '#service/saving.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import type { Store } from '#store/open-store.ts'
import type { Tables } from '#store/tables.ts'
import { applyChange, changeInstance, type Change } from './change.ts'
import type { Wakeable } from './power.ts'
import { usesImage, type SavedImage } from './image-choice.ts'
import { NO_REASON } from './reasons.ts'
import { parseHandle } from './runtime-spec.ts'

export interface SavingParts {
  readonly store: Store
  readonly clock: Clock
  readonly worker: Wakeable
}

const WORKSPACE = '/mnt/workspace'

/** What snapshots do to instances. Each call may come again after a crash, with the same effect. */
export function instanceSaving(parts: SavingParts) {
  const { store } = parts
  return {
    async find(instanceId: string): Promise<InstanceFacts | undefined> {
      const record = await store.instances.find(instanceId)
      return record && factsOf(record)
    },

    /** `Running` → `Saving`. True as well when it is `Saving` already; false in any other state. */
    async setSaving(instanceId: string, snapshotId: string): Promise<boolean> {
      const record = await store.instances.find(instanceId)
      if (!record) return false
      const changed = await changeInstance(parts, instanceId, ({ status, wanted }) =>
        status === 'Running' && wanted === ''
          ? { patch: { status: 'Saving' }, event: { level: 'Info', text: `It is being saved as ${snapshotId}.` } }
          : undefined,
      )
      return changed.status === 'Saving'
    },

    /** Back to `Running`: the container is thawed. Nothing happens unless it is `Saving`. */
    async endCommitting(instanceId: string, _snapshotId: string): Promise<void> {
      if (!(await store.instances.find(instanceId))) return
      await changeInstance(parts, instanceId, backToRunning)
    },

    /**
     * Write the outcome into the lifecycle, and go on to run, or to stop. Fine when the instance is gone. The transaction is
     * the caller's, who calls `wake` after it.
     */
    endSaving: (tables: Tables, instanceId: string, snapshotId: string, outcome: SavingOutcome) =>
      endSaving(tables, parts.clock.wallMs(), { instanceId, snapshotId, outcome }),

    /** Have it looked after now: something is wanted of it. */
    wake: (instanceId: string): void => parts.worker.wake(instanceId),

    /** See `usesImage`. */
    usesImage: (image: SavedImage) => usesImage(store, image),
  }
}

function factsOf(record: InstanceRecord): InstanceFacts {
  const { instanceId, workspaceId, userId, accessibility, status, startedMs, imageId, spec } = record
  const mountPaths = [WORKSPACE, ...spec.datasets.map(({ mountPath }) => mountPath)]
  const handle = parseHandle(record)
  return { instanceId, workspaceId, userId, accessibility, status, startedMs, imageId, handle, mountPaths }
}

export function backToRunning({ status }: InstanceRecord): Change | undefined {
  return status === 'Saving' ? { patch: { status: 'Running', ...NO_REASON } } : undefined
}

interface Ended {
  readonly instanceId: string
  readonly snapshotId: string
  readonly outcome: SavingOutcome
}

async function endSaving(tables: Tables, nowMs: number, { instanceId, snapshotId, outcome }: Ended): Promise<void> {
  const record = await tables.instances.find(instanceId)
  if (!record) return
  const { outcome: status, reasonCode, reasonMessage } = outcome
  await tables.lifecycle.note({
    instanceId,
    session: record.session,
    status,
    reasonCode,
    reasonMessage,
    startMs: nowMs,
  })
  const isSaved = status === 'Saved'
  const text = isSaved ? `${snapshotId} is saved.` : `${snapshotId} could not be saved: ${reasonMessage}`
  await tables.instanceEvents.add({ instanceId, timeMs: nowMs, level: isSaved ? 'Info' : 'Error', text })
  const running = await applyIf(tables, record, { change: backToRunning(record), nowMs })
  if (!isSaved || outcome.then !== 'stop' || running.status !== 'Running') return
  await applyIf(tables, running, {
    change: { patch: { status: 'Stopping', wanted: 'stop', attempts: 0, retryMs: 0 } },
    nowMs,
  })
}

/** In a transaction that nobody disturbs, a change of what was read in it always succeeds. */
async function applyIf(
  tables: Tables,
  record: InstanceRecord,
  { change, nowMs }: { readonly change: Change | undefined; readonly nowMs: number },
): Promise<InstanceRecord> {
  return (change && (await applyChange(tables, record, { change, nowMs }))) ?? record
}
