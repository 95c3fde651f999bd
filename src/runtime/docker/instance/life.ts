import { rm } from 'node:fs/promises'
import { AppError } from '#base/errors.ts'
import type { EngineApi } from '#runtime/docker/api.ts'
import { list, object, text } from '#runtime/docker/json.ts'
import type { RuntimeChanges, RuntimeHandle } from '#runtime/runtime.ts'
import { INSTANCE_LABEL, limits } from './container-config.ts'
import { entryDirectory, findEntryDirectory, findInstance } from './find.ts'
import { writeOnStart } from './entry.ts'
import { engineRefusal } from './refusal.ts'

// An engine that starts many containers at once, on a slow disk, takes its time.
const START_LIMIT_MS = 120_000
const REMOVE_LIMIT_MS = 120_000
/** Beyond the grace, for the kill and what the engine has to tidy up. */
const AFTER_GRACE_MS = 60_000

/** As `Runtime.start`. */
export async function startInstance(
  api: EngineApi,
  { containerId }: RuntimeHandle,
  signal?: AbortSignal,
): Promise<void> {
  await api.call('POST', `/containers/${containerId}/start`, {
    accept: [304], // it runs
    refuse: engineRefusal,
    limitMs: START_LIMIT_MS,
    signal,
  })
}

/** As `Runtime.update`. */
export async function updateInstance(
  api: EngineApi,
  handle: RuntimeHandle,
  { home, changes, signal }: UpdateOptions,
): Promise<void> {
  if (changes.cpuMilli !== undefined || changes.memoryBytes !== undefined)
    await api.call('POST', `/containers/${handle.containerId}/update`, {
      body: limits(changes),
      refuse: engineRefusal,
      signal,
    })
  if (changes.onStart === undefined) return
  const directory = await findEntryDirectory(api, handle, { home, signal })
  if (directory === undefined)
    throw new AppError('container_not_found', `The container of ${handle.instanceId} is gone.`)
  await writeOnStart(directory, changes.onStart)
}

export interface UpdateOptions {
  readonly home: string
  readonly changes: RuntimeChanges
  readonly signal?: AbortSignal | undefined
}

/** As `Runtime.stop`. */
export async function stopInstance(
  api: EngineApi,
  { containerId }: RuntimeHandle,
  options: { readonly graceSeconds: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { graceSeconds, signal } = options
  await api.call('POST', `/containers/${containerId}/stop`, {
    query: { t: String(graceSeconds) },
    accept: [304, 404], // it does not run, or is gone
    limitMs: graceSeconds * 1000 + AFTER_GRACE_MS,
    signal,
  })
}

export interface RemoveOptions {
  readonly home: string
  readonly volumes: boolean
  readonly signal?: AbortSignal | undefined
}

/** As `Runtime.remove`. */
export async function removeInstance(
  api: EngineApi,
  instanceId: string,
  { home, volumes, signal }: RemoveOptions,
): Promise<void> {
  const next = () => findInstance(api, instanceId, signal)
  for (let found = await next(); found; found = await next()) {
    const directory = await findEntryDirectory(api, found, { home, signal })
    await removeContainer(api, found, signal)
    if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  }
  if (volumes) await removeVolumes(api, instanceId, signal)
  await rm(entryDirectory(home, instanceId), { recursive: true, force: true })
}

async function removeContainer(api: EngineApi, { containerId }: RuntimeHandle, signal?: AbortSignal): Promise<void> {
  const limits = { limitMs: REMOVE_LIMIT_MS, signal }
  await api.call('DELETE', `/containers/${containerId}`, {
    query: { force: '1', v: '1' }, // volumes without a name: nobody could find them again
    accept: [404, 409],
    ...limits,
  })
  // 409: it is being removed already; wait until that is done.
  await api.call('POST', `/containers/${containerId}/wait`, {
    query: { condition: 'removed' },
    accept: [404],
    ...limits,
  })
}

async function removeVolumes(api: EngineApi, instanceId: string, signal?: AbortSignal): Promise<void> {
  const filters = JSON.stringify({ label: [`${INSTANCE_LABEL}=${instanceId}`] })
  const { Volumes } = object(await api.call('GET', '/volumes', { query: { filters }, signal }))
  for (const volume of list(Volumes)) {
    const name = encodeURIComponent(text(object(volume).Name))
    await api.call('DELETE', `/volumes/${name}`, { accept: [404, 409], signal }) // 409: somebody's own container uses it
  }
}
