import type { Captured } from '#snapshot/result.ts'
import type { SnapshotDetail, SnapshotRecord } from '#store/snapshot-record.ts'
import type { SnapshotProgress } from './progress.ts'

/** All that is known of one snapshot. */
export interface SnapshotDetails {
  readonly snapshot: SnapshotRecord
  readonly progress: SnapshotProgress | undefined
  /** Absent until it is saved, and when the server that made it was lost before it could tell. */
  readonly result: Captured | undefined
}

/** Stored progress: this service wrote it. */
export function parseProgress(text: string | undefined): SnapshotProgress | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as SnapshotProgress)
}

/** What was stored, with the progress from memory where this server has a younger one. */
export function parseDetails(
  { progress, result, manifest: _, ...snapshot }: SnapshotDetail,
  present: SnapshotProgress | undefined,
): SnapshotDetails {
  return {
    snapshot,
    progress: present ?? parseProgress(progress),
    result: result === undefined ? undefined : (JSON.parse(result) as Captured),
  }
}
