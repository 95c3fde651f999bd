import { AppError } from '#base/errors.ts'
import { appendLayers } from '#oci/append-layers.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { ImageStack } from './chain/stack.ts'
import { blobOf, missingBlobs, moveTag, requireFewLayers, requireNoneMissing } from './move-tag.ts'
import type { OpenCapture } from './open-capture.ts'
import type { PassesResult } from './passes-parts.ts'
import { prepareBase } from './prepare-base.ts'
import type { CaptureOptions } from './result.ts'

/** Say no before any work is done (design.md §4.8). Throws `tag_exists`. */
export async function refuseExistingTag({ target, tag, reference, overwrite, signal }: CaptureOptions): Promise<void> {
  if (overwrite) return
  const existing = await target.resolve(tag, signal ? { signal } : {})
  if (existing) throw tagExists(reference, existing)
}

function tagExists(reference: string, { digest }: Descriptor): AppError {
  return new AppError(
    'tag_exists',
    `${reference} exists already (${digest}): choose another tag, or add --overwrite to replace it.`,
    {
      details: { reference, digest },
    },
  )
}

export interface Parts {
  readonly stack: ImageStack
  readonly taken: PassesResult
}

/**
 * Compose config and manifest, make sure that the registry really has every blob, put the manifest, and ask what the tag
 * stands for now: the digest is verified. Throws `tag_exists`, `blob_missing`, `digest_mismatch`, `registry_…`.
 */
export async function publish(run: OpenCapture, { stack, taken }: Parts): Promise<Descriptor> {
  const { source, options, signal, progress } = run
  const { target, tag, reference } = options
  progress.setPhase('finishing')
  const { base, earlier, made } = stack
  requireFewLayers(base.layers.length + earlier.length + made.length)
  const image = appendLayers(base, [...earlier, ...made.map(({ descriptor, diffID }) => ({ descriptor, diffID }))], {
    created: createdOf(run, taken),
    createdBy: 'tintype snapshot',
    labels: options.labels,
    ...(isWholeBase(run, stack) && { baseName: source.base.name }),
    ...(options.name !== undefined && { title: options.name }),
    ...(options.description !== undefined && { description: options.description }),
  })
  await target.pushBlob(blobOf(image.config), { signal })
  await requireBlobs(run, stack)
  const { bytes, descriptor } = image.manifest
  await options.beforePut?.({ digest: descriptor.digest, mediaType: descriptor.mediaType, bytes })
  return moveTag({
    target,
    tag,
    reference,
    manifest: image.manifest,
    requireFree: (until) => requireFreeTag(options, descriptor, until),
    async sendAgain() {
      await target.pushBlob(blobOf(image.config), { signal })
      await requireBlobs(run, stack)
    },
    signal,
  })
}

/** What the image says as its time of creation, RFC 3339. */
export function createdOf({ options }: OpenCapture, taken: PassesResult): string {
  return new Date(options.createdMs ?? taken.takenAtMs).toISOString()
}

/** Whether the image that the container runs on is all below the other layers: after a squash its first layers are. */
function isWholeBase({ source }: OpenCapture, { base }: ImageStack): boolean {
  return base.layers.length === source.base.diffIDs.length
}

/** Look once more right before the tag moves: a tag that is our own image is no conflict. */
async function requireFreeTag(
  { target, tag, reference, overwrite }: CaptureOptions,
  ours: Descriptor,
  signal: AbortSignal,
): Promise<void> {
  if (overwrite) return
  const existing = await target.resolve(tag, { signal })
  if (existing && existing.digest !== ours.digest) throw tagExists(reference, existing)
}

/**
 * A registry may say yes to a blob that a garbage collection has taken (attacks.md A10): one byte of each must arrive. What
 * is missing is sent again, ours from the spool, the base's from where it came, and asked for once more.
 */
async function requireBlobs(run: OpenCapture, { base, earlier, made }: ImageStack): Promise<void> {
  const { target } = run.options
  const { signal } = run
  const ofChain = earlier.map(({ descriptor }) => descriptor)
  const ours = made.map(({ descriptor }) => descriptor)
  const lost = await missingBlobs(target, [...base.layers, ...ofChain, ...ours], signal)
  if (lost.length === 0) return
  await Promise.all(
    made.filter(({ descriptor }) => lost.includes(descriptor)).map(({ source }) => target.pushBlob(source, { signal })),
  )
  if (base.layers.some((layer) => lost.includes(layer))) await prepareBase(run)
  await requireNoneMissing(target, lost, signal)
}
