import type { InstanceFilter, InstancePage } from '#store/instance-list.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import type { CullerRow, InstanceLabelRow, TimerRow } from '#store/schema-instances.ts'
import type { SnapshotSummary } from '#store/snapshot-record.ts'
import { notFound, runningMs } from './change.ts'
import { canSee } from './find.ts'
import { maskImageAuth, parseImageAuth } from './image-auth.ts'
import type { InstanceParts, Viewer } from './parts.ts'
import { parsePrivate, unsealImageAuth, type PrivatePart } from './private-part.ts'
import { accessTokenOf } from './runtime-spec.ts'
import { readViewToken } from './tokens.ts'

/** An instance with everything that the API tells of it. */
export interface InstanceDetails {
  readonly record: InstanceRecord
  /** A RAM user's name, or the owner's id where there is none. */
  readonly userName: string
  readonly labels: readonly InstanceLabelRow[]
  readonly tags: readonly InstanceLabelRow[]
  readonly culler?: CullerRow & { readonly idleMinutes: number }
  readonly timer?: TimerRow & { readonly remainingMs: number }
  /** The newest first. */
  readonly snapshots: readonly SnapshotSummary[]
  readonly private: PrivatePart
  /** Base64 of the user and stars. */
  readonly maskedImageAuth?: string
  /** For the owner, and for those who see everything. */
  readonly accessToken?: string
  readonly runningMs: number
}

const MINUTE_MS = 60_000
/** As many snapshots as GetInstance and ListInstances tell of each instance. */
const SNAPSHOTS = 10

/** One instance. `viewToken`: of GetToken, shows an instance that is private. Throws `instance_not_found`. */
export async function getInstance(
  parts: InstanceParts,
  instanceId: string,
  { viewer, viewToken }: { readonly viewer: Viewer; readonly viewToken?: string | undefined },
): Promise<InstanceDetails> {
  const record = await parts.store.instances.find(instanceId)
  const isShared = viewToken !== undefined && readViewToken(parts, viewToken) === instanceId
  if (!record || !(isShared || canSee(record, viewer))) throw notFound(instanceId)
  const [details] = await detailsOf(parts, [record], viewer)
  if (!details) throw notFound(instanceId)
  return details
}

/** The instances of one page that the viewer may see, and how many there are on all pages. */
export async function listInstances(
  parts: InstanceParts,
  filter: Omit<InstanceFilter, 'visibleTo'>,
  { page, viewer }: { readonly page: InstancePage; readonly viewer: Viewer },
): Promise<{ readonly instances: readonly InstanceDetails[]; readonly total: number }> {
  const seen = viewer.seesAll ? filter : { ...filter, visibleTo: viewer.userId }
  const { instances, total } = await parts.store.instances.list(seen, page)
  return { instances: await detailsOf(parts, instances, viewer), total }
}

async function detailsOf(
  parts: InstanceParts,
  records: readonly InstanceRecord[],
  viewer: Viewer,
): Promise<readonly InstanceDetails[]> {
  const { store, clock } = parts
  const ids = records.map(({ instanceId }) => instanceId)
  const [labels, cullers, timers, snapshots, owners] = await Promise.all([
    store.instanceLabels.of(ids),
    store.cullers.of(ids),
    store.timers.of(ids),
    store.snapshots.latestOf(ids, { limit: SNAPSHOTS }),
    store.users.ownerNames([...new Set(records.map(({ userId }) => userId))]),
  ])
  const nowMs = clock.wallMs()
  const labelsOf = Map.groupBy(labels, ({ instanceId }) => instanceId)
  const cullerOf = new Map(cullers.map((row) => [row.instanceId, row]))
  const timerOf = new Map(timers.map((row) => [row.instanceId, row]))
  const nameOf = new Map(owners.map(({ userId, name }) => [userId, name]))
  return records.map((record) => {
    const { instanceId } = record
    const all = labelsOf.get(instanceId) ?? []
    const [culler, timer] = [cullerOf.get(instanceId), timerOf.get(instanceId)]
    return {
      record,
      userName: nameOf.get(record.userId) ?? record.userId,
      labels: all.filter(({ kind }) => kind === 'label'),
      tags: all.filter(({ kind }) => kind === 'tag'),
      ...(culler && { culler: { ...culler, idleMinutes: idleMinutes(culler, record, nowMs) } }),
      ...(timer && { timer: { ...timer, remainingMs: Math.max(0, timer.dueMs - nowMs) } }),
      snapshots: snapshots.get(instanceId) ?? [],
      runningMs: runningMs(record, nowMs),
      ...secretsOf(parts, record, viewer),
    }
  })
}

/** Since when the instance has been idle; null: it is not, as far as is known. It was not while it did not run. */
export function idleFrom(
  { idleSinceMs }: Pick<CullerRow, 'idleSinceMs'>,
  { status, startedMs }: Pick<InstanceRecord, 'status' | 'startedMs'>,
): number | null {
  const isUp = status === 'Running' || status === 'Saving'
  return idleSinceMs === null || !isUp ? null : Math.max(idleSinceMs, startedMs ?? 0)
}

/** How long the instance has been idle. */
export function idleMinutes(culler: CullerRow, record: InstanceRecord, nowMs: number): number {
  const fromMs = idleFrom(culler, record)
  return fromMs === null ? 0 : Math.max(0, Math.floor((nowMs - fromMs) / MINUTE_MS))
}

/** Who may see an instance because it is public, or look and not open, does not learn what opens it, or what its owner keeps in its environment. */
function secretsOf(parts: InstanceParts, record: InstanceRecord, viewer: Viewer) {
  const { secrets } = parts.store
  const isOwner = record.userId === viewer.userId
  const hidden = { private: { environment: {} } }
  if (!isOwner && !viewer.seesAll) return hidden
  const mayOpen = viewer.mayOpen?.(record) ?? true
  if (!isOwner && !mayOpen) return hidden
  const auth = record.imageAuthEncrypted
  return {
    private: parsePrivate(secrets, record.spec.privateSealed),
    ...(mayOpen && { accessToken: accessTokenOf(parts, record) }),
    ...(auth !== null && { maskedImageAuth: maskImageAuth(parseImageAuth(unsealImageAuth(secrets, auth))) }),
  }
}
