import { AppError } from '#base/errors.ts'
import type { HostFacts } from '#runtime/runtime.ts'
import type { InstanceParts } from './parts.ts'
import { offeredSizes, type OfferedSize } from './specs.ts'

type HostParts = Pick<InstanceParts, 'runtime' | 'store' | 'clock'>

const FRESH_MS = 60_000
/** No call waits longer for the engine. */
const ENGINE_MS = 1_000

/** What the host has, asked for once a minute at most; while the engine is away what it said last counts. */
export function hostFacts({ runtime, clock }: HostParts): () => Promise<HostFacts> {
  let known: HostFacts | undefined
  let askedMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (known && clock.monotonicMs() - askedMs < FRESH_MS) return known
    try {
      known = await runtime.host(AbortSignal.timeout(ENGINE_MS))
      askedMs = clock.monotonicMs()
    } catch (cause) {
      const message = 'The container engine does not say what its host has: see whether it runs, then try again.'
      if (!known) throw new AppError('engine_unavailable', message, { cause })
    }
    return known
  }
}

/** The sizes that the host can give to one more instance, or could if it were empty. Throws `engine_unavailable`. */
export async function listSizes(
  { store }: HostParts,
  facts: () => Promise<HostFacts>,
  acceleratorType: 'CPU' | 'GPU',
): Promise<readonly OfferedSize[]> {
  const [host, used] = await Promise.all([facts(), store.instances.used()])
  return offeredSizes(host, used).filter(({ gpu }) => gpu > 0 === (acceleratorType === 'GPU'))
}
