import { toAppError } from '#base/errors.ts'
import type { PullProgress, RuntimeChanges, RuntimeHandle } from '#runtime/runtime.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import { applyChange, writeChange, type Change } from './change.ts'
import type { InstanceParts } from './parts.ts'
import { endOf, NO_REASON } from './reasons.ts'
import { changesOf, parseHandle, requireSameSources, runtimeSpec } from './runtime-spec.ts'

/** The worker that takes a step: what it writes, it writes as the owner of the lease with this fence. */
export interface StepOptions {
  readonly fence: number
  /** Fires when the lease is lost, or something else is wanted now. */
  readonly signal: AbortSignal
}

/** How an instance is after a step. `lost`: it was changed meanwhile; `gone`: it is deleted. */
export type Stepped = InstanceRecord | 'lost' | 'gone'

const GRACE_SECONDS = 10 // as docker stop
const PROGRESS_STEP = 0.25
const RUNNING = { status: 'Running', wanted: '', attempts: 0, retryMs: 0, ...NO_REASON } as const

/**
 * One step towards what is wanted. Every step can come again after a crash: it asks the runtime for a state, not for a
 * change of it, and the row is written after the runtime has done its part. Throws what the runtime throws.
 */
export async function takeStep(parts: InstanceParts, record: InstanceRecord, options: StepOptions): Promise<Stepped> {
  if (record.wanted === 'delete') return deleteStep(parts, record, options)
  if (record.wanted === 'stop') return stopStep(parts, record, options)
  if (record.status === 'Creating') return write(parts, record, options, { patch: { status: 'EnvPreparing' } })
  return record.status === 'EnvPreparing' ? prepareStep(parts, record, options) : startStep(parts, record, options)
}

async function write(
  parts: InstanceParts,
  record: InstanceRecord,
  { fence }: StepOptions,
  change: Change,
): Promise<Stepped> {
  return (await writeChange(parts, record, change, fence)) ?? 'lost'
}

/** There is a container for the present generation; whatever is older is gone. */
async function prepareStep(parts: InstanceParts, record: InstanceRecord, options: StepOptions): Promise<Stepped> {
  const { runtime } = parts
  const { signal } = options
  const { instanceId, generation } = record
  const spec = await runtimeSpec(parts, record)
  const onProgress = tellProgress(parts, record)
  if (record.madeGeneration !== generation) {
    // What the old one holds is not given up for one that cannot be made.
    await runtime.prepare(spec, signal, onProgress)
    await runtime.remove(instanceId, { volumes: false }, signal)
  }
  const handle = await runtime.create(spec, signal, onProgress)
  const gpuMemoryBytes = await gpuMemoryOf(parts, record, signal)
  const isNew = parseHandle(record)?.containerId !== handle.containerId
  const text = `The container of ${instanceId} was made from ${record.imageUrl}.`
  return write(parts, record, options, {
    patch: { status: 'Starting', handle, madeGeneration: generation, gpuMemoryBytes, ...NO_REASON },
    ...(isNew && { event: { level: 'Info', text } }),
  })
}

async function gpuMemoryOf(
  { runtime }: InstanceParts,
  { gpuCount }: InstanceRecord,
  signal: AbortSignal,
): Promise<number> {
  if (gpuCount === 0) return 0
  const { gpus } = await runtime.host(signal)
  return gpuCount * (gpus[0]?.memoryBytes ?? 0)
}

/** A line for each quarter of a pull, so that somebody who waits sees that something happens. */
function tellProgress({ store, clock, log }: InstanceParts, { instanceId }: InstanceRecord) {
  let told = 0
  return ({ bytes, bytesTotal }: PullProgress) => {
    const part = bytesTotal === 0 ? 0 : bytes / bytesTotal
    if (part < told + PROGRESS_STEP) return
    told = Math.floor(part / PROGRESS_STEP) * PROGRESS_STEP
    const text = `The image is being pulled: ${Math.round(told * 100)} % of ${Math.ceil(bytesTotal / 1e6)} MB.`
    store.instanceEvents
      .add({ instanceId, timeMs: clock.wallMs(), level: 'Info', text })
      .catch((error: unknown) =>
        log('An event could not be written.', { instanceId, error: toAppError(error).message }),
      )
  }
}

/** It runs, and was seen to run. */
async function startStep(parts: InstanceParts, record: InstanceRecord, options: StepOptions): Promise<Stepped> {
  const { runtime } = parts
  const handle = parseHandle(record)
  const prepare = { patch: { status: 'EnvPreparing' } } as const
  if (!handle || record.madeGeneration !== record.generation) return write(parts, record, options, prepare)
  await requireSameSources(record, parts.datasetPaths)
  const state = await startAndLook(runtime, handle, { changes: changesOf(parts, record), signal: options.signal })
  if (state === 'gone') {
    const text = 'The container was gone and is made again from its image: what was in it and not saved is lost.'
    return write(parts, record, options, {
      patch: { ...prepare.patch, handle: undefined, madeGeneration: 0 },
      event: { level: 'Warning', text },
    })
  }
  const end = endOf(state)
  if (end) return write(parts, record, options, ended(end))
  const spec = { ...record.spec, ...(state?.ip !== undefined && { address: state.ip }) }
  return write(parts, record, options, {
    patch: { ...RUNNING, spec },
    event: { level: 'Info', text: 'The instance is running.' },
  })
}

/** With the limits and the start command that the row has now: the container may have been made with others. */
async function startAndLook(
  runtime: InstanceParts['runtime'],
  handle: RuntimeHandle,
  { changes, signal }: { readonly changes: RuntimeChanges; readonly signal: AbortSignal },
) {
  try {
    await runtime.update(handle, changes, signal)
    await runtime.start(handle, signal)
  } catch (error) {
    if (toAppError(error).code === 'container_not_found') return 'gone'
    throw error
  }
  return (await runtime.inspect(handle, signal)) ?? 'gone'
}

/** How a container that ended by itself is written down. */
export function ended(end: NonNullable<ReturnType<typeof endOf>>): Change {
  const level = end.status === 'Failed' ? 'Error' : 'Warning'
  return { patch: { ...end, wanted: '', attempts: 0, retryMs: 0 }, event: { level, text: end.reasonMessage } }
}

/** It does not run; its writable layer stays. */
async function stopStep(parts: InstanceParts, record: InstanceRecord, options: StepOptions): Promise<Stepped> {
  const { runtime } = parts
  const handle = parseHandle(record) ?? (await runtime.find(record.instanceId, options.signal))
  if (handle) await runtime.stop(handle, { graceSeconds: GRACE_SECONDS }, options.signal)
  return write(parts, record, options, {
    patch: { status: 'Stopped', wanted: '', attempts: 0, retryMs: 0 },
    event: { level: 'Info', text: 'The instance is stopped.' },
  })
}

/** Nothing is left of it but its snapshots. */
async function deleteStep(parts: InstanceParts, record: InstanceRecord, options: StepOptions): Promise<Stepped> {
  const { runtime, store, clock } = parts
  const { instanceId } = record
  const { fence, signal } = options
  await runtime.remove(instanceId, { volumes: true }, signal)
  return store.transaction(async (tables) => {
    // Counted as a change first: whoever has read the row before must not write it any more.
    const change = { patch: { handle: undefined } }
    const changed = await applyChange(tables, record, { change, nowMs: clock.wallMs(), fence })
    if (!changed) return 'lost'
    await tables.snapshots.markInstanceGone(instanceId)
    await tables.instances.remove({ instanceId, version: changed.version, fence })
    return 'gone'
  })
}
