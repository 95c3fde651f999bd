import { AppError } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import type { InstanceDocument, InstancePatch, InstanceRecord, RequestedResource } from '#store/instance-record.ts'
import type { SnapshotRecord } from '#store/snapshot-record.ts'
import { checkEnvironment, checkName, checkOnStart, checkOwner, checkPriority } from './checks.ts'
import { changeInstance, wrongState, type Change } from './change.ts'
import { resolveDatasets } from './datasets.ts'
import type { InstanceDraft, Removal } from './draft.ts'
import { findVisible } from './find.ts'
import { parseImageAuth } from './image-auth.ts'
import { chooseImage, pulledReference, type ChosenImage } from './image-choice.ts'
import { invalid } from './invalid.ts'
import type { InstanceParts, Viewer } from './parts.ts'
import { beingSaved, startChange, type Wakeable } from './power.ts'
import { parsePrivate, sealImageAuth, sealPrivate, type PrivatePart } from './private-part.ts'
import { requestOf, resourcesOfRequest, resourcesOfSize, type Resources } from './resources.ts'

export interface InstanceUpdate {
  readonly draft: InstanceDraft
  readonly removal: Removal
  /** Start it afterwards. */
  readonly start: boolean
}

/** Found out before the row is written: what needs the disk, or another table. */
interface Resolved {
  readonly image?: ChosenImage
  readonly datasets?: InstanceDocument['datasets']
}

/**
 * Change an instance; what is absent stays. Throws `parameter_invalid` for a value that it has already, or that breaks a
 * rule; `snapshot_in_progress` when it needs another container and this one is being saved; `instance_state_invalid` when
 * the change is one of the container and the instance is not Stopped or Failed; `name_taken`. Cores, memory and the start command are changed of the container that is there. All else needs a new one,
 * and what the old one holds and was not saved is lost with it: an event says so.
 */
export async function updateInstance(
  parts: InstanceParts & { readonly worker: Wakeable },
  instanceId: string,
  { update, viewer }: { readonly update: InstanceUpdate; readonly viewer: Viewer },
): Promise<void> {
  const { draft } = update
  const { userId } = await findVisible(parts.store, instanceId, viewer)
  if (userId !== viewer.userId && !viewer.seesAll) refuseContent(update)
  checkOwner(draft.userId, { userId, seesAll: viewer.seesAll })
  checkDraft(draft)
  const resolved = await resolve(parts, draft, viewer)
  const saving = await parts.store.snapshots.unfinishedOf(instanceId)
  const changed = await changeInstance(parts, instanceId, (record) =>
    changeOf(parts, record, { update, resolved, saving }),
  )
  if (changed.wanted !== '') parts.worker.wake(instanceId)
}

/**
 * Who sees an instance because it is public may start, stop and name it, if a policy says so; what runs in it, and what it
 * holds, is its owner's alone. Throws `not_permitted`.
 */
function refuseContent({ draft, removal }: InstanceUpdate): void {
  const { onStart, environment, imageId, imageUrl, imageAuth, datasets, accessibility } = draft
  const given = { onStart, environment, imageId, imageUrl, imageAuth, datasets, accessibility }
  const isTouched = Object.values(given).some((value) => value !== undefined)
  if (!isTouched && !removal.environment && !removal.onStart && !removal.datasets) return
  throw new AppError(
    'not_permitted',
    'The image, environment, start command, datasets and accessibility of an instance are changed by its owner only, or by who may list all instances.',
  )
}

const registryOf = (imageUrl: string) => parseReference(pulledReference(imageUrl)).registry.toLowerCase()

function checkDraft(draft: InstanceDraft): void {
  if (draft.name !== undefined) checkName(draft.name)
  checkPriority(draft.priority)
  checkEnvironment(draft.environment ?? {})
  checkOnStart(draft.onStart)
  if (draft.imageAuth) parseImageAuth(draft.imageAuth)
  if (draft.ecsSpec && draft.requested)
    throw invalid('RequestedResource', 'cannot be given together with EcsSpec: leave one of them out')
}

async function resolve(parts: InstanceParts, draft: InstanceDraft, viewer: Viewer): Promise<Resolved> {
  const hasImage = Boolean(draft.imageId) || Boolean(draft.imageUrl)
  return {
    ...(hasImage && { image: await chooseImage(draft, parts.images, viewer.userId) }),
    ...(draft.datasets && { datasets: await resolveDatasets(draft.datasets, parts.datasetPaths) }),
  }
}

interface Size {
  readonly resources: Resources
  /** Part by part; absent for a named size. */
  readonly requested?: RequestedResource
}

/** A part that is absent stays, and an empty text takes its limit away. Throws `parameter_invalid`. */
function sizeOf({ ecsSpec, requested }: InstanceDraft, record: InstanceRecord): Size | undefined {
  if (ecsSpec) return { resources: resourcesOfSize(ecsSpec) }
  if (!requested) return undefined
  const hasNoGpu = requested.gpu === '' || requested.gpu === '0'
  const all = { ...(record.spec.requested ?? requestOf(record)), ...(hasNoGpu && { gpuType: '' }), ...requested }
  const given = Object.fromEntries(Object.entries(all).filter(([, text]) => text !== ''))
  return { resources: resourcesOfRequest(given), requested: given }
}

interface Wish {
  readonly update: InstanceUpdate
  readonly resolved: Resolved
  readonly size: Size | undefined
  /** Of this instance, and not in the registry yet. */
  readonly saving: SnapshotRecord | undefined
}

function changeOf(parts: InstanceParts, record: InstanceRecord, asked: Omit<Wish, 'size'>): Change {
  const { draft, start } = asked.update
  refuseSame(record, draft)
  const wish = { ...asked, size: sizeOf(draft, record) }
  const spec = nextDocument(parts, record, wish)
  const ofContainer: InstancePatch = { ...imagePatch(wish), ...sizePatch(wish) }
  const plain: InstancePatch = {
    ...(draft.name !== undefined && { name: draft.name }),
    ...(draft.accessibility !== undefined && { accessibility: draft.accessibility }),
    ...(draft.priority !== undefined && { priority: draft.priority }),
    ...(draft.oversoldType !== undefined && { oversoldType: draft.oversoldType }),
    ...(draft.userId !== undefined && { userId: draft.userId }),
    ...authPatch(parts, record, wish),
    spec: spec.document,
  }
  const isRemade = spec.isRemade || needsNewContainer(record, ofContainer)
  if (isRemade && wish.saving) throw beingSaved(wish.saving)
  const isHeld = isRemade || spec.isStartChanged || Object.keys(ofContainer).length > 0
  if (isHeld && !['Stopped', 'Failed'].includes(record.status))
    throw wrongState(record, ['Stopped', 'Failed'], 'given another image, size, environment, start command or dataset')
  const patch = { ...plain, ...ofContainer, ...(isRemade && { generation: record.generation + 1 }) }
  const started = start ? startChange(record) : undefined
  const isLossy = isRemade && record.handle !== undefined
  const text = 'At the next start the container is made anew from its image: what was in it and not saved is lost.'
  const event = isLossy ? ({ level: 'Warning', text } as const) : started?.event
  return { patch: { ...patch, ...started?.patch }, ...(event && { event }) }
}

/** Another image, other GPUs; and a limit can be changed of a container, but not taken away. */
function needsNewContainer(record: InstanceRecord, patch: InstancePatch): boolean {
  const isOther = (field: 'gpuCount' | 'gpuType') => patch[field] !== undefined && patch[field] !== record[field]
  const isFreed = (field: 'cpuMilli' | 'memoryBytes') => patch[field] === null && record[field] !== null
  return (
    patch.imageUrl !== undefined ||
    isOther('gpuCount') ||
    isOther('gpuType') ||
    isFreed('cpuMilli') ||
    isFreed('memoryBytes')
  )
}

/** dsw-api §1.4: a value that the instance has already is an error. */
function refuseSame(record: InstanceRecord, draft: InstanceDraft): void {
  const same = (field: string, next: unknown, now: unknown) => {
    if (next !== undefined && next !== '' && next === now) throw invalid(field, 'is what the instance has already')
  }
  same('InstanceName', draft.name, record.name)
  same('EcsSpec', draft.ecsSpec, record.ecsSpec)
  same('ImageId', draft.imageId, record.imageId)
  same('ImageUrl', draft.imageUrl, record.imageUrl)
  same('Accessibility', draft.accessibility, record.accessibility)
  same('Priority', draft.priority, record.priority)
}

const imagePatch = ({ resolved: { image } }: Wish): InstancePatch => image ?? {}

function sizePatch({ update: { draft }, size }: Wish): InstancePatch {
  if (!size) return {}
  const { cpuMilli, memoryBytes, gpuCount, gpuType, acceleratorType } = size.resources
  const isByName = Boolean(draft.ecsSpec)
  const paymentType = isByName ? ('PayAsYouGo' as const) : ('Subscription' as const)
  const ecsSpec = draft.ecsSpec ?? ''
  return { cpuMilli, memoryBytes, gpuCount, gpuType, acceleratorType, gpuMemoryBytes: 0, paymentType, ecsSpec }
}

/** An empty text takes the login away, and so does an image of another registry: the login is not for that one. */
function authPatch({ store }: InstanceParts, { imageUrl }: InstanceRecord, { update, resolved }: Wish): InstancePatch {
  const { imageAuth } = update.draft
  const isElsewhere = resolved.image !== undefined && registryOf(resolved.image.imageUrl) !== registryOf(imageUrl)
  if (imageAuth === undefined) return isElsewhere ? { imageAuthEncrypted: null } : {}
  return { imageAuthEncrypted: imageAuth === '' ? null : sealImageAuth(store.secrets, imageAuth) }
}

function nextDocument({ store }: InstanceParts, record: InstanceRecord, { update, resolved, size }: Wish) {
  const { draft, removal } = update
  const { privateSealed, requested, sharedMemoryBytes, ...rest } = record.spec
  const before = parsePrivate(store.secrets, privateSealed)
  const after = nextPrivate(before, update)
  const isPrivateNew = JSON.stringify(after) !== JSON.stringify(before)
  const sealed = isPrivateNew ? sealPrivate(store.secrets, after) : privateSealed
  const datasets = removal.datasets === true ? [] : (resolved.datasets ?? record.spec.datasets)
  const nextRequested = size ? size.requested : requested
  const nextShared = size ? size.resources.sharedMemoryBytes : sharedMemoryBytes
  const document: InstanceDocument = {
    ...rest,
    datasets,
    echo: { ...without(record.spec.echo, removal.echo), ...draft.echo },
    ...(draft.workspaceSource !== undefined && { workspaceSource: draft.workspaceSource }),
    ...(nextRequested !== undefined && { requested: nextRequested }),
    ...(nextShared !== undefined && { sharedMemoryBytes: nextShared }),
    ...(sealed !== undefined && { privateSealed: sealed }),
  }
  const isRemade =
    JSON.stringify(after.environment) !== JSON.stringify(before.environment) ||
    JSON.stringify(datasets) !== JSON.stringify(record.spec.datasets) ||
    nextShared !== sharedMemoryBytes
  return { document, isRemade, isStartChanged: after.onStart !== before.onStart }
}

type Fields = Readonly<Record<string, unknown>>

/** `names`: of fields, or of fields in fields (`UserVpc.ForwardInfos`). */
function without(fields: Fields, names: readonly string[]): Fields {
  const kept = Object.entries(fields).filter(([name]) => !names.includes(name))
  return Object.fromEntries(
    kept.map(([name, value]) => {
      const inner = names.flatMap((each) => (each.startsWith(`${name}.`) ? [each.slice(name.length + 1)] : []))
      const isObject = typeof value === 'object' && value !== null && inner.length > 0
      return [name, isObject ? without({ ...value }, inner) : value]
    }),
  )
}

function nextPrivate(before: PrivatePart, { draft, removal }: InstanceUpdate): PrivatePart {
  const environment = removal.environment === true ? {} : (draft.environment ?? before.environment)
  const onStart = removal.onStart === true ? undefined : (draft.onStart ?? before.onStart)
  return { environment, ...(onStart !== undefined && { onStart }) }
}
