import { join } from 'node:path'
import type { EngineApi } from '#runtime/docker/api.ts'
import { list, object, text } from '#runtime/docker/json.ts'
import type { RuntimeHandle, RuntimeState } from '#runtime/runtime.ts'
import { INSTANCE_LABEL } from './container-config.ts'
import { ENTRY_DIRECTORY } from './entry.ts'

/** The container of an instance, by its label. */
export async function findInstance(
  api: EngineApi,
  instanceId: string,
  signal?: AbortSignal,
): Promise<RuntimeHandle | undefined> {
  const filters = JSON.stringify({ label: [`${INSTANCE_LABEL}=${instanceId}`] })
  const found = list(await api.call('GET', '/containers/json', { query: { all: '1', filters }, signal }))
  const containerId = text(object(found[0]).Id)
  return containerId === '' ? undefined : { kind: 'docker', containerId, instanceId }
}

/** As `Runtime.running`. */
export async function findRunning(api: EngineApi, signal?: AbortSignal): Promise<readonly RuntimeHandle[]> {
  const filters = JSON.stringify({ label: [INSTANCE_LABEL] })
  return list(await api.call('GET', '/containers/json', { query: { filters }, signal })).map((found) => {
    const { Id, Labels } = object(found)
    return { kind: 'docker', containerId: text(Id), instanceId: text(object(Labels)[INSTANCE_LABEL]) }
  })
}

/** Where the files of an instance's first process lie on the host. */
export const entryDirectory = (home: string, instanceId: string) => join(home, 'instances', instanceId)

/**
 * Where the container has them from: who made it may be another server, with another TINTYPE_HOME. Undefined: it is gone.
 */
export async function findEntryDirectory(
  api: EngineApi,
  { containerId, instanceId }: RuntimeHandle,
  { home, signal }: { readonly home: string; readonly signal?: AbortSignal | undefined },
): Promise<string | undefined> {
  const { Id, Mounts } = object(await api.call('GET', `/containers/${containerId}/json`, { accept: [404], signal }))
  if (Id === undefined) return undefined
  const mount = list(Mounts)
    .map(object)
    .find(({ Destination }) => Destination === ENTRY_DIRECTORY)
  const source = text(mount?.Source)
  // Files are written there and deleted: only where a server would have made it.
  return source.endsWith(entryDirectory('/', instanceId)) ? source : entryDirectory(home, instanceId)
}

const STATUSES: Readonly<Record<string, RuntimeState['status']>> = {
  created: 'created',
  running: 'running',
  restarting: 'running',
  paused: 'paused',
  // `removing` and `dead`: what was there is ended, and the next question will find nothing.
}

/** As `Runtime.inspect`. */
export async function inspectInstance(
  api: EngineApi,
  { containerId }: RuntimeHandle,
  signal?: AbortSignal,
): Promise<RuntimeState | undefined> {
  const answer = object(await api.call('GET', `/containers/${containerId}/json`, { accept: [404], signal }))
  if (answer.State === undefined) return undefined
  const state = object(answer.State)
  const startedMs = timeOf(state.StartedAt)
  const finishedMs = timeOf(state.FinishedAt)
  const ip = addressOf(answer.NetworkSettings)
  return {
    status: STATUSES[text(state.Status)] ?? 'exited',
    isOutOfMemory: state.OOMKilled === true,
    ...(finishedMs !== undefined && typeof state.ExitCode === 'number' && { exitCode: state.ExitCode }),
    ...(startedMs !== undefined && { startedMs }),
    ...(finishedMs !== undefined && { finishedMs }),
    ...(ip !== undefined && { ip }),
  }
}

/** Engines say the year 1 where something has not happened. */
function timeOf(value: unknown): number | undefined {
  const ms = Date.parse(text(value))
  return ms > 0 ? ms : undefined
}

function addressOf(settings: unknown): string | undefined {
  const networks = Object.values(object(object(settings).Networks)).map((network) => text(object(network).IPAddress))
  return networks.find((address) => address !== '')
}
