import { join } from 'node:path'
import { removeInstance } from './instance.ts'
import { deadRecords } from './record.ts'
import { openTracefs, type OpenTracefs } from './tracefs.ts'

/**
 * Remove the watches that processes which are no more have left on, by their records under `recordDirectory`; returns the
 * names of the instances that are gone now. Every start of Tintype does this. Never throws: what cannot be removed stays on
 * record for the next start, and costs until then a few percent of what changes files on its device.
 */
export async function sweepWatches(
  recordDirectory: string,
  open: OpenTracefs = openTracefs,
): Promise<readonly string[]> {
  const swept: string[] = []
  try {
    for (const record of deadRecords(recordDirectory)) {
      try {
        using tracefs = open()
        if (await removeInstance(join(tracefs.path, 'instances', record.instance))) swept.push(record.instance)
        record.remove()
      } catch {
        record.release()
      }
    }
  } catch {
    // The directory cannot be read, or a record not be opened: we are not root, and nothing of it is ours.
  }
  return swept
}
