import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { originalBase } from '#oci/config.ts'
import type { OriginalBase } from '#oci/config.ts'
import { replaceLayers } from '#oci/replace-layers.ts'
import type { Repository } from '#registry/repository.ts'
import { chooseCodec } from '#snapshot/choose-codec.ts'
import { LayerUploads, rawBytesWithin } from '#snapshot/layer-uploads.ts'
import type { UploadedLayer } from '#snapshot/layer-uploads.ts'
import type { CapturedLayer, Progress } from '#snapshot/result.ts'
import { spoolError } from '#snapshot/spool.ts'
import { openFramesFile } from './frames-file.ts'
import { publishSquashed, refuseTaken } from './publish-squashed.ts'
import type { Destination } from './publish-squashed.ts'
import { squashLayers } from './squash-layers.ts'
import { readImage, requireBuiltOn } from './stored-image.ts'
import type { FoundImage } from './stored-image.ts'

export interface SquashOptions extends Destination {
  /** What is squashed: a tag or digest in a repository, and how the user writes it. */
  readonly image: NamedImage
  /** Its layers stay, those above become one; undefined: what the image itself says it was built on. */
  readonly onto?: NamedImage
  /** TINTYPE_HOME: spool and caches. */
  readonly home: string
  readonly compression: 'auto' | 'zstd' | 'gzip' | 'none'
  readonly level?: number
  readonly zstdEverywhere: boolean
  readonly workers?: number
  readonly spoolBytes?: number
  /** The most of one layer as the registry stores it. */
  readonly maxLayerBytes?: number
  readonly signal: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface NamedImage {
  readonly repository: Repository
  readonly tagOrDigest: string
  readonly text: string
}

/** What `--json` prints. */
export interface Squashed {
  readonly reference: string
  readonly digest: string
  readonly sourceReference: string
  readonly sourceDigest: string
  /** Of the image whose layers stayed, where it is known. */
  readonly baseDigest?: string
  readonly baseLayers: number
  /** How many layers became those below. */
  readonly squashedLayers: number
  readonly layers: readonly CapturedLayer[]
  readonly files: number
  readonly rawBytes: number
  readonly compressedBytes: number
  readonly uploadedBytes: number
  readonly totalMs: number
  readonly warnings: readonly string[]
}

/**
 * Merge the layers that lie above an image's base into one (design.md §4.9), and put the image: the base's layers are
 * taken over, never read to be sent. Nothing is seen in the registry before the manifest is put. Throws AppError.
 */
export async function squash(options: SquashOptions): Promise<Squashed> {
  const startMs = systemClock.monotonicMs()
  const codec = chooseCodec(options)
  await refuseTaken(options, options.signal)
  const { image, base, warnings } = await findParts(options)
  requireOnePlatform(options, image)
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  await using spool = await openFramesFile(options.home, options.spoolBytes)
  const meter = new Meter(options.onProgress)
  const uploads = new LayerUploads({
    target: options.target,
    spool: spool.frames,
    mediaType: codec.mediaType,
    maxLayerBytes: options.maxLayerBytes,
    signal,
    onProgress: (bytes) => meter.update({ uploadedBytes: bytes }),
  })
  try {
    await mergeInto(options, {
      image,
      keptLayers: base?.layers ?? 0,
      spool,
      uploads,
      codec: codec.choice,
      signal,
      meter,
    })
    meter.update({ phase: 'uploading' })
    const uploaded = await uploads.finish()
    meter.update({ phase: 'finishing' })
    const parts = { ...image, base, uploaded }
    const imageDigest = await publishSquashed(compose(parts), { ...options, source: image, uploaded, signal })
    return describe(options, {
      ...parts,
      imageDigest,
      files: meter.files,
      uploads,
      startMs,
      warnings: [...codec.warnings, ...warnings],
    })
  } catch (error) {
    stop.abort(error)
    throw error
  } finally {
    await uploads.abandon(new AppError('cancelled', 'The squash has ended.'))
  }
}

interface Base extends OriginalBase {
  readonly name?: string
}

/** The image, and what of it stays. */
async function findParts({ image: named, onto, signal }: SquashOptions) {
  const image = await readImage(named.repository, named.tagOrDigest, { signal })
  const total = image.manifest.layers.length
  const warnings: string[] = []
  let base: Base | undefined
  if (onto) {
    const below = await readImage(onto.repository, onto.tagOrDigest, { signal })
    requireBuiltOn(image, below, { image: named.text, base: onto.text })
    base = { layers: below.manifest.layers.length, digest: below.digest, name: onto.text }
  } else {
    base = originalBase(image.config)
    if (!base) {
      const remedy = 'name the image that should stay below with --onto'
      warnings.push(`The image does not say what it was built on: all its ${total} layers become one; ${remedy}.`)
    }
  }
  return { image, base, warnings }
}

/** An index of several platforms must not be replaced by one of its images. */
function requireOnePlatform({ isInPlace, reference }: SquashOptions, image: FoundImage): void {
  if (!isInPlace || image.namedDigest === image.digest) return
  throw new AppError(
    'image_unsupported',
    `${reference} is an index of several platforms, of which one is squashed at a time: name another TARGET.`,
  )
}

interface Merging {
  readonly image: FoundImage
  readonly keptLayers: number
  readonly spool: Awaited<ReturnType<typeof openFramesFile>>
  readonly uploads: LayerUploads
  readonly codec: ReturnType<typeof chooseCodec>['choice']
  readonly signal: AbortSignal
  readonly meter: Meter
}

async function mergeInto(options: SquashOptions, merging: Merging): Promise<void> {
  const { image, keptLayers, spool, uploads, codec, signal, meter } = merging
  const { config, manifest, repository } = image
  const stored = manifest.layers.flatMap((descriptor, i) => {
    const diffID = config.diffIDs[i]
    return diffID === undefined ? [] : [{ descriptor, diffID, repository }]
  })
  try {
    await squashLayers({
      base: stored.slice(0, keptLayers),
      layers: stored.slice(keptLayers),
      home: options.home,
      codec,
      frames: spool.frames,
      signal,
      ...(options.workers !== undefined && { workers: options.workers }),
      ...(options.maxLayerBytes !== undefined && { mostLayerBytes: rawBytesWithin(options.maxLayerBytes) }),
      onProgress: ({ pass, members, bytes, bytesTotal }) =>
        meter.update({ phase: 'reading', pass, files: members, bytes, bytesTotal }),
      emit: (event) => {
        if (event.event === 'frame') spool.grow(event.offset + event.size)
        if (event.event === 'frame') meter.files += event.files
        uploads.onEvent(event)
      },
    })
  } catch (cause) {
    throw spoolError(options.home, cause)
  }
}

interface Parts extends FoundImage {
  readonly base: Base | undefined
  readonly uploaded: readonly UploadedLayer[]
}

function compose({ uploaded, base, ...image }: Parts) {
  const keptLayers = base?.layers ?? 0
  const squashed = image.manifest.layers.length - keptLayers
  const layers = uploaded.map(({ descriptor, diffID }) => ({ descriptor, diffID }))
  return {
    ...replaceLayers(image, layers, {
      keptLayers,
      createdBy: 'tintype squash',
      comment: `${squashed} layers squashed`,
      ...(base && { base }),
    }),
    kept: image.manifest.layers.slice(0, keptLayers),
  }
}

interface Done extends Parts {
  readonly imageDigest: string
  readonly files: number
  readonly uploads: LayerUploads
  readonly startMs: number
  readonly warnings: readonly string[]
}

function describe(options: SquashOptions, done: Done): Squashed {
  const { base, uploaded, manifest } = done
  const keptLayers = base?.layers ?? 0
  const sum = (of: (layer: UploadedLayer) => number) => uploaded.reduce((total, layer) => total + of(layer), 0)
  return {
    reference: options.reference,
    digest: done.imageDigest,
    sourceReference: options.image.text,
    sourceDigest: done.namedDigest,
    ...(base?.digest !== undefined && { baseDigest: base.digest }),
    baseLayers: keptLayers,
    squashedLayers: manifest.layers.length - keptLayers,
    layers: uploaded.map(({ descriptor, diffID, rawBytes }) => ({
      digest: descriptor.digest,
      diffID,
      mediaType: descriptor.mediaType,
      sizeBytes: descriptor.size,
      rawBytes,
      reused: false,
    })),
    files: done.files,
    rawBytes: sum(({ rawBytes }) => rawBytes),
    compressedBytes: sum(({ descriptor }) => descriptor.size),
    uploadedBytes: done.uploads.uploadedBytes,
    totalMs: Math.round(systemClock.monotonicMs() - done.startMs),
    warnings: [...done.warnings, ...new Set([...options.image.repository.notices, ...options.target.notices])],
  }
}

/** Hands on the whole of what the parts report. */
class Meter {
  readonly #report: ((progress: Progress) => void) | undefined
  #state: Progress = { phase: 'reading', pass: 1, files: 0, bytes: 0, uploadedBytes: 0 }
  /** Members of the result. */
  files = 0

  constructor(report: ((progress: Progress) => void) | undefined) {
    this.#report = report
  }

  update(change: Partial<Progress>): void {
    this.#state = { ...this.#state, ...change }
    this.#report?.(this.#state)
  }
}
