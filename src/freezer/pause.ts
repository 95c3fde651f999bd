import { AppError } from '#base/errors.ts'
import { freezeCgroup, readCgroupState } from './cgroup.ts'
import { engineApi } from './engine-api.ts'
import type { Freezer, InitProcess } from './freezer.ts'
import { isAlive } from './process-identity.ts'

const INSPECT_LIMIT_MS = 5000
// runc gives up after less than a second, so an engine that is silent for this long hangs.
const PAUSE_LIMIT_MS = 10_000

/**
 * Throws `container_paused` when someone else has frozen the container, `container_gone` or `container_not_running`
 * when there is nothing to freeze.
 */
export async function assertFreezable(freezer: Freezer, init: InitProcess, signal?: AbortSignal): Promise<void> {
  assertAlive(init)
  if (freezer.kind === 'engine') await assertEngineAgrees(freezer, init, signal)
  if (freezer.cgroup === undefined) return
  const state = readCgroupState(freezer.cgroup)
  if (state === 'gone')
    throw new AppError('container_gone', 'The container is gone: its cgroup does not exist any more.')
  if (state !== 'thawed')
    throw new AppError('container_paused', 'Someone else has frozen the container: unpause it, then try again.')
}

async function assertEngineAgrees(
  freezer: Extract<Freezer, { kind: 'engine' }>,
  init: InitProcess,
  signal: AbortSignal | undefined,
): Promise<void> {
  const options = { timeoutMs: INSPECT_LIMIT_MS, ...(signal && { signal }) }
  const state = await engineApi(freezer.socketPath).inspect(freezer.containerId, options)
  if (state.paused)
    throw new AppError('container_paused', 'Someone else has paused the container: unpause it, then try again.')
  if (!state.running)
    throw new AppError('container_not_running', 'The container does not run any more: start it, then try again.')
  if (state.pid !== init.pid) throw restarted()
}

/**
 * Freeze once; a return means that FROZEN was seen. After `freeze_failed` or `engine_unavailable` the container may be
 * frozen, now or later: thaw it. The engine's call takes no signal: a pause that nobody waits for would still happen.
 */
export async function pause(freezer: Freezer, signal?: AbortSignal): Promise<void> {
  if (freezer.kind === 'cgroup') return freezeCgroup(freezer.cgroup, signal)
  await engineApi(freezer.socketPath).pause(freezer.containerId, { timeoutMs: PAUSE_LIMIT_MS })
  if (!(await isFrozen(freezer)))
    throw new AppError('freeze_failed', 'The engine said that it paused the container, but its processes run.')
}

/** Whether the container is frozen now, by the kernel's word where a cgroup is known, else by the engine's. */
export async function isFrozen(freezer: Freezer): Promise<boolean> {
  if (freezer.cgroup !== undefined) return readCgroupState(freezer.cgroup) === 'frozen'
  if (freezer.kind === 'cgroup') return false
  const api = engineApi(freezer.socketPath)
  return (await api.inspect(freezer.containerId, { timeoutMs: INSPECT_LIMIT_MS })).paused
}

/** Throws `container_gone` when the container's init is dead, or another process has its pid. */
export function assertAlive(init: InitProcess): void {
  if (!isAlive(init)) throw restarted()
}

function restarted(): AppError {
  return new AppError('container_gone', 'The container was stopped or restarted in the meantime: try again.')
}
