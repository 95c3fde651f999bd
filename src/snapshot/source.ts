import type { Digest, DiffID } from '#oci/digest.ts'
import type { Freezer, InitProcess } from '#freezer/freezer.ts'
import type { IdRange } from '#overlay/id-map.ts'

export type { IdRange }

/** What the engine needs to know of a container (design.md §4.1). Plain data, but for what only its engine can do. */
export interface Source {
  readonly containerId: string
  /** For people and messages. */
  readonly containerName: string
  /** Absent when the container is stopped. */
  readonly init?: InitProcess
  /** Absent when the container is stopped: nothing to freeze. */
  readonly freezer?: Freezer
  /** Host path, absolute, below the engine's root. */
  readonly upperdir: string
  /** The overlay keeps its attributes as `user.overlay.*` (mount option `userxattr`). */
  readonly userXattr?: boolean
  /** Paths in the container at which something is mounted now, raw bytes, `/` itself left out. */
  readonly mountPoints: readonly MountPoint[]
  /** Host ids to image ids; empty when they are the same. */
  readonly uidMap: readonly IdRange[]
  readonly gidMap: readonly IdRange[]
  readonly base: BaseImage
  /** For a stopped container: throws `container_gone` when it has been started or removed since. */
  assertStopped?(signal: AbortSignal): Promise<void>
}

export interface MountPoint {
  readonly path: Buffer
  /** Something the user may take for a part of the container (a volume, a bind mount, a tmpfs): named in the result. */
  readonly isVolume: boolean
}

/** The image that the container runs on, named by digest, never by a tag. */
export interface BaseImage {
  /** What the user called it (`python:3.12`): for annotations and messages only. */
  readonly name: string
  /** Where a registry may have it: repository and manifest digest. May be an index, and may be empty. */
  readonly repoDigests: readonly RepoDigest[]
  /** The digest of its config where the engine knows that (overlay2: the image id). A manifest whose config differs is not this base. */
  readonly configDigest?: Digest
  /** The digest of its manifest where the engine knows that (containerd store). */
  readonly manifestDigest?: Digest
  /** The diffIDs of its layers, base first. */
  readonly diffIDs: readonly DiffID[]
  /** So many of them are of the first base: the others are of snapshots before, as the image's labels say. */
  readonly originalLayers: number
  /** `linux/amd64`: which manifest of an index. */
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string }
  /** The image out of the engine, for images that are in no registry. Throws `base_not_found`. */
  export(signal?: AbortSignal): Promise<ExportedImage>
}

export interface RepoDigest {
  /** `registry/repository`, normalised (`docker.io/library/python`). */
  readonly repository: string
  readonly digest: Digest
}

/** An image as the engine exported it: its config and, in order, its layers as they came (uncompressed tars, or compressed blobs). */
export interface ExportedImage {
  readonly config: Uint8Array
  /** Each must be read to its end before the next one is asked for. */
  layers(): AsyncIterable<{ readonly bytes: AsyncIterable<Uint8Array>; readonly mediaType: string }>
}
