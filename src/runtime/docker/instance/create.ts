import { sleep, throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { EngineApi } from '#runtime/docker/api.ts'
import { list, object, text } from '#runtime/docker/json.ts'
import type { InstanceSpec, PullProgress, RuntimeHandle } from '#runtime/runtime.ts'
import { containerConfig, containerName, INSTANCE_LABEL } from './container-config.ts'
import { writeEntry } from './entry.ts'
import { entryDirectory, findEntryDirectory, findInstance } from './find.ts'
import { requireGpus } from './host.ts'
import { ensureImage, type ImageCommand } from './pull.ts'
import { engineRefusal } from './refusal.ts'

export interface CreateOptions {
  /** TINTYPE_HOME */
  readonly home: string
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
}

const RETRY_MS = 100

// An engine that makes many containers at once, on a slow disk, takes its time; a server that ends is given a minute.
const CREATE_LIMIT_MS = 45_000

/** As `Runtime.create`. */
export async function createInstance(
  api: EngineApi,
  spec: InstanceSpec,
  options: CreateOptions,
): Promise<RuntimeHandle> {
  const { signal } = options
  const there = await findInstance(api, spec.instanceId, signal)
  // Whoever made it may have come no further, and its files may be those of the one before.
  const directory = there && (await findEntryDirectory(api, there, options))
  if (directory !== undefined) await writeEntry(directory, spec)
  const handle = there ?? (await makeContainer(api, spec, options))
  await requireShell(api, handle, { imageUrl: spec.imageUrl, signal })
  return handle
}

/** As `Runtime.prepare`. */
export async function prepareInstance(
  api: EngineApi,
  { imageUrl, imageDigest, imageAuth, gpus }: InstanceSpec,
  { signal, onProgress }: CreateOptions,
): Promise<ImageCommand> {
  if (gpus && gpus.count > 0) await requireGpus(api, gpus, signal)
  return ensureImage(api, { imageUrl, imageDigest, imageAuth, signal, onProgress })
}

async function makeContainer(api: EngineApi, spec: InstanceSpec, options: CreateOptions): Promise<RuntimeHandle> {
  const { home, signal } = options
  const { instanceId } = spec
  const { command } = await prepareInstance(api, spec, options)
  const directory = entryDirectory(home, instanceId)
  const config = containerConfig({ spec, command, entryDirectory: directory, network: await networkOf(api, signal) })
  await writeEntry(directory, spec)
  return { kind: 'docker', containerId: await createContainer(api, spec, { config, signal }), instanceId }
}

/** An engine whose administrator has switched its bridge off (`"bridge": "none"`) has no network to give. */
async function networkOf(api: EngineApi, signal?: AbortSignal): Promise<string> {
  const networks = list(await api.call('GET', '/networks', { signal })).map((network) => text(object(network).Name))
  return networks.includes('bridge') ? 'bridge' : 'none'
}

interface Creation {
  readonly config: object
  readonly signal?: AbortSignal | undefined
}

/** The container of whoever is first: the engine gives the name only once. */
async function createContainer(api: EngineApi, { instanceId }: InstanceSpec, creation: Creation): Promise<string> {
  const { config, signal } = creation
  const name = containerName(instanceId)
  for (;;) {
    throwIfAborted(signal)
    // Without the signal: the engine would go on, and nobody would know of the container that it makes.
    const answer = await api.call('POST', '/containers/create', {
      query: { name },
      body: config,
      accept: [409],
      refuse: engineRefusal,
      limitMs: CREATE_LIMIT_MS,
    })
    throwIfAborted(signal)
    const id = text(object(answer).Id)
    if (id !== '') return id
    // Someone else has the name: has made the container, or is about to, or gives it up again.
    const other = object(await api.call('GET', `/containers/${name}/json`, { accept: [404], signal }))
    if (object(object(other.Config).Labels)[INSTANCE_LABEL] === instanceId) return text(other.Id)
    if (other.Id !== undefined)
      throw new AppError('name_taken', `Another container is called ${name}, and is no instance of Tintype: rename it.`)
    await sleep(RETRY_MS, signal)
  }
}

/**
 * Throws `image_unsupported` when the image has no shell: its init would only end with 127. The container stays, for
 * whoever removes the instance.
 */
async function requireShell(
  api: EngineApi,
  { containerId }: RuntimeHandle,
  { imageUrl, signal }: { readonly imageUrl: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const message = `The image ${imageUrl} has no /bin/sh, which the first process of an instance needs: choose an image with a shell.`
  const refuse = (status: number) => (status === 404 ? new AppError('image_unsupported', message) : undefined)
  await api.call('HEAD', `/containers/${containerId}/archive`, { query: { path: '/bin/sh' }, refuse, signal })
}
