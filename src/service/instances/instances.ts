import type { InstanceFilter, InstancePage } from '#store/instance-list.ts'
import { InstanceCaretaker } from './caretaker.ts'
import { createInstance } from './create.ts'
import { getInstance, listInstances } from './details.ts'
import type { NewInstanceDraft } from './draft.ts'
import { hostFacts, listSizes } from './host.ts'
import type { InstanceParts, Viewer } from './parts.ts'
import { deleteInstance, startInstance, stopInstance } from './power.ts'
import { instanceSaving } from './saving.ts'
import { updateInstance, type InstanceUpdate } from './update.ts'
import { InstanceWatcher } from './watcher.ts'
import { InstanceWorker } from './worker.ts'

export type Instances = ReturnType<typeof openInstances>

/** The use cases around instances, and the loops that see to them until it is closed. */
export function openInstances(given: InstanceParts) {
  const worker = new InstanceWorker(given)
  const parts = { ...given, worker }
  const watcher = new InstanceWatcher(given)
  const caretaker = new InstanceCaretaker(parts)
  const facts = hostFacts(given)
  return {
    /** For the use cases that are functions of their own: history, labels, metrics, shutdown, tokens, temporary files. */
    parts,
    /** What the snapshots do to instances. */
    saving: instanceSaving(parts),
    /** Take up the work behind the calls; before, they are answered and their work waits. */
    start(): void {
      for (const loop of [worker, watcher, caretaker]) loop.start()
    },
    async create(draft: NewInstanceDraft, viewer: Viewer): Promise<string> {
      const instanceId = await createInstance(given, draft, viewer)
      worker.wake(instanceId)
      return instanceId
    },
    get: (instanceId: string, viewer: Viewer, viewToken?: string) =>
      getInstance(given, instanceId, { viewer, viewToken }),
    list: (filter: Omit<InstanceFilter, 'visibleTo'>, page: InstancePage, viewer: Viewer) =>
      listInstances(given, filter, { page, viewer }),
    update: (instanceId: string, update: InstanceUpdate, viewer: Viewer) =>
      updateInstance(parts, instanceId, { update, viewer }),
    startOne: (instanceId: string, viewer: Viewer) => startInstance(parts, instanceId, viewer),
    stopOne: (instanceId: string, viewer: Viewer, saveTo?: string) =>
      stopInstance(parts, instanceId, { viewer, saveTo }),
    deleteOne: (instanceId: string, viewer: Viewer) => deleteInstance(parts, instanceId, viewer),
    listSizes: (acceleratorType: 'CPU' | 'GPU') => listSizes(given, facts, acceleratorType),
    async [Symbol.asyncDispose](): Promise<void> {
      await caretaker[Symbol.asyncDispose]()
      await watcher[Symbol.asyncDispose]()
      await worker[Symbol.asyncDispose]()
    },
  }
}
