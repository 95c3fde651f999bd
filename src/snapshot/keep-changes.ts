import { AppError } from '#base/errors.ts'
import type { Frozen } from '#freezer/freeze.ts'
import type { NamedChanges } from './named-changes.ts'
import type { PassesParts } from './passes-parts.ts'

export interface KeepOptions {
  /** Undefined: the freeze has to walk. */
  readonly changes: NamedChanges | undefined
  readonly readMicros: number
  readonly trustsNothing: boolean
  readonly budgetBytes: number
}

export interface Kept {
  /** Undefined when the change was too large, took too long, or was not one state. */
  readonly taken?: { readonly frozenMs: number } | undefined
  readonly method: 'walk' | 'tracepoints'
  readonly isOverBudget: boolean
}

/**
 * Copy what still differs out of the frozen container, prove that it stood still, and thaw it (design.md §4.5). It is thawed
 * in any case, and no later than its budget says. Throws what the freezer and the reader throw.
 */
export async function keepChanges(parts: PassesParts, frozen: Frozen, options: KeepOptions): Promise<Kept> {
  const { reader, onEvent } = parts
  const { changes, ...command } = options
  const named = changes?.take()
  const method = named ? 'tracepoints' : 'walk'
  let isLate = false
  let isOverBudget = false
  const deadline = setTimeout(
    () => {
      isLate = true
      frozen.thaw().catch(() => {}) // asked again below, and there it throws
    },
    leftMs(parts, frozen),
  )
  try {
    const frozenMicros = Number(frozen.f1Ns / 1000n)
    const kept = await reader.run(
      { command: 'keep', ...command, frozenMicros, ...(named && { named }) },
      'kept',
      onEvent,
    )
    isOverBudget = !kept.isWithinBudget
    if (isLate || isOverBudget || !kept.isOneState) return { method, isOverBudget }
    if (named && !(await stoodStill(parts, changes))) return { method, isOverBudget }
    await frozen.stillFrozen()
    return { method, isOverBudget, taken: isLate ? undefined : await frozen.thaw() }
  } catch (error) {
    if (isLate || (error instanceof AppError && error.code === 'freeze_budget_exceeded'))
      return { method, isOverBudget }
    throw error
  } finally {
    clearTimeout(deadline)
    await frozen.thaw()
  }
}

/** What is left of the budget, which is counted from the first write to the freezer. */
function leftMs({ clock, maxFreezeMs }: PassesParts, { f0Ns }: Frozen): number {
  const spentMs = Number(clock.wallNs() - f0Ns) / 1e6
  return Math.min(Math.max(maxFreezeMs - spentMs, 0), maxFreezeMs) // the wall clock may be set meanwhile
}

/** What a walk sees by ctimes the watch says: whether anything of the container was changed while it was frozen (attacks.md B3). */
async function stoodStill({ reader }: PassesParts, changes: NamedChanges | undefined): Promise<boolean> {
  const named = changes?.take()
  if (!named) return false
  if (named.length === 0) return true
  return (await reader.run({ command: 'count', named }, 'counted')).count === 0
}
