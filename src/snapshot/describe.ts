import type { Descriptor } from '#oci/descriptor.ts'
import type { ChainLayer } from './chain/record.ts'
import type { ImageStack } from './chain/stack.ts'
import type { UploadedLayer } from './layer-uploads.ts'
import type { OpenCapture } from './open-capture.ts'
import type { PassesResult } from './passes-parts.ts'
import type { ReportEvent, SparseFile } from './protocol.ts'
import type { Captured, CapturedLayer, ResultPath } from './result.ts'
import type { Source } from './source.ts'

export interface CaptureParts {
  readonly stack: ImageStack
  readonly image: Descriptor
  readonly taken: PassesResult
  readonly report: ReportEvent
  readonly totalMs: number
  /** Why the freeze had no watch to go by. */
  readonly whyWalk: string | undefined
}

/** What a finished capture tells: sizes, times, and every path that is not in the image exactly as it was. */
export function describeCapture(
  run: OpenCapture,
  { stack, image, taken, report, totalMs, whyWalk }: CaptureParts,
): Captured {
  const { source, options, uploads, progress } = run
  const { earlier, made, squashed } = stack
  const sum = (of: (layer: UploadedLayer) => number) => made.reduce((total, layer) => total + of(layer), 0)
  return {
    reference: options.reference,
    digest: image.digest,
    baseReference: source.base.name,
    mode: run.mode.mode,
    modeReason: run.mode.reason,
    layers: [
      ...earlier.map((layer) => describeLayer(layer, true)),
      ...made.map((layer) => describeLayer(layer, false)),
    ],
    ...(squashed && { squashed: { layers: squashed.layers, reason: squashed.reason } }),
    files: progress.totalFiles,
    rawBytes: sum(({ rawBytes }) => rawBytes),
    compressedBytes: sum(({ descriptor }) => descriptor.size),
    uploadedBytes: uploads.uploadedBytes + (squashed?.uploadedBytes ?? 0),
    passes: taken.passes,
    frozenMs: round(taken.frozenMs),
    barrierMs: round(taken.barrierMs),
    freezeMethod: taken.freezeMethod,
    ...(taken.freezeMethod === 'walk' && whyWalk !== undefined && { freezeMethodReason: whyWalk }),
    totalMs: Math.round(totalMs),
    torn: report.torn.map(resultPath),
    skipped: report.skipped.map(({ path, reason }) => ({ path: resultPath(path), reason })),
    unsavedMounts: unsavedMounts(source),
    warnings: [...run.warnings, ...warningsOf(source, report), ...options.target.notices],
  }
}

function describeLayer({ descriptor, diffID, rawBytes }: Omit<ChainLayer, 'created'>, reused: boolean): CapturedLayer {
  return {
    digest: descriptor.digest,
    diffID,
    mediaType: descriptor.mediaType,
    sizeBytes: descriptor.size,
    rawBytes,
    reused,
  }
}

/** What a volume holds is not in the container's writable layer, and so not in the image. */
export function unsavedMounts(source: Source): readonly ResultPath[] {
  return source.mountPoints.filter(({ isVolume }) => isVolume).map(({ path }) => resultPath(path.toString('latin1')))
}

/** A byte path of the reader's (relative) or of a mount (absolute) as results give it. */
export function resultPath(bytePath: string): ResultPath {
  const bytes = Buffer.from(bytePath.startsWith('/') ? bytePath : `/${bytePath}`, 'latin1')
  const text = bytes.toString('utf8')
  return Buffer.from(text, 'utf8').equals(bytes) ? text : { base64: bytes.toString('base64') }
}

function warningsOf(source: Source, report: ReportEvent): readonly string[] {
  const warnings = report.unusedExclusions.map(
    (path) => `The exclusion ${Buffer.from(path, 'latin1').toString()} matches nothing that the container changed.`,
  )
  if (report.unmappedIds > 0) {
    warnings.push(
      `${report.unmappedIds} owners and groups of entries are ids outside of the container's user namespace; they are 65534 in the image.`,
    )
  }
  if (report.unnamed > 0) {
    warnings.push(`${report.unnamed} more paths are torn or left out than are named here: exclude what makes them.`)
  }
  if (!source.init) warnings.push('The container is stopped: it was saved as it lies on disk.')
  return [...warnings, ...sparseWarnings(report.sparse)]
}

/** Layers hold no holes (image-spec, layer.md): what is said of files that are mostly such. */
export function sparseWarnings(sparse: readonly SparseFile[]): readonly string[] {
  return sparse.map(({ path, bytes, storedBytes }) => {
    const sizes = `${(bytes / 2 ** 30).toFixed(1)} GiB, of which ${(storedBytes / 2 ** 20).toFixed(1)} MiB are on the disk`
    return `/${Buffer.from(path, 'latin1').toString()} has ${sizes}: an image has the rest as zeros, which take room on every host that pulls it. Exclude it, or make it smaller.`
  })
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
