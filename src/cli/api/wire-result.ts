import type { ResponseOf } from '#contract/operations.ts'
import type { Captured, Preview, Progress, ResultPath } from '#snapshot/result.ts'

/** What the API answers, as the engine itself says it: so that both are shown in the same words. */

type Details = ResponseOf<'GetSnapshotDetails'>
type WirePreview = ResponseOf<'PreviewInstanceSnapshot'>

interface WirePath {
  readonly Path?: string
  readonly PathBase64?: string
}

const pathOf = ({ Path, PathBase64 = '' }: WirePath): ResultPath => Path ?? { base64: PathBase64 }
const skippedOf = (item: WirePath & { readonly Reason?: string }) => ({ path: pathOf(item), reason: item.Reason ?? '' })
const sizedOf = (item: WirePath & { readonly Bytes?: number; readonly Entries?: number }) => ({
  path: pathOf(item),
  bytes: item.Bytes ?? 0,
  entries: item.Entries ?? 0,
})
const modeOf = (mode: string | undefined) => (mode === 'delta' ? 'delta' : 'full')

const PHASES = ['locating', 'reading', 'frozen', 'uploading', 'finishing'] as const
const FREEZE_METHODS = ['walk', 'tracepoints', 'none'] as const

/** Undefined before there is any. */
export function progressOf(progress: Details['Progress']): Progress | undefined {
  const phase = PHASES.find((each) => each === progress?.Phase)
  if (!progress || !phase) return undefined
  const { Pass = 1, Files = 0, FilesTotal, Bytes = 0, BytesTotal, UploadedBytes = 0 } = progress
  return {
    phase,
    pass: Pass,
    files: Files,
    ...(FilesTotal !== undefined && { filesTotal: FilesTotal }),
    bytes: Bytes,
    ...(BytesTotal !== undefined && { bytesTotal: BytesTotal }),
    uploadedBytes: UploadedBytes,
  }
}

/** Undefined when nothing was saved. */
export function capturedOf({ Result, ImageUrl = '' }: Details): Captured | undefined {
  if (Result?.Digest === undefined) return undefined
  return {
    reference: Result.Reference ?? ImageUrl,
    digest: Result.Digest,
    baseReference: Result.BaseReference ?? '',
    mode: modeOf(Result.Mode),
    modeReason: Result.ModeReason ?? '',
    layers: (Result.Layers ?? []).map((layer) => ({
      digest: layer.Digest ?? '',
      diffID: layer.DiffId ?? '',
      mediaType: layer.MediaType ?? '',
      sizeBytes: layer.SizeBytes ?? 0,
      rawBytes: layer.RawBytes ?? 0,
      reused: layer.Reused ?? false,
    })),
    ...(Result.Squashed && {
      squashed: { layers: Result.Squashed.Layers ?? 0, reason: Result.Squashed.Reason ?? '' },
    }),
    files: Result.Files ?? 0,
    rawBytes: Result.RawBytes ?? 0,
    compressedBytes: Result.CompressedBytes ?? 0,
    uploadedBytes: Result.UploadedBytes ?? 0,
    passes: Result.Passes ?? 0,
    frozenMs: Result.FrozenMs ?? 0,
    barrierMs: Result.BarrierMs ?? 0,
    freezeMethod: FREEZE_METHODS.find((each) => each === Result.FreezeMethod) ?? 'walk',
    totalMs: Result.TotalMs ?? 0,
    torn: (Result.Torn ?? []).map(pathOf),
    skipped: (Result.Skipped ?? []).map(skippedOf),
    unsavedMounts: (Result.UnsavedMounts ?? []).map(pathOf),
    warnings: Result.Warnings ?? [],
  }
}

/** The preview of an instance. */
export function previewOf(answer: WirePreview): Preview {
  return {
    container: answer.InstanceId ?? '',
    baseReference: answer.BaseReference ?? '',
    mode: modeOf(answer.Mode),
    modeReason: answer.ModeReason ?? '',
    ...(answer.Changed && {
      changed: { entries: answer.Changed.Entries ?? 0, rawBytes: answer.Changed.RawBytes ?? 0 },
    }),
    ...(answer.Squash && { squash: { layers: answer.Squash.Layers ?? 0, reason: answer.Squash.Reason ?? '' } }),
    entries: answer.Entries ?? 0,
    rawBytes: answer.RawBytes ?? 0,
    largestDirectories: (answer.LargestDirectories ?? []).map(sizedOf),
    largestFiles: (answer.LargestFiles ?? []).map(sizedOf),
    excluded: (answer.Excluded ?? []).map(sizedOf),
    likelySecrets: (answer.LikelySecrets ?? []).map(pathOf),
    skipped: (answer.Skipped ?? []).map(skippedOf),
    unsavedMounts: (answer.UnsavedMounts ?? []).map(pathOf),
    warnings: answer.Warnings ?? [],
    totalMs: answer.TotalMs ?? 0,
  }
}
