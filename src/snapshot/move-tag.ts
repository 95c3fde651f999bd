/** The last step of what makes an image: the blobs are looked at once more, and the tag moves. */
import { abortLater, throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { Composed } from '#oci/append-layers.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { isForeignLayer } from '#oci/manifest.ts'
import type { BlobSource, Repository } from '#registry/repository.ts'

/** A registry that has not taken a manifest by then is not waited for by somebody who has cancelled. */
const PUT_LIMIT_MS = 5000

/** Docker 20.10 refuses to pull more with "max depth exceeded" (attacks.md B9). */
const MOST_LAYERS = 125

/** Throws `limit_exceeded` for an image that an engine could not pull. */
export function requireFewLayers(count: number): void {
  if (count <= MOST_LAYERS) return
  throw new AppError(
    'limit_exceeded',
    `The image would have ${count} layers, and engines take ${MOST_LAYERS}: start the container from an image with fewer, or squash it onto one.`,
    { details: { layers: count, most: MOST_LAYERS } },
  )
}

/** A document that is in memory, as a blob to push. */
export function blobOf({ descriptor, bytes }: Composed): BlobSource {
  return {
    descriptor: Promise.resolve(descriptor),
    async *open() {
      yield bytes
    },
  }
}

/**
 * Those of which no byte arrives: a registry may say yes to what its garbage collection has taken (attacks.md A10). Layers
 * that must not be distributed are in no registry, and are not asked for.
 */
export async function missingBlobs(
  target: Repository,
  blobs: readonly Descriptor[],
  signal: AbortSignal,
): Promise<readonly Descriptor[]> {
  const ours = blobs.filter((blob) => !isForeignLayer(blob))
  const there = await Promise.all(ours.map((blob) => target.checkBlob(blob, { signal })))
  return ours.filter((_, i) => there[i] === false)
}

/** Throws `blob_missing` where one of them is lost although it was sent again. */
export async function requireNoneMissing(
  target: Repository,
  blobs: readonly Descriptor[],
  signal: AbortSignal,
): Promise<void> {
  const [still] = await missingBlobs(target, blobs, signal)
  if (!still) return
  const message = `${target.name} loses blobs (${still.digest}): is a garbage collection running? Try again after it.`
  throw new AppError('blob_missing', message, { details: { digest: still.digest } })
}

export interface TagMove {
  readonly target: Repository
  readonly tag: string
  /** As it is reported. */
  readonly reference: string
  readonly manifest: Composed
  /** Looks at the tag right before each put (design.md §4.8). Throws `tag_exists` when it may not move. */
  readonly requireFree: (signal: AbortSignal) => Promise<void>
  /** Sends again what the registry says that it misses only now. */
  readonly sendAgain: () => Promise<void>
  readonly signal: AbortSignal
}

/**
 * Put the manifest under the tag, and ask what the tag stands for now: the digest is verified. Once this has begun, a cancel
 * could not say whether the tag has moved: it is ended, and told as it is. Throws `cancelled` before that, `tag_exists`,
 * `digest_mismatch`, `blob_missing`, `registry_…`.
 */
export async function moveTag(move: TagMove): Promise<Descriptor> {
  const { target, tag, reference, manifest, requireFree, sendAgain, signal } = move
  const { bytes, descriptor } = manifest
  await requireFree(signal)
  throwIfAborted(signal)
  const ending = abortLater(signal, PUT_LIMIT_MS)
  const beforeRetry = () => requireFree(ending)
  const put = () => target.putManifest(bytes, descriptor.mediaType, { tag, signal: ending, beforeRetry })
  try {
    await put()
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'blob_missing') throw error
    await sendAgain()
    await requireFree(ending) // sending again may have taken minutes
    await put()
  }
  const found = await target.resolve(tag, { signal: ending })
  if (found?.digest === descriptor.digest) return descriptor
  throw new AppError(
    'digest_mismatch',
    `${reference} is ${found?.digest ?? 'not there'} after it was put as ${descriptor.digest}: someone else has moved the tag.`,
    { details: { reference, digest: descriptor.digest, found: found?.digest ?? '' } },
  )
}
