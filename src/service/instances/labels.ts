import { checkLabels } from './checks.ts'
import { findVisible } from './find.ts'
import { invalid } from './invalid.ts'
import type { InstanceParts, Viewer } from './parts.ts'

const LABELS = 50

/** New keys are added, the values of known ones replaced. Throws `parameter_invalid`. */
export async function putLabels(
  { store }: Pick<InstanceParts, 'store'>,
  instanceId: string,
  { labels, viewer }: { readonly labels: ReadonlyMap<string, string>; readonly viewer: Viewer },
): Promise<void> {
  await findVisible(store, instanceId, viewer)
  checkLabels('Labels', labels)
  await store.transaction(async (tables) => {
    await tables.instanceLabels.put(instanceId, 'label', labels)
    const all = await tables.instanceLabels.of([instanceId])
    if (all.filter(({ kind }) => kind === 'label').length > LABELS)
      throw invalid('Labels', `must be at most ${LABELS} together with those that the instance has`)
  })
}

/** Keys that the instance does not have do not matter. */
export async function removeLabels(
  { store }: Pick<InstanceParts, 'store'>,
  instanceId: string,
  { keys, viewer }: { readonly keys: readonly string[]; readonly viewer: Viewer },
): Promise<void> {
  await findVisible(store, instanceId, viewer)
  await store.instanceLabels.remove(instanceId, 'label', keys)
}
