import { AppError } from '#base/errors.ts'
import { parseDigest, parseDiffID, type Digest, type DiffID } from '#oci/digest.ts'
import { parseReference } from '#oci/reference.ts'
import type { RepoDigest } from '#snapshot/source.ts'
import { isObject, list, object, text, type Json } from './json.ts'

/** What an engine says of a container, as far as a capture asks. */
export interface ContainerInfo {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly isRunning: boolean
  readonly isPaused: boolean
  /** Restarting, dead, or being removed. */
  readonly isUnsteady: boolean
  readonly pid: number
  /** The engine's own text; another one after each start. */
  readonly startedAt: string
  readonly imageId: Digest
  /** What the user called the image. */
  readonly imageName: string
  /** The OCI runtime: `runc`, `runsc`, … */
  readonly runtime: string
  readonly storage: Storage
  /** containerd store only. */
  readonly manifest?: { readonly digest: Digest; readonly platform?: Platform }
  /** Where volumes, bind mounts and tmpfs are. */
  readonly volumes: readonly string[]
  /** A user namespace of its own, by this container's own configuration. */
  readonly usernsMode: string
  readonly hasIdMappings: boolean
}

/** Where an engine says that a container or an image is. Paths are absent with the containerd store. */
export interface Storage {
  readonly driver: string
  readonly upperdir?: string
  /** Topmost first. */
  readonly lowerdirs: readonly string[]
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

export interface ImageInfo {
  readonly repoDigests: readonly RepoDigest[]
  readonly diffIDs: readonly DiffID[] | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly storage: Storage
  readonly platform?: Platform
}

/** What an engine says of itself. */
export interface EngineInfo {
  readonly version: string
  /** Docker's `Docker Root Dir`, Podman's `Root Dir`. */
  readonly root: string
  /** `overlay2`, `overlay` (Podman), `overlayfs` (containerd store), … */
  readonly driver: string
  readonly isRootless: boolean
  /** All containers have a user namespace unless they say otherwise (`userns-remap`). */
  readonly hasUserns: boolean
  /** Programs of the OCI runtimes by their name. */
  readonly runtimes: Readonly<Record<string, string>>
  /** Hosts and networks (CIDR) that the engine speaks to without TLS. */
  readonly insecureRegistries: readonly string[]
}

/** The answer of `GET /containers/ID/json`. Throws `engine_unavailable` for one that is no inspect. */
export function parseContainer(value: unknown): ContainerInfo {
  const inspect = object(value)
  const state = object(inspect.State)
  const host = object(inspect.HostConfig)
  const manifest = inspect.ImageManifestDescriptor
  const status = text(state.Status)
  return {
    id: required(inspect.Id, 'Id'),
    name: required(inspect.Name, 'Name').replace(/^\//, ''),
    status,
    isRunning: state.Running === true,
    isPaused: state.Paused === true,
    isUnsteady: state.Restarting === true || state.Dead === true || status === 'removing' || status === 'dead',
    pid: typeof state.Pid === 'number' ? state.Pid : 0,
    startedAt: text(state.StartedAt),
    imageId: parseId(required(inspect.Image, 'Image')),
    imageName: text(object(inspect.Config).Image) || required(inspect.Image, 'Image'),
    runtime: text(inspect.OCIRuntime) || text(host.Runtime),
    storage: parseStorage(inspect.GraphDriver, text(inspect.Driver)),
    ...(isObject(manifest) && { manifest: parseManifest(manifest) }),
    volumes: [
      ...list(inspect.Mounts).map((mount) => text(object(mount).Destination)),
      ...Object.keys(object(host.Tmpfs)),
    ],
    usernsMode: text(host.UsernsMode),
    hasIdMappings: isObject(host.IDMappings),
  }
}

/** The answer of `GET /images/ID/json`. */
export function parseImage(value: unknown): ImageInfo {
  const inspect = object(value)
  const layers = object(inspect.RootFS).Layers
  const platform = parsePlatform({ os: inspect.Os, architecture: inspect.Architecture, variant: inspect.Variant })
  return {
    repoDigests: list(inspect.RepoDigests).flatMap((each) => parseRepoDigest(text(each)) ?? []),
    diffIDs: Array.isArray(layers) ? layers.map((each) => parseDiffID(text(each))) : undefined,
    labels: parseLabels(object(inspect.Config).Labels),
    storage: parseStorage(inspect.GraphDriver, ''),
    ...(platform && { platform }),
  }
}

function parseLabels(value: unknown): ImageInfo['labels'] {
  return Object.fromEntries(Object.entries(object(value)).map(([key, label]) => [key, text(label)]))
}

/** The answer of `GET /info`. */
export function parseInfo(value: unknown): EngineInfo {
  const info = object(value)
  const security = list(info.SecurityOptions).map(text)
  const config = object(info.RegistryConfig)
  const hosts = Object.entries(object(config.IndexConfigs)).filter(([, index]) => object(index).Secure === false)
  return {
    version: text(info.ServerVersion),
    root: required(info.DockerRootDir, 'DockerRootDir'),
    driver: text(info.Driver),
    isRootless: security.some((option) => option.startsWith('name=rootless')),
    hasUserns: security.some((option) => option.startsWith('name=userns')),
    runtimes: Object.fromEntries(
      Object.entries(object(info.Runtimes)).map(([name, runtime]) => [name, runtimeProgram(object(runtime))]),
    ),
    insecureRegistries: [...hosts.map(([host]) => host), ...list(config.InsecureRegistryCIDRs).map(text)],
  }
}

function runtimeProgram(runtime: Json): string {
  return text(runtime.path) || text(runtime.runtimeType)
}

function parseStorage(graphDriver: unknown, driver: string): Storage {
  const { Name, Data } = object(graphDriver)
  const { UpperDir, LowerDir } = object(Data)
  return {
    driver: text(Name) || driver,
    ...(text(UpperDir) && { upperdir: text(UpperDir) }),
    lowerdirs: text(LowerDir)
      .split(':')
      .filter((path) => path !== ''),
  }
}

function parseManifest(descriptor: Json): { readonly digest: Digest; readonly platform?: Platform } {
  const platform = parsePlatform(object(descriptor.platform))
  return { digest: parseDigest(text(descriptor.digest)), ...(platform && { platform }) }
}

function parsePlatform({ os, architecture, variant }: Json): Platform | undefined {
  if (!text(os) || !text(architecture)) return undefined
  return { os: text(os), architecture: text(architecture), ...(text(variant) && { variant: text(variant) }) }
}

/** Undefined for a name that no registry can have (`<none>@sha256:…`, a local name in capitals). */
function parseRepoDigest(name: string): RepoDigest | undefined {
  try {
    const { registry, repository, digest } = parseReference(name)
    return digest && { repository: `${registry}/${repository}`, digest }
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

/** Docker writes `sha256:HEX`, Podman's own API the hex alone. */
function parseId(id: string): Digest {
  return parseDigest(id.includes(':') ? id : `sha256:${id}`)
}

function required(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new AppError(
    'engine_unavailable',
    `The container engine's answer has no ${name}: it is no Docker-compatible engine.`,
  )
}
