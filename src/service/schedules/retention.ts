import { toAppError } from '#base/errors.ts'
import type { ScheduleRecord } from '#store/schedules.ts'
import type { SavedSnapshot } from '#store/snapshots.ts'
import type { SchedulesParts } from './parts.ts'

const DAY_MS = 24 * 3_600_000
const PAGE = 100

/**
 * Which of the saved ones, the newest first, are kept no longer: those beyond `keepLast`, and those older than
 * `keepDays`. The newest is always kept: a schedule that could not save for a while must not delete the only copy.
 */
export function tooMany(
  saved: readonly SavedSnapshot[],
  { keepLast, keepDays }: Pick<ScheduleRecord, 'keepLast' | 'keepDays'>,
  nowMs: number,
): readonly SavedSnapshot[] {
  const isTooOld = ({ createdMs }: SavedSnapshot) => keepDays !== undefined && nowMs - createdMs > keepDays * DAY_MS
  const isBeyond = (place: number) => keepLast !== undefined && place >= keepLast
  return saved.filter((snapshot, place) => place > 0 && (isBeyond(place) || isTooOld(snapshot)))
}

/** Delete what schedules keep no longer, with the images. What cannot be deleted now is tried again the next time. */
export async function retainAll(
  parts: Pick<SchedulesParts, 'store' | 'snapshots' | 'clock' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  const { store, snapshots, clock, log } = parts
  for (let after = ''; ;) {
    const page = await store.schedules.withRetention(after, PAGE)
    for (const schedule of page) {
      const saved = await store.snapshots.savedBySchedule(schedule.scheduleId)
      for (const { instanceId, snapshotId } of tooMany(saved, schedule, clock.wallMs())) {
        if (signal.aborted) return
        // Registries are slow, and its owner may have thought again meanwhile.
        if ((await store.schedules.find(schedule.scheduleId))?.modifiedMs !== schedule.modifiedMs) break
        try {
          await snapshots.delete(instanceId, snapshotId, { deleteImage: true })
        } catch (error) {
          const { code, message } = toAppError(error)
          if (code === 'image_in_use') continue // it goes when nobody needs it any more
          log('A snapshot that a schedule keeps no longer could not be deleted.', { snapshotId, message })
          if (code.startsWith('registry_')) break // the next would only wait as long
        }
      }
    }
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    after = last.scheduleId
  }
}
