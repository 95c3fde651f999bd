import { AppError } from '#base/errors.ts'
import type { ImageBase } from '#oci/append-layers.ts'
import type { Repository } from '#registry/repository.ts'
import { LayerUploads, rawBytesWithin, type UploadedLayer } from '#snapshot/layer-uploads.ts'
import type { OpenCapture } from '#snapshot/open-capture.ts'
import { spoolError } from '#snapshot/spool.ts'
import type { StoredLayer } from '#snapshot/squash/read-layer.ts'
import { squashLayers } from '#snapshot/squash/squash-layers.ts'
import { isTooMuch, mostOfOurs, SQUASH_LIMITS, tooManyLayers, tooMuchSuperseded } from './choose-squash.ts'
import type { SealedIndex } from './keep-index.ts'
import { measureLayers } from './measure-layers.ts'
import { baseBelow, originalLayers, type ImageStack } from './stack.ts'

/** What a squash is decided by, and done with. */
interface Squash {
  readonly run: OpenCapture
  readonly stack: ImageStack
  /** Of the first base. */
  readonly below: readonly StoredLayer[]
  /** Ours: inherited from the container's image, of its chain, and new. */
  readonly ours: readonly StoredLayer[]
}

/**
 * The layers of the image as they are, or with all of ours merged into few where they are too many, or hold too much that is
 * no longer there (design.md §4.9). All of them are in the target; what is new is read from the spool, if that still has it. What an image shows
 * is the same either way: where layers of ours cannot be merged exactly, they stay, and a warning says why. Throws
 * `spool_full`, `blob_missing`, `registry_…`, `cancelled`.
 */
export async function squashChain(
  run: OpenCapture,
  stack: ImageStack,
  { base, sealed }: { readonly base: ImageBase; readonly sealed: SealedIndex | undefined },
): Promise<ImageStack> {
  const original = originalLayers(base)
  const all = storedLayers(run.options.target, stack)
  const squash = { run, stack, below: all.slice(0, original), ours: all.slice(original) }
  try {
    const hasInherited = base.layers.length > original
    const reason =
      tooManyLayers({ original, ours: squash.ours.length }, run.options.squash) ??
      (await whySuperseded(squash, hasInherited ? 1 : supersededShare(run, sealed)))
    if (reason === undefined) return stack
    const { made, uploadedBytes } = await merge(squash)
    const squashed = { layers: squash.ours.length, reason, uploadedBytes }
    return { base: baseBelow(base, original), earlier: [], made, squashed }
  } catch (error) {
    if (!(error instanceof AppError) || !leavesLayers(error, stack)) throw error
    run.warnings.push(`The layers of earlier snapshots stay as they are, for they cannot be merged: ${error.message}`)
    return stack
  }
}

/**
 * The image is right without. `layer_too_large`: a file of an earlier snapshot is too large for the limit that is set by now.
 * A spool that could not hold the new layers together cannot hold what they would be merged into.
 */
function leavesLayers({ code }: AppError, { made }: ImageStack): boolean {
  if (code === 'spool_full') return made.some(({ source }) => source.isReleased)
  return code === 'image_unsupported' || code === 'layer_too_large'
}

function storedLayers(target: Repository, { base, earlier, made }: ImageStack): readonly StoredLayer[] {
  const ofBase = base.layers.flatMap((descriptor, i) => {
    const diffID = base.config.diffIDs[i]
    return diffID === undefined ? [] : [{ descriptor, diffID, repository: target }]
  })
  return [
    ...ofBase,
    ...earlier.map(({ descriptor, diffID }) => ({ descriptor, diffID, repository: target })),
    ...made.map((layer) => ({
      descriptor: layer.descriptor,
      diffID: layer.diffID,
      repository: layer.source.isReleased ? target : inSpool(layer),
    })),
  ]
}

/** What the spool lends is copied: a decompressor has several pieces at once. */
function inSpool({ source }: UploadedLayer): StoredLayer['repository'] {
  return {
    async *openBlob(_descriptor, { signal } = {}) {
      for await (const piece of source.open(signal)) yield Buffer.from(piece)
    },
  }
}

/** Where nothing is inherited, the index tells how much of the layers' content is no longer there. */
function supersededShare({ mode }: OpenCapture, sealed: SealedIndex | undefined): number {
  if (!sealed) return 0 // full, and so nothing but what is there now
  const before = mode.mode === 'delta' ? mode.index.record.chain.writtenBytes : 0
  const written = before + sealed.writtenBytes
  return written === 0 ? 0 : Math.max(0, 1 - sealed.contentBytes / written)
}

/** Measures only where it could matter: `share` of what lies below the new layers may be superseded, and no more. */
async function whySuperseded({ run, stack, ours }: Squash, share: number): Promise<string | undefined> {
  const { options, signal, progress } = run
  const total = bytesOf(ours)
  const older = share === 1 ? total - bytesOf(stack.made) : total * share
  if (!isTooMuch({ total, superseded: older }, options.squash)) return undefined
  progress.startPass(progress.pass + 1, 'reading')
  let bytes = 0
  const onProgress = (count: number, files: number) =>
    progress.setReading({ bytes: (bytes += count), bytesTotal: total, files })
  return tooMuchSuperseded(await measureLayers(ours, { home: options.home, signal, onProgress }), options.squash)
}

const bytesOf = (layers: readonly Pick<StoredLayer, 'descriptor'>[]) =>
  layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0)

/** All layers of ours as few new ones in the target. */
async function merge({ run, below, ours }: Squash) {
  const { options, codec, spool, signal, progress } = run
  const uploads = new LayerUploads({
    target: options.target,
    spool: spool.squashed,
    mediaType: codec.mediaType,
    maxLayerBytes: options.maxLayerBytes,
    signal,
    onProgress: (bytes) => progress.setUploaded('squashed', bytes),
  })
  const firstPass = progress.pass
  try {
    await squashLayers({
      base: below,
      layers: ours,
      home: options.home,
      codec: codec.choice,
      frames: spool.squashed,
      signal,
      mostLayers: Math.ceil(mostOfOurs(below.length, options.squash ?? SQUASH_LIMITS) / 2),
      ...(options.workers !== undefined && { workers: options.workers }),
      ...(options.maxLayerBytes !== undefined && { mostLayerBytes: rawBytesWithin(options.maxLayerBytes) }),
      onProgress: ({ pass, members, bytes, bytesTotal }) => {
        if (progress.pass !== firstPass + pass) progress.startPass(firstPass + pass, 'reading')
        progress.setReading({ files: members, bytes, bytesTotal })
      },
      emit: (event) => {
        if (event.event === 'frame') spool.growSquashed(event.offset + event.size)
        uploads.onEvent(event)
      },
    })
    progress.setPhase('uploading')
    return { made: await uploads.finish(), uploadedBytes: uploads.uploadedBytes }
  } catch (cause) {
    await uploads.abandon(cause)
    throw spoolError(options.home, cause)
  }
}
