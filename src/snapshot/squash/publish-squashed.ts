import { AppError } from '#base/errors.ts'
import type { Composed } from '#oci/append-layers.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Repository } from '#registry/repository.ts'
import { sendLayers } from '#snapshot/base-layers.ts'
import type { UploadedLayer } from '#snapshot/layer-uploads.ts'
import { blobOf, missingBlobs, moveTag, requireFewLayers, requireNoneMissing } from '#snapshot/move-tag.ts'
import type { FoundImage } from './stored-image.ts'

/** Where the squashed image goes. */
export interface Destination {
  readonly target: Repository
  readonly tag: string
  /** As it is reported. */
  readonly reference: string
  readonly overwrite: boolean
  /** It is the tag that is squashed: nobody may have moved it meanwhile. */
  readonly isInPlace: boolean
}

export interface PublishOptions extends Destination {
  /** The image that was read. */
  readonly source: FoundImage
  readonly uploaded: readonly UploadedLayer[]
  readonly signal: AbortSignal
}

export interface ComposedImage {
  readonly config: Composed
  readonly manifest: Composed
  /** The layers of the source that stay. */
  readonly kept: readonly Descriptor[]
}

/** Say no before any work is done (design.md §4.8). Throws `tag_exists`. */
export async function refuseTaken({ target, tag, reference, overwrite }: Destination, signal: AbortSignal) {
  if (overwrite) return
  const existing = await target.resolve(tag, { signal })
  if (existing) throw taken(reference, existing.digest)
}

function taken(reference: string, digest: string): AppError {
  const message = `${reference} exists already (${digest}): name another TARGET, or add --overwrite to replace it.`
  return new AppError('tag_exists', message, { details: { reference, digest } })
}

/**
 * Put the image: kept layers taken over, config pushed, each blob asked for by its first byte (attacks.md A10), the tag
 * looked at once more, the manifest put and its digest verified. Throws `tag_exists`, `blob_missing`, `digest_mismatch`,
 * `limit_exceeded`, `registry_…`.
 */
export async function publishSquashed(image: ComposedImage, options: PublishOptions): Promise<string> {
  const { target, tag, reference, source, uploaded, signal } = options
  const layers = [...image.kept, ...uploaded.map(({ descriptor }) => descriptor)]
  requireFewLayers(layers.length)
  await sendLayers(image.kept, { from: source.repository, target, send: () => ({}), signal })
  await target.pushBlob(blobOf(image.config), { signal })
  await requireBlobs(layers, options)
  const { manifest } = image
  const { digest } = await moveTag({
    target,
    tag,
    reference,
    manifest,
    requireFree: (until) => requireFreeTag(manifest.descriptor, options, until),
    async sendAgain() {
      await target.pushBlob(blobOf(image.config), { signal })
      await requireBlobs(layers, options)
    },
    signal,
  })
  return digest
}

/** What the registry has lost is sent again, ours from the spool, and asked for once more. */
async function requireBlobs(layers: readonly Descriptor[], { target, uploaded, source, signal }: PublishOptions) {
  const lost = await missingBlobs(target, layers, signal)
  if (lost.length === 0) return
  const again = uploaded.filter(({ descriptor }) => lost.includes(descriptor))
  await Promise.all(again.map(({ source: blob }) => target.pushBlob(blob, { signal })))
  const kept = lost.filter((layer) => !uploaded.some(({ descriptor }) => descriptor === layer))
  await sendLayers(kept, { from: source.repository, target, send: () => ({}), signal })
  await requireNoneMissing(target, lost, signal)
}

/** A tag that is ours already is no conflict; one that was squashed in place must still be what was read. */
async function requireFreeTag(ours: Descriptor, options: PublishOptions, signal: AbortSignal): Promise<void> {
  const { target, tag, reference, overwrite, source } = options
  const existing = await target.resolve(tag, { signal })
  if (!existing || existing.digest === ours.digest) return
  if (!overwrite) throw taken(reference, existing.digest)
  if (!options.isInPlace || existing.digest === source.namedDigest) return
  const message = `${reference} was moved to ${existing.digest} while it was squashed: run it again.`
  throw new AppError('tag_exists', message, { details: { reference, digest: existing.digest } })
}
