import { ROOT, type Rows } from './rows.ts'
import type { WorkQueue } from './work-queue.ts'

/** All directories that there are, to be looked at and not entered anew. */
export function queueDirectories(rows: Rows, queue: WorkQueue): void {
  const visit = (directory: number) => {
    queue.push(directory, false)
    const first = rows.firstChild(directory)
    for (let row = first; row < first + rows.childCount(directory); row++) {
      if (rows.isDirectory(row) && rows.isLive(row)) visit(row)
    }
  }
  visit(ROOT)
}
