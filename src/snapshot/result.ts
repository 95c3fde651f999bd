import type { Digest } from '#oci/digest.ts'
import type { Repository } from '#registry/repository.ts'
import type { SquashLimits } from './chain/choose-squash.ts'

/** A path in the container; one that is not UTF-8 is given by its bytes. */
export type ResultPath = string | { readonly base64: string }

export interface CaptureOptions {
  /** Where the image goes. */
  readonly target: Repository
  /** `registry/repository:tag` or `oci:DIRECTORY:TAG`, as it is reported. */
  readonly reference: string
  readonly tag: string
  /** The repository that may hold the base image: same credentials and trust rules as the target. */
  readonly repositoryOf: (repository: string) => Promise<Repository>
  /** TINTYPE_HOME: spool, caches, locks. */
  readonly home: string
  readonly name?: string
  readonly description?: string
  readonly labels: Readonly<Record<string, string>>
  /** Absolute paths in the container, file or directory prefix, no globs. */
  readonly exclusions: readonly string[]
  readonly overwrite: boolean
  readonly compression: 'auto' | 'zstd' | 'gzip' | 'none'
  readonly level?: number
  /** TINTYPE_ZSTD=auto: every host that pulls reads zstd. */
  readonly zstdEverywhere: boolean
  readonly full: boolean
  readonly singlePass: boolean
  readonly freeze: boolean
  /** Undefined: 2 000, or with `singlePass` no budget. */
  readonly maxFreezeMs?: number
  /** False: the freeze walks, whatever the kernel can (TINTYPE_TRACEPOINTS=never). */
  readonly usesTracepoints?: boolean
  /** A delta of fewer rows walks; default 20 000, over which a walk takes less than a watch. */
  readonly walkedRows?: number
  /** What the image says as its time of creation, instead of the freeze: SOURCE_DATE_EPOCH, for images that can be made again. */
  readonly createdMs?: number
  readonly workers?: number
  readonly spoolBytes?: number
  /** A layer that would be more, as it is stored, ends the capture with `layer_too_large` (dsw-api §9 row 20). */
  readonly maxLayerBytes?: number
  /** When layers of ours are merged; default design.md §4.9. */
  readonly squash?: SquashLimits
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
  /** Called when the state that the image shows is taken; again only where a lost layer made a second capture necessary. */
  readonly onTaken?: () => void
  /** Called when everything else is in the registry: the manifest is put once this has resolved. A rejection ends the capture. */
  readonly beforePut?: (manifest: ComposedManifest) => Promise<void>
}

export interface ComposedManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly bytes: Uint8Array
}

export interface Progress {
  /** What is going on, in order: finding the container; a live pass; frozen; the rest on its way; manifest and checks. */
  readonly phase: 'locating' | 'reading' | 'frozen' | 'uploading' | 'finishing'
  /** 1, 2, … */
  readonly pass: number
  readonly files: number
  /** Known once the pass has been scanned. */
  readonly filesTotal?: number
  /** Bytes of layer tar. */
  readonly bytes: number
  readonly bytesTotal?: number
  readonly uploadedBytes: number
}

export interface CapturedLayer {
  readonly digest: string
  readonly diffID: string
  readonly mediaType: string
  readonly sizeBytes: number
  readonly rawBytes: number
  /** True for a layer that an earlier capture or the base image brought. */
  readonly reused: boolean
}

/** What `--json` prints (design.md §8: these names are fixed). */
export interface Captured {
  readonly reference: string
  readonly digest: string
  readonly baseReference: string
  readonly mode: 'full' | 'delta'
  readonly modeReason: string
  /** All layers above the base image; after a squash above the first base. */
  readonly layers: readonly CapturedLayer[]
  /** Set when all layers of earlier snapshots were merged with the new ones: how many they were, and why. */
  readonly squashed?: { readonly layers: number; readonly reason: string }
  readonly files: number
  readonly rawBytes: number
  readonly compressedBytes: number
  readonly uploadedBytes: number
  readonly passes: number
  readonly frozenMs: number
  readonly barrierMs: number
  readonly freezeMethod: 'walk' | 'tracepoints' | 'none'
  /** Why the freeze has walked; missing when it has not. */
  readonly freezeMethodReason?: string
  readonly totalMs: number
  readonly torn: readonly ResultPath[]
  readonly skipped: readonly { readonly path: ResultPath; readonly reason: string }[]
  readonly unsavedMounts: readonly ResultPath[]
  readonly warnings: readonly string[]
}

/** What `tintype preview --json` prints. */
export interface Preview {
  readonly container: string
  readonly baseReference: string
  readonly mode: 'full' | 'delta'
  readonly modeReason: string
  /** What a delta would take of the entries below; missing when the snapshot is to be full. */
  readonly changed?: { readonly entries: number; readonly rawBytes: number }
  /** Set when so many layers would be merged, and why. What they hold that is no longer there is not looked for. */
  readonly squash?: { readonly layers: number; readonly reason: string }
  readonly entries: number
  readonly rawBytes: number
  readonly largestDirectories: readonly {
    readonly path: ResultPath
    readonly bytes: number
    readonly entries: number
  }[]
  readonly largestFiles: readonly { readonly path: ResultPath; readonly bytes: number }[]
  readonly excluded: readonly { readonly path: ResultPath; readonly bytes: number; readonly entries: number }[]
  readonly likelySecrets: readonly ResultPath[]
  readonly skipped: readonly { readonly path: ResultPath; readonly reason: string }[]
  readonly unsavedMounts: readonly ResultPath[]
  readonly warnings: readonly string[]
  readonly totalMs: number
}
