import { writeSnapshot } from '#http/dsw/snapshots.ts'
import type { SnapshotDetails } from '#service/snapshots/details.ts'
import type { SnapshotProgress } from '#service/snapshots/progress.ts'
import type { SnapshotEvent } from '#service/snapshots/watch.ts'
import type { Captured, Preview, ResultPath } from '#snapshot/result.ts'

/** A path that is not UTF-8 is given by its bytes: no JSON text could say it. */
const writePath = (path: ResultPath) => (typeof path === 'string' ? { Path: path } : { PathBase64: path.base64 })

const writePaths = (paths: readonly ResultPath[]) => paths.map(writePath)

const writeSkipped = (skipped: Captured['skipped']) =>
  skipped.map(({ path, reason }) => ({ ...writePath(path), Reason: reason }))

const writeSized = (sized: Preview['largestDirectories']) =>
  sized.map(({ path, bytes, entries }) => ({ ...writePath(path), Bytes: bytes, Entries: entries }))

/** What a snapshot would take. */
export function writePreview(instanceId: string, preview: Preview) {
  return {
    BaseReference: preview.baseReference,
    ...(preview.changed && { Changed: { Entries: preview.changed.entries, RawBytes: preview.changed.rawBytes } }),
    Entries: preview.entries,
    Excluded: writeSized(preview.excluded),
    InstanceId: instanceId,
    LargestDirectories: writeSized(preview.largestDirectories),
    LargestFiles: preview.largestFiles.map(({ path, bytes }) => ({ ...writePath(path), Bytes: bytes })),
    LikelySecrets: writePaths(preview.likelySecrets),
    Mode: preview.mode,
    ModeReason: preview.modeReason,
    RawBytes: preview.rawBytes,
    Skipped: writeSkipped(preview.skipped),
    ...(preview.squash && { Squash: { Layers: preview.squash.layers, Reason: preview.squash.reason } }),
    TotalMs: Math.round(preview.totalMs),
    UnsavedMounts: writePaths(preview.unsavedMounts),
    Warnings: [...preview.warnings],
  }
}

function writeProgress(progress: SnapshotProgress) {
  const { bytesPerSecond, bytesTotal, filesTotal, secondsLeft } = progress
  return {
    Bytes: progress.bytes,
    ...(bytesPerSecond !== undefined && { BytesPerSecond: bytesPerSecond }),
    ...(bytesTotal !== undefined && { BytesTotal: bytesTotal }),
    Files: progress.files,
    ...(filesTotal !== undefined && { FilesTotal: filesTotal }),
    Pass: progress.pass,
    Phase: progress.phase,
    ...(secondsLeft !== undefined && { RemainingMs: secondsLeft * 1_000 }),
    UploadedBytes: progress.uploadedBytes,
  }
}

function writeResult(result: Captured) {
  return {
    BarrierMs: result.barrierMs,
    BaseReference: result.baseReference,
    CompressedBytes: result.compressedBytes,
    Digest: result.digest,
    Files: result.files,
    FreezeMethod: result.freezeMethod,
    FrozenMs: result.frozenMs,
    Layers: result.layers.map(({ digest, diffID, mediaType, rawBytes, reused, sizeBytes }) => ({
      DiffId: diffID,
      Digest: digest,
      MediaType: mediaType,
      RawBytes: rawBytes,
      Reused: reused,
      SizeBytes: sizeBytes,
    })),
    Mode: result.mode,
    ModeReason: result.modeReason,
    Passes: result.passes,
    RawBytes: result.rawBytes,
    Reference: result.reference,
    Skipped: writeSkipped(result.skipped),
    ...(result.squashed && { Squashed: { Layers: result.squashed.layers, Reason: result.squashed.reason } }),
    Torn: writePaths(result.torn),
    TotalMs: result.totalMs,
    UnsavedMounts: writePaths(result.unsavedMounts),
    UploadedBytes: result.uploadedBytes,
    Warnings: [...result.warnings],
  }
}

/** All that is known of a snapshot. */
export function writeDetails({ snapshot, progress, result }: SnapshotDetails) {
  return {
    ...writeSnapshot(snapshot),
    Origin: snapshot.origin,
    Overwrite: snapshot.overwrite,
    ...(progress && { Progress: writeProgress(progress) }),
    ...(result && { Result: writeResult(result) }),
    ScheduleId: snapshot.scheduleId ?? '',
    SnapshotDescription: snapshot.description,
    UserId: snapshot.userId,
  }
}

/** The data of one event. */
export function writeEvent({ snapshot, progress }: SnapshotEvent) {
  return {
    ImageId: snapshot.imageId,
    ImageUrl: snapshot.imageUrl,
    InstanceId: snapshot.instanceId,
    ReasonCode: snapshot.reasonCode,
    ReasonMessage: snapshot.reasonMessage,
    SnapshotId: snapshot.snapshotId,
    SnapshotName: snapshot.name,
    Status: snapshot.status,
    ...(progress && { Progress: writeProgress(progress) }),
  }
}
