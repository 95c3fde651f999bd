import { AppError } from '#base/errors.ts'
import { freezeCgroup, readCgroupState, thawCgroup } from './cgroup.ts'
import { engineApi, type EngineApi, type EngineState } from './engine-api.ts'
import type { Freezer } from './freezer.ts'

/** `engine_behind`: the processes run, but the engine did not answer and may take them for paused: see repairEngine. */
export type Thawed = 'thawed' | 'engine_behind'

type EngineFreezer = Extract<Freezer, { kind: 'engine' }>

// attacks.md A9: past this the cgroup is thawed behind the engine's back.
const ENGINE_LIMIT_MS = 2000

/**
 * Thaw by the freezer that froze; a return means that it is confirmed, or that the container is gone. Harmless when
 * nothing is frozen. Throws `freeze_failed` when the container stays frozen, `engine_unavailable` when the engine does
 * not answer and no cgroup is known.
 */
export async function thaw(freezer: Freezer): Promise<Thawed> {
  if (freezer.kind === 'cgroup') {
    await thawCgroup(freezer.cgroup)
    return 'thawed'
  }
  try {
    return await thawByEngine(freezer)
  } catch (error) {
    const code = error instanceof AppError ? error.code : 'internal'
    if (code === 'container_gone') return 'thawed'
    if (freezer.cgroup === undefined) throw error
    await thawCgroup(freezer.cgroup)
    return 'engine_behind'
  }
}

async function thawByEngine(freezer: EngineFreezer): Promise<Thawed> {
  const api = engineApi(freezer.socketPath)
  const refusal = await unpause(api, freezer)
  if (refusal === undefined && isThawed(freezer)) return 'thawed'
  // Either there was nothing to unpause, or the engine and the cgroup do not agree.
  if ((await inspect(api, freezer)).paused) await unpauseAnyway(api, freezer)
  else if (freezer.cgroup !== undefined) await thawCgroup(freezer.cgroup)
  return 'thawed'
}

/**
 * Make the engine's idea true again after its container was thawed behind its back (attacks.md A9: it says `paused` for
 * ever and refuses to unpause what is not frozen): freeze the cgroup, then unpause. A pause that the engine carried out
 * late, after nobody waited for it any more, is undone, too. Throws `engine_unavailable` while the engine does not answer.
 */
export async function repairEngine(freezer: Freezer): Promise<void> {
  if (freezer.kind === 'cgroup') return
  const api = engineApi(freezer.socketPath)
  try {
    if ((await inspect(api, freezer)).paused) await unpauseAnyway(api, freezer)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'container_gone') throw error
  }
}

async function unpauseAnyway(api: EngineApi, freezer: EngineFreezer): Promise<void> {
  const { cgroup } = freezer
  if (cgroup !== undefined && readCgroupState(cgroup) === 'thawed') await freezeCgroup(cgroup)
  const refusal = await unpause(api, freezer)
  if (refusal === undefined && isThawed(freezer)) return
  if (cgroup !== undefined) await thawCgroup(cgroup)
  throw refusal ?? new AppError('freeze_failed', 'The engine unpaused the container, but its processes stay frozen.')
}

/** The engine's refusal, or undefined when it has unpaused. */
async function unpause(api: EngineApi, freezer: EngineFreezer): Promise<AppError | undefined> {
  try {
    await api.unpause(freezer.containerId, { timeoutMs: ENGINE_LIMIT_MS })
    return undefined
  } catch (error) {
    if (error instanceof AppError && error.code === 'freeze_failed') return error
    throw error
  }
}

function inspect(api: EngineApi, freezer: EngineFreezer): Promise<EngineState> {
  return api.inspect(freezer.containerId, { timeoutMs: ENGINE_LIMIT_MS })
}

function isThawed({ cgroup }: EngineFreezer): boolean {
  const state = cgroup === undefined ? 'thawed' : readCgroupState(cgroup)
  return state === 'thawed' || state === 'gone'
}
