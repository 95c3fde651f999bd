import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'

export interface CallOptions {
  readonly signal?: AbortSignal
}

/** Bytes that can be read from their start as often as an upload needs, also while they are still being made. */
export interface BlobSource {
  /**
   * A fresh reading from the first byte; it ends when the blob is complete. Rejects when the making of the blob fails.
   * Each piece is lent: its bytes may be others once the next one is asked for.
   */
  open(signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** Known once the last byte is made. */
  readonly descriptor: Promise<Descriptor>
  /** The descriptor is computed from the very bytes that `open` gives: nobody needs to hash them again. */
  readonly isHashed?: boolean
}

/**
 * One repository: in a registry, over the OCI distribution API, or in an OCI image layout on disk.
 * Small on purpose: a fake is thirty lines.
 */
export interface Repository {
  /** For people: `registry/repository`, or the layout's directory. Never a credential. */
  readonly name: string
  /** What users should read of the registry so far (its `Warning` headers, what it does not let us check), a sentence each, each once. */
  readonly notices: readonly string[]
  /** Whether the repository says that it has the blob (HEAD). After a garbage collection this may be wrong: see checkBlob. */
  hasBlob(digest: Digest, options?: CallOptions): Promise<boolean>
  /** Whether the first byte of the blob really arrives (attacks.md A10). An empty blob counts when it is known. */
  checkBlob(descriptor: Descriptor, options?: CallOptions): Promise<boolean>
  /** The blob's bytes; the end throws `digest_mismatch` if they were not the digest's. Throws `blob_missing`. */
  openBlob(descriptor: Descriptor, options?: CallOptions): AsyncIterable<Uint8Array>
  /** Take over a blob from a repository of the same registry (or layout) without sending it. False when refused, for whatever reason. */
  mountBlob(descriptor: Descriptor, from: Repository, options?: CallOptions): Promise<boolean>
  /** Upload a blob, while it is still being made if need be. Idempotent: a return means "the blob is there", not "we put it there". */
  pushBlob(blob: BlobSource, options?: PushOptions): Promise<Descriptor>
  /** The descriptor that a tag or digest stands for (HEAD), or undefined when there is none. */
  resolve(tagOrDigest: string, options?: CallOptions): Promise<Descriptor | undefined>
  /** A manifest's exact bytes, at most 4 MiB, digest verified. Throws `image_not_found`. */
  getManifest(
    tagOrDigest: string,
    options?: CallOptions,
  ): Promise<{ readonly descriptor: Descriptor; readonly bytes: Uint8Array }>
  /**
   * Put the manifest and, when given, move `tag` to it: the one step that a reader of the registry can see. `beforeRetry` is
   * asked each time before it is put again because the registry was busy or cut the connection: what was true may be no more.
   */
  putManifest(
    bytes: Uint8Array,
    mediaType: string,
    options?: CallOptions & { readonly tag?: string; readonly beforeRetry?: () => Promise<void> },
  ): Promise<Descriptor>
}

export interface PushOptions extends CallOptions {
  /** Bytes that have left, counted from the start again when an upload is repeated. */
  readonly onProgress?: (sentBytes: number) => void
}
