import { AppError } from '#base/errors.ts'
import type { CullerRow, TimerRow } from '#store/schema-instances.ts'
import { idleMinutes } from './details.ts'
import { findVisible } from './find.ts'
import { invalid } from './invalid.ts'
import type { InstanceParts, Viewer } from './parts.ts'

type ShutdownParts = Pick<InstanceParts, 'store' | 'clock'>

export interface CullerDraft {
  readonly instanceId: string
  readonly cpuPct: number
  readonly gpuPct: number
  readonly maxIdleMinutes: number
}

const YEAR_MS = 366 * 86_400_000

/** One for each instance. Throws `instance_resource_exists`, and `parameter_invalid` where GPUs are not measured. */
export async function createCuller({ store }: ShutdownParts, draft: CullerDraft, viewer: Viewer): Promise<void> {
  const { instanceId, cpuPct, gpuPct, maxIdleMinutes } = draft
  const { gpuCount } = await findVisible(store, instanceId, viewer)
  if (gpuCount > 0)
    throw invalid(
      'InstanceId',
      'is an instance with GPUs, and this server does not measure how busy they are: use a shutdown timer',
    )
  checkPercent('CpuPercentThreshold', cpuPct)
  checkPercent('GpuPercentThreshold', gpuPct)
  if (!(Number.isInteger(maxIdleMinutes) && maxIdleMinutes >= 1))
    throw invalid('MaxIdleTimeInMinutes', 'must be a whole number of at least 1')
  if (await store.cullers.insert({ instanceId, cpuPct, gpuPct, maxIdleMinutes })) return
  throw new AppError('instance_resource_exists', `Instance ${instanceId} has an idle culler already: delete it first.`)
}

function checkPercent(field: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1 && value <= 100))
    throw invalid(field, 'must be a whole number from 1 to 100')
}

/** Throws `instance_resource_not_found` when the instance has none. */
export async function getCuller({ store, clock }: ShutdownParts, instanceId: string, viewer: Viewer) {
  const record = await findVisible(store, instanceId, viewer)
  const [culler] = await store.cullers.of([instanceId])
  if (!culler) throw none('idle culler', instanceId)
  return { ...culler, idleMinutes: idleMinutes(culler, record, clock.wallMs()) }
}

/** Throws `instance_resource_not_found` when the instance has none. */
export async function deleteCuller({ store }: ShutdownParts, instanceId: string, viewer: Viewer): Promise<void> {
  await findVisible(store, instanceId, viewer)
  if (!(await store.cullers.remove(instanceId))) throw none('idle culler', instanceId)
}

export interface TimerDraft {
  readonly instanceId: string
  readonly dueMs?: number | undefined
  readonly remainingMs?: number | undefined
}

/** Exactly one of both says when; a second timer takes the place of the first. Throws `parameter_invalid`. */
export async function createTimer({ store, clock }: ShutdownParts, draft: TimerDraft, viewer: Viewer): Promise<void> {
  const { instanceId, dueMs, remainingMs } = draft
  await findVisible(store, instanceId, viewer)
  if ((dueMs === undefined) === (remainingMs === undefined))
    throw invalid('DueTime', 'must be given, or RemainingTimeInMs, and not both')
  const nowMs = clock.wallMs()
  const due = dueMs ?? nowMs + (remainingMs ?? 0)
  const field = dueMs === undefined ? 'RemainingTimeInMs' : 'DueTime'
  if (due <= nowMs) throw invalid(field, 'must be in the future')
  if (due > nowMs + YEAR_MS) throw invalid(field, 'must be within a year')
  await store.timers.put(instanceId, due, nowMs)
}

/** Throws `instance_resource_not_found` when the instance has none. */
export async function getTimer(
  { store, clock }: ShutdownParts,
  instanceId: string,
  viewer: Viewer,
): Promise<TimerRow & { readonly remainingMs: number }> {
  await findVisible(store, instanceId, viewer)
  const [timer] = await store.timers.of([instanceId])
  if (!timer) throw none('shutdown timer', instanceId)
  return { ...timer, remainingMs: Math.max(0, timer.dueMs - clock.wallMs()) }
}

/** Throws `instance_resource_not_found` when the instance has none. */
export async function deleteTimer({ store }: ShutdownParts, instanceId: string, viewer: Viewer): Promise<void> {
  await findVisible(store, instanceId, viewer)
  if (!(await store.timers.remove(instanceId))) throw none('shutdown timer', instanceId)
}

/** What will stop an instance by itself. */
export interface ShutdownPolicy {
  readonly instanceId: string
  readonly culler?: CullerRow
  readonly timer?: TimerRow
}

/** Of those that run; the others are left out. */
export async function shutdownPolicies(
  { store }: ShutdownParts,
  instanceIds: readonly string[],
): Promise<readonly ShutdownPolicy[]> {
  const records = await Promise.all(instanceIds.map((instanceId) => store.instances.find(instanceId)))
  const running = records.flatMap((record) =>
    record && ['Running', 'Saving'].includes(record.status) ? [record.instanceId] : [],
  )
  const [cullers, timers] = await Promise.all([store.cullers.of(running), store.timers.of(running)])
  return running.flatMap((instanceId) => {
    const culler = cullers.find((row) => row.instanceId === instanceId)
    const timer = timers.find((row) => row.instanceId === instanceId)
    return culler || timer ? [{ instanceId, ...(culler && { culler }), ...(timer && { timer }) }] : []
  })
}

const none = (what: string, instanceId: string) =>
  new AppError('instance_resource_not_found', `Instance ${instanceId} has no ${what}.`)
