import { randomBytes } from 'node:crypto'
import { newId } from '#service/ids.ts'
import { DEFAULT_WORKSPACE } from '#service/workspace.ts'
import type { InstanceDocument } from '#store/instance-record.ts'
import type { NewInstance } from '#store/instances.ts'
import { resolveDatasets } from './datasets.ts'
import type { NewInstanceDraft } from './draft.ts'
import { checkEnvironment, checkLabels, checkName, checkOnStart, checkOwner, checkPriority } from './checks.ts'
import { parseImageAuth } from './image-auth.ts'
import { chooseImage, type ChosenImage } from './image-choice.ts'
import { invalid } from './invalid.ts'
import type { InstanceParts, Viewer } from './parts.ts'
import { sealAccessToken, sealImageAuth, sealPrivate } from './private-part.ts'
import { resourcesOfRequest, resourcesOfSize, type Resources } from './resources.ts'

const TOKEN_BYTES = 24

/**
 * Make an instance; a worker starts it behind the answer. Returns its id. Throws `parameter_invalid`, naming the field,
 * and `name_taken`; then nothing was made.
 */
export async function createInstance(parts: InstanceParts, draft: NewInstanceDraft, viewer: Viewer): Promise<string> {
  const { store, clock } = parts
  checkDraft(draft, viewer)
  const size = sizeOf(draft)
  const image = await chooseImage(draft, parts.images, viewer.userId)
  const datasets = await resolveDatasets(draft.datasets ?? [], parts.datasetPaths)
  const instanceId = newId('dsw')
  const spec = documentOf(parts, draft, { datasets, size })
  const instance = {
    ...newInstance(parts, draft, { image, size }),
    instanceId,
    spec,
    name: draft.name ?? defaultName(instanceId),
  }
  const row = { ...instance, userId: draft.userId ?? viewer.userId }
  const { status, session, createdMs: startMs } = row
  await store.transaction(async (tables) => {
    await tables.instances.insert(row)
    await tables.instanceLabels.put(instanceId, 'label', draft.labels)
    await tables.instanceLabels.put(instanceId, 'tag', draft.tags)
    await tables.lifecycle.begin({ instanceId, session, status, reasonCode: '', reasonMessage: '', startMs })
    const text = `The instance was created from ${image.imageUrl}.`
    await tables.instanceEvents.add({ instanceId, timeMs: clock.wallMs(), level: 'Info', text })
  })
  return instanceId
}

function checkDraft(draft: NewInstanceDraft, viewer: Viewer): void {
  if (draft.name !== undefined) checkName(draft.name)
  checkOwner(draft.userId, viewer)
  checkPriority(draft.priority)
  checkEnvironment(draft.environment ?? {})
  checkOnStart(draft.onStart)
  checkLabels('Labels', draft.labels)
  checkLabels('Tag', draft.tags)
  if (draft.imageAuth !== undefined && draft.imageAuth !== '') parseImageAuth(draft.imageAuth)
}

/** Exactly one of EcsSpec and RequestedResource says how large it is. */
function sizeOf({ ecsSpec, requested }: NewInstanceDraft): Resources {
  const hasSpec = ecsSpec !== undefined && ecsSpec !== ''
  if (hasSpec && requested !== undefined)
    throw invalid('RequestedResource', 'cannot be given together with EcsSpec: leave one of them out')
  if (hasSpec) return resourcesOfSize(ecsSpec)
  if (requested === undefined) throw invalid('EcsSpec', 'is missing: give it or a RequestedResource')
  return resourcesOfRequest(requested)
}

interface Chosen {
  readonly image: ChosenImage
  readonly size: Resources
}

function newInstance({ store, clock }: InstanceParts, draft: NewInstanceDraft, { image, size }: Chosen) {
  const nowMs = clock.wallMs()
  const { cpuMilli, memoryBytes, gpuCount, gpuType, acceleratorType } = size
  const isByName = draft.ecsSpec !== undefined && draft.ecsSpec !== ''
  const fixed = { status: 'Creating', reasonCode: '', reasonMessage: '', wanted: 'run', handle: undefined } as const
  const counters = { accumulatedMs: 0, session: 1, generation: 1, madeGeneration: 0, attempts: 0, retryMs: 0 }
  return {
    ...fixed,
    ...counters,
    ...image,
    ...{ cpuMilli, memoryBytes, gpuCount, gpuType, acceleratorType, gpuMemoryBytes: 0 },
    workspaceId: draft.workspaceId || DEFAULT_WORKSPACE,
    accessibility: draft.accessibility ?? 'PRIVATE',
    imageAuthEncrypted: draft.imageAuth ? sealImageAuth(store.secrets, draft.imageAuth) : null,
    ecsSpec: draft.ecsSpec ?? '',
    priority: draft.priority ?? 1,
    paymentType: isByName ? 'PayAsYouGo' : 'Subscription',
    resourceId: draft.resourceId ?? '',
    oversoldType: draft.oversoldType ?? '',
    accessTokenEncrypted: sealAccessToken(store.secrets, randomBytes(TOKEN_BYTES).toString('base64url')),
    baseRepositoryLast: null,
    createdMs: nowMs,
    modifiedMs: nowMs,
    startedMs: null,
  } satisfies Partial<NewInstance>
}

function documentOf(
  { store }: InstanceParts,
  draft: NewInstanceDraft,
  { datasets, size }: { readonly datasets: InstanceDocument['datasets']; readonly size: Resources },
): InstanceDocument {
  const { environment = {}, onStart, requested, workspaceSource } = draft
  const privateSealed = sealPrivate(store.secrets, { environment, ...(onStart !== undefined && { onStart }) })
  return {
    datasets,
    echo: draft.echo,
    ...(requested !== undefined && { requested }),
    ...(size.sharedMemoryBytes !== undefined && { sharedMemoryBytes: size.sharedMemoryBytes }),
    ...(workspaceSource !== undefined && { workspaceSource }),
    ...(privateSealed !== undefined && { privateSealed }),
  }
}

/** Letters, digits and underscores, 27 at most: what the rule for names allows. */
const defaultName = (instanceId: string) => instanceId.replaceAll('-', '_')
