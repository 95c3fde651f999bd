import { systemClock, type Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { Repository } from '#registry/repository.ts'
import { sendLayers } from '#snapshot/base-layers.ts'
import type { CaptureOptions } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import { clockState, identityOf, readIndex, type StoredIndex } from './index-store.ts'
import type { Chain, ClockState, IndexRecord } from './record.ts'

/** Whether a capture appends to the layers of those before it, and why. */
export type Mode =
  | {
      readonly mode: 'full'
      readonly reason: string
      /** Byte paths of those that earlier captures knew of. */
      readonly stubs?: readonly string[]
    }
  | { readonly mode: 'delta'; readonly reason: string; readonly index: StoredIndex; readonly doubtMicros: number }

export interface ModeParts {
  /** Byte paths. */
  readonly exclusions: readonly string[]
  readonly home: string
  /** Why it is to be full whatever there is. */
  readonly fullReason?: string
  /** A running container that is not frozen has no state that an index could tell of. */
  readonly isFrozen: boolean
  /** Undefined for a preview: then the registry is not asked. */
  readonly destination?: Pick<CaptureOptions, 'target' | 'repositoryOf'> & { readonly signal?: AbortSignal }
  readonly clock?: Clock
}

/** design.md §4.9: so many captures or layers, and the next is full. */
const MOST_CAPTURES = 8
const MOST_LAYERS = 24
/** More than a quarter of what the chain's layers hold, and more than this, is no longer there. */
const SUPERSEDED_BYTES = 64 << 20
const SUPERSEDED_SHARE = 1 / 4
/** The clock that is compared has steps of 10 ms, and the wall clock of 1 ms. */
const SET_BACK_MS = 25
/** After a reboot nobody knows how far the clock was set (attacks.md A11). */
const REBOOT_DOUBT_MICROS = 120e6

/**
 * A delta wherever the index can be relied on and the chain's layers are in the destination, or can be taken over into it;
 * else full. The index of a delta belongs to the caller, who closes it. Throws what the registry throws.
 */
export async function chooseMode(source: Source, parts: ModeParts): Promise<Mode> {
  const asked =
    parts.fullReason ?? (parts.isFrozen ? undefined : 'asked for with --no-freeze, which no index can follow')
  const found = await readIndex(parts.home, identityOf(source, parts.exclusions))
  if ('reason' in found) return full(asked ?? found.reason)
  await using stack = new AsyncDisposableStack()
  const index = stack.use(found)
  const now = { ...clockState(parts.clock), wallMs: (parts.clock ?? systemClock).wallMs() }
  const { record } = index
  const why = asked ?? clockProblem(record, now) ?? chainProblem(record.chain) ?? (await lost(record, parts))
  if (why !== undefined) return full(why, record.stubs)
  stack.move()
  return {
    mode: 'delta',
    reason: `changes since the snapshot of ${new Date(record.takenAtMs).toISOString()}`,
    index,
    doubtMicros: record.clock.bootId === now.bootId ? 0 : REBOOT_DOUBT_MICROS,
  }
}

/** Stubs that runtimes have left are there whatever was mounted on them since (attacks.md C12). */
const full = (reason: string, stubs: readonly string[] = []) =>
  ({ mode: 'full', reason, ...(stubs.length > 0 && { stubs }) }) as const

function clockProblem(
  { clock, takenAtMs }: IndexRecord,
  now: ClockState & { readonly wallMs: number },
): string | undefined {
  const isSetBack = clock.bootId === now.bootId && now.offsetMs < clock.offsetMs - SET_BACK_MS
  if (!isSetBack && now.wallMs >= takenAtMs) return undefined
  return 'the clock was set back since the snapshot before'
}

/** Why nothing is to be appended to it any more. */
function chainProblem({ captures, layers, contentBytes, writtenBytes }: Chain): string | undefined {
  if (captures >= MOST_CAPTURES) return `${captures} snapshots lie on the last full one already`
  if (layers.length >= MOST_LAYERS) return `${layers.length} layers lie on the base image already`
  const superseded = writtenBytes - contentBytes
  if (superseded <= SUPERSEDED_BYTES || superseded <= writtenBytes * SUPERSEDED_SHARE) return undefined
  return `${Math.round(superseded / 2 ** 20)} MiB in the layers before are no longer there`
}

/** Why the destination cannot have the chain's layers. */
async function lost({ chain }: IndexRecord, { destination }: ModeParts): Promise<string | undefined> {
  if (!destination) return undefined
  const { target, repositoryOf, signal } = destination
  const options = signal ? { signal } : {}
  if (target.name === chain.repository) return (await hasAll(chain, target, options)) ? undefined : GONE
  if (registryOf(target.name) !== registryOf(chain.repository) || isLayout(target.name))
    return 'the snapshots before are in another registry'
  try {
    const from = await repositoryOf(chain.repository)
    const layers = chain.layers.map(({ descriptor }) => descriptor)
    await sendLayers(layers, { from, target, send: () => ({}), ...options })
    return undefined
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.code === 'blob_missing') return GONE
    // If it is the target that denies, the full capture is denied too, and says it better.
    if (error.code === 'registry_denied')
      return `the repository of the snapshots before cannot be read (${error.message})`
    throw error
  }
}

const GONE = 'a layer of the snapshots before is gone from the registry'

/** One byte of each must arrive: a registry may say yes to what its garbage collection has taken (attacks.md A10). */
async function hasAll({ layers }: Chain, target: Repository, options: { signal?: AbortSignal }): Promise<boolean> {
  const there = await Promise.all(layers.map(({ descriptor }) => target.checkBlob(descriptor, options)))
  return there.every((isThere) => isThere)
}

const isLayout = (name: string) => name.startsWith('/')
const registryOf = (name: string) => (isLayout(name) ? name : name.slice(0, name.indexOf('/')))

/** The rows that a delta begins with. */
export const bodyOf = (mode: Mode) => (mode.mode === 'delta' ? mode.index.body : undefined)

/** What the reader is told of them. */
export function loadedFrom(mode: Mode, { mountPoints }: Source) {
  if (mode.mode === 'full') return mode.stubs ? { stubs: mode.stubs } : {}
  const { body, metExclusions, stubs } = mode.index.record
  const mounted = new Set(mountPoints.map(({ path }) => path.toString('latin1')))
  const unmounted = stubs.filter((path) => !mounted.has(path))
  const { rows, nameBytes } = body
  const index = { rows, nameBytes, metExclusions, doubtMicros: mode.doubtMicros, unmounted }
  return { index, stubs }
}
