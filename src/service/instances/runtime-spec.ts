import { AppError } from '#base/errors.ts'
import { formatReference, parseReference } from '#oci/reference.ts'
import type { InstanceSpec, RuntimeChanges, RuntimeHandle } from '#runtime/runtime.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import { recheckSource } from './datasets.ts'
import { parseImageAuth } from './image-auth.ts'
import { pulledReference } from './image-choice.ts'
import type { InstanceParts } from './parts.ts'
import { parsePrivate, unsealAccessToken, unsealImageAuth } from './private-part.ts'

/** Where an instance is found from outside, behind the address of whatever leads to it. */
export const basePathOf = (instanceId: string) => `/${instanceId}/`

/** What the runtime has to make. Throws `parameter_invalid` when a dataset is no longer what it was. */
export async function runtimeSpec(
  { store, datasetPaths }: Pick<InstanceParts, 'store' | 'datasetPaths'>,
  record: InstanceRecord,
): Promise<InstanceSpec> {
  const { instanceId, spec, gpuCount, gpuType, imageAuthEncrypted } = record
  const { environment, onStart } = parsePrivate(store.secrets, spec.privateSealed)
  await requireSameSources(record, datasetPaths)
  const imageUrl = pulledReference(record.imageUrl)
  // A snapshot may have moved the tag since the engine has got it.
  const { registry, ...rest } = parseReference(imageUrl)
  const savedAs = formatReference({ registry: registry.toLowerCase(), ...rest })
  const imageDigest = await store.snapshots.digestSavedAs(savedAs)
  const binds = spec.datasets.map(({ source, mountPath, access }) => ({
    source,
    target: mountPath,
    readOnly: access === 'RO',
  }))
  return {
    instanceId,
    imageUrl,
    ...(imageDigest !== undefined && { imageDigest }),
    ...(imageAuthEncrypted !== null && {
      imageAuth: parseImageAuth(unsealImageAuth(store.secrets, imageAuthEncrypted)),
    }),
    ...limitsOf(record),
    ...(spec.sharedMemoryBytes !== undefined && { shmBytes: spec.sharedMemoryBytes }),
    ...(gpuCount > 0 && { gpus: { count: gpuCount, ...(gpuType !== '' && { type: gpuType }) } }),
    environment,
    ...(onStart !== undefined && onStart !== '' && { onStart }),
    binds,
    workspaceVolume: `tintype-${instanceId}-workspace`,
    labels: {},
    accessToken: accessTokenOf({ store }, record),
    basePath: basePathOf(instanceId),
  }
}

/**
 * Engines look up the source of a mount at each start, and follow links: whoever writes in a dataset could lead another one
 * to anywhere on the host. Throws `parameter_invalid` when one is no longer the directory that it was.
 */
export async function requireSameSources({ spec }: InstanceRecord, datasetPaths: readonly string[]): Promise<void> {
  for (const mount of spec.datasets) await recheckSource(mount, datasetPaths)
}

const limitsOf = ({ cpuMilli, memoryBytes }: InstanceRecord) => ({
  ...(cpuMilli !== null && { cpuMilli }),
  ...(memoryBytes !== null && { memoryBytes }),
})

/** What a container that is there may have otherwise than the row. */
export function changesOf({ store }: Pick<InstanceParts, 'store'>, record: InstanceRecord): RuntimeChanges {
  const { onStart = '' } = parsePrivate(store.secrets, record.spec.privateSealed)
  return { ...limitsOf(record), onStart }
}

/** What opens the notebook of the instance. */
export function accessTokenOf({ store }: Pick<InstanceParts, 'store'>, record: InstanceRecord): string {
  if (record.accessTokenEncrypted === null) throw new AppError('internal', `${record.instanceId} has no access token.`)
  return unsealAccessToken(store.secrets, record.accessTokenEncrypted)
}

/** The handle in a row; undefined: the instance has no container. */
export function parseHandle(record: Pick<InstanceRecord, 'handle'>): RuntimeHandle | undefined {
  return record.handle as RuntimeHandle | undefined
}
