/** What instances live on: the interface between the service and an engine. Plain data goes in and comes out (design.md §5). */
import type { Proxies } from '#config/proxies.ts'
import type { Digest } from '#oci/digest.ts'
import type { Captured, Preview, Progress } from '#snapshot/result.ts'

/** Which container is an instance's. Kept in the store: any replica, and any later version, can go on with it. */
export interface RuntimeHandle {
  readonly kind: 'docker'
  readonly containerId: string
  readonly instanceId: string
}

/** What an instance is made of. */
export interface InstanceSpec {
  /** Letters, digits and hyphens: it becomes a part of names. */
  readonly instanceId: string
  /** As a reference: `registry/repository:tag` or `…@digest`. */
  readonly imageUrl: string
  /** For the pull of the image, and for nothing else. */
  readonly imageAuth?: Login
  /** The manifest that the tag has, as far as we know: an engine that has another one under it pulls again. */
  readonly imageDigest?: string
  /** Thousandths of a core. Absent: all cores of the host. */
  readonly cpuMilli?: number
  /** Absent: all memory of the host. */
  readonly memoryBytes?: number
  /** Size of /dev/shm. Absent: what the engine gives, 64 MiB. */
  readonly shmBytes?: number
  readonly gpus?: GpuRequest
  readonly environment: Readonly<Record<string, string>>
  /** A script that runs beside the image's own command at every start. */
  readonly onStart?: string
  readonly binds: readonly Bind[]
  /** The volume that is kept at /mnt/workspace; made if there is none of this name. */
  readonly workspaceVolume: string
  readonly labels: Readonly<Record<string, string>>
  /** What JupyterLab asks its users for. */
  readonly accessToken: string
  /** Where JupyterLab is found from outside: `/dsw-1234/`. */
  readonly basePath: string
}

export interface Login {
  readonly username: string
  readonly password: string
}

export interface GpuRequest {
  readonly count: number
  /** A part of the model's name, in any case: `V100`. */
  readonly type?: string
}

/** A directory of the host in an instance. */
export interface Bind {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

/** What stays as it is is left out. A limit can be changed, not taken away. */
export interface RuntimeChanges {
  readonly cpuMilli?: number
  readonly memoryBytes?: number
  /** Empty: none. */
  readonly onStart?: string
}

/** A pull, over all layers that are on their way; the total grows as the engine learns of them. */
export interface PullProgress {
  readonly phase: 'pulling'
  readonly bytes: number
  readonly bytesTotal: number
}

export interface RuntimeState {
  readonly status: 'created' | 'running' | 'paused' | 'exited'
  /** Of the last run. */
  readonly exitCode?: number
  /** The kernel ended it because its memory was used up. */
  readonly isOutOfMemory: boolean
  /** When the present run, or the last one, began and ended. */
  readonly startedMs?: number
  readonly finishedMs?: number
  /** Where JupyterLab is reached from the host, if the instance has a network. */
  readonly ip?: string
}

/**
 * `connected`: from here on events are told. It comes first and after every interruption: look at all instances then,
 * what happened in between may not be told.
 */
export type RuntimeEvent =
  | { readonly type: 'connected'; readonly timeMs: number }
  | {
      readonly type: 'started' | 'exited' | 'out_of_memory' | 'paused' | 'unpaused' | 'removed'
      readonly instanceId: string
      readonly containerId: string
      readonly timeMs: number
      /** With `exited`. */
      readonly exitCode?: number
    }

/** Shares are of what the instance may use: its limit, else the whole host. Rates are means since the reading before. */
export interface RuntimeStats {
  readonly timeMs: number
  readonly cpuPercent: number
  readonly memoryBytes: number
  readonly memoryPercent: number
  readonly netInBytesPerSecond: number
  readonly netOutBytesPerSecond: number
  readonly diskReadBytesPerSecond: number
  readonly diskWriteBytesPerSecond: number
}

export interface LogOptions {
  /** `system`: what OnStart prints, and what became of the processes of the instance. `container`: what the image's command prints. */
  readonly source: 'system' | 'container'
  /** The last so many lines. */
  readonly tail: number
  readonly sinceMs?: number
}

export interface HostFacts {
  readonly cores: number
  readonly memoryBytes: number
  readonly gpus: readonly Gpu[]
}

export interface Gpu {
  /** `NVIDIA A100-SXM4-40GB` */
  readonly model: string
  readonly memoryBytes: number
}

/** A registry that may be spoken to. Any other is refused, whatever names it. */
export interface RegistryAccess {
  /** `host` or `host:port`, as it stands in references; `docker.io` for Docker Hub. */
  readonly host: string
  /** Absent: https, but on loopback what the registry answers to. */
  readonly plainHttp?: boolean
  /** False: never at a private address. Absent: as design.md §4.6, where the registry itself is. */
  readonly allowPrivate?: boolean
  /** TINTYPE_TRUSTED_HOSTS */
  readonly trustedHosts?: readonly string[]
  readonly proxies?: Proxies
  readonly login?: Login
}

export interface CaptureRequest {
  readonly captureId: string
  /** `registry/repository:tag` */
  readonly reference: string
  readonly name?: string
  readonly description?: string
  readonly labels: Readonly<Record<string, string>>
  readonly exclusions: readonly string[]
  readonly overwrite: boolean
  readonly compression: 'auto' | 'zstd' | 'gzip' | 'none'
  readonly full: boolean
  readonly maxFreezeMs?: number
  /** `others` may hold the base image. */
  readonly registries: { readonly target: RegistryAccess; readonly others: readonly RegistryAccess[] }
}

/**
 * `thawed`: the container runs again, and its state is taken. `manifest`: everything is in the registry but this; it is
 * put once `confirmManifest` was called, and never before.
 */
export type CaptureEvent =
  | ({ readonly type: 'progress' } & Progress)
  | { readonly type: 'thawed' }
  | { readonly type: 'manifest'; readonly digest: Digest; readonly mediaType: string; readonly manifest: string }

/** One capture on its way. Closing it cancels it, and returns when nothing of it is left. */
export interface CaptureRun extends AsyncDisposable {
  /** For one reader; it ends when the capture has. Of progress that was not read in time only the latest is kept. */
  readonly events: AsyncIterable<CaptureEvent>
  /** Rejects with the AppError that the capture ended with; `retry` of it says whether the same request may succeed later. */
  readonly result: Promise<Captured>
  /** Thaw and tidy up; `result` rejects with `cancelled`. Does nothing once the capture has ended. */
  cancel(): void
  /** The answer to `manifest`. */
  confirmManifest(): void
}

/** Every call throws `engine_unavailable`, `permission_denied`, and `cancelled` when its signal fires. */
export interface Runtime {
  /**
   * The instance's container, made but not started; its image is pulled if the engine has not got it. Again with the same
   * id it is the one that is there. Throws `image_not_found`, `registry_denied`, `registry_unavailable`,
   * `image_unsupported`, `parameter_invalid`, `insufficient_resource`.
   */
  create(
    spec: InstanceSpec,
    signal?: AbortSignal,
    onProgress?: (progress: PullProgress) => void,
  ): Promise<RuntimeHandle>
  /** What `create` would need beside the instance itself is there, its image pulled. Throws as `create`. */
  prepare(spec: InstanceSpec, signal?: AbortSignal, onProgress?: (progress: PullProgress) => void): Promise<void>
  /** Fine when it runs already. Throws `container_not_found`, `insufficient_resource`, `parameter_invalid`. */
  start(handle: RuntimeHandle, signal?: AbortSignal): Promise<void>
  /**
   * Change what needs no new container, so that the writable layer stays: limits at once, OnStart from the next start on.
   * Throws `container_not_found`, `insufficient_resource`.
   */
  update(handle: RuntimeHandle, changes: RuntimeChanges, signal?: AbortSignal): Promise<void>
  /** Asks its processes to end, and ends them after the grace. Fine when it is stopped, or gone. */
  stop(handle: RuntimeHandle, options: { readonly graceSeconds: number }, signal?: AbortSignal): Promise<void>
  /**
   * Every container of the instance, also one that nobody has noted, with its writable layer and its files on the host;
   * `volumes`: and with what is in /mnt/workspace. Fine when there is none.
   */
  remove(instanceId: string, options: { readonly volumes: boolean }, signal?: AbortSignal): Promise<void>
  /** Undefined: there is no such container. */
  inspect(handle: RuntimeHandle, signal?: AbortSignal): Promise<RuntimeState | undefined>
  find(instanceId: string, signal?: AbortSignal): Promise<RuntimeHandle | undefined>
  /** The containers of all instances that run, also paused ones, and also of those that another installation has on this engine. */
  running(signal?: AbortSignal): Promise<readonly RuntimeHandle[]>
  /** What happens to all instances, until the signal fires; an engine that is away is waited for. */
  watch(signal: AbortSignal): AsyncIterable<RuntimeEvent>
  /** Undefined: it does not run. The first reading of an instance takes a second. */
  stats(handle: RuntimeHandle, signal?: AbortSignal): Promise<RuntimeStats | undefined>
  /** Oldest first. Empty when the container is gone. */
  logs(handle: RuntimeHandle, options: LogOptions, signal?: AbortSignal): Promise<readonly string[]>
  host(signal?: AbortSignal): Promise<HostFacts>
  /** Save a running instance, in a process of its own that does not outlive ours. Returns at once. */
  startCapture(handle: RuntimeHandle, request: CaptureRequest): CaptureRun
  /** What a capture would take. Throws as `tintype preview`. */
  preview(handle: RuntimeHandle, exclusions: readonly string[], signal?: AbortSignal): Promise<Preview>
}

/** Where JupyterLab listens in an instance: beside the 8888 which an image's own server takes. */
export const JUPYTER_PORT = 18_888
