import type { Readable } from 'node:stream'
import { AppError } from '#base/errors.ts'
import type { Digest } from '#oci/digest.ts'
import { openApi, streamOf } from './api.ts'
import {
  parseContainer,
  parseImage,
  parseInfo,
  type ContainerInfo,
  type EngineInfo,
  type ImageInfo,
} from './inspect.ts'

/** What a capture asks of a Docker-compatible engine. All calls throw `engine_unavailable`, `permission_denied`, `cancelled`. */
export interface Engine {
  /** By name, id or the beginning of an id. Throws `container_not_found`. */
  inspectContainer(nameOrId: string): Promise<ContainerInfo>
  /** `name` is what the user calls it. Throws `base_not_found` when the image was removed. */
  inspectImage(id: Digest, name?: string): Promise<ImageInfo>
  info(): Promise<EngineInfo>
  /** The image as a tar stream (`docker save`). Throws `base_not_found`. */
  exportImage(id: Digest, signal?: AbortSignal): Promise<Readable>
}

/** moby's names (and its ids); everything else would be a path of another call. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** The engine behind a unix socket. */
export function openEngine(socketPath: string, signal?: AbortSignal): Engine {
  const api = openApi(socketPath, signal)
  const get = (path: string, { notFound, ...options }: GetOptions = {}) =>
    api.call('GET', path, { ...options, refuse: (status) => (status === 404 ? notFound : undefined) })
  return {
    async inspectContainer(name) {
      const message = `There is no container ${JSON.stringify(name)}: see 'docker ps --all'.`
      const notFound = new AppError('container_not_found', message)
      if (!NAME.test(name)) throw notFound
      return parseContainer(await get(`/containers/${name}/json`, { notFound }))
    },
    inspectImage: async (id, name) => parseImage(await get(`/images/${id}/json`, { notFound: noImage(id, name) })),
    info: async () => parseInfo(await get('/info')),
    exportImage: async (id, stop) =>
      streamOf(await get(`/images/${id}/get`, { isStream: true, notFound: noImage(id), signal: stop })),
  }
}

interface GetOptions {
  readonly notFound?: AppError
  readonly isStream?: boolean
  readonly signal?: AbortSignal | undefined
}

function noImage(id: Digest, name?: string): AppError {
  const image = name === undefined || name === id ? id : `${name} (${id})`
  const message = `The engine no longer has the image ${image} on which the container runs: bring exactly this one back with "docker pull" or "docker load".`
  return new AppError('base_not_found', message, { details: { image: id } })
}

/** What the engine at `socketPath` says of itself. Throws `engine_unavailable`, `permission_denied`, `cancelled`. */
export function engineInfo(socketPath: string, signal?: AbortSignal): Promise<EngineInfo> {
  return openEngine(socketPath, signal).info()
}

/**
 * The registries that the engine speaks to without TLS: hosts (with port) and networks as CIDR; loopback always is one.
 * Throws `engine_unavailable`, `permission_denied`, `cancelled`.
 */
export async function engineInsecureRegistries(socketPath: string, signal?: AbortSignal): Promise<readonly string[]> {
  const { insecureRegistries } = await engineInfo(socketPath, signal)
  return [...new Set([...insecureRegistries, 'localhost', '127.0.0.0/8', '::1/128'])]
}
