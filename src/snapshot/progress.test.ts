import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureProgress } from './progress.ts'
import type { Progress } from './result.ts'

const frame = (files: number, rawBytes: number) =>
  ({ event: 'frame', layer: 0, offset: 0, size: 1, rawBytes, files }) as const

test('progress counts up to its totals within a pass, starts again with the next, and keeps what was sent', () => {
  const seen: Progress[] = []
  const progress = new CaptureProgress((state) => seen.push(state))
  progress.startPass(1, 'reading')
  progress.onEvent({ event: 'scanned', files: 10, bytes: 100_000 })
  const { bytesTotal } = seen.at(-1)!
  assert.ok(bytesTotal! >= 100_000 + 10 * 512, 'headers count')
  progress.onEvent(frame(6, 60_000))
  progress.setUploaded('layers', 700)
  progress.setUploaded('base', 77)
  assert.deepEqual(seen.at(-1), {
    phase: 'reading',
    pass: 1,
    files: 6,
    filesTotal: 10,
    bytes: 60_000,
    bytesTotal,
    uploadedBytes: 777,
  })
  progress.onEvent(frame(9, 9_000_000))
  assert.deepEqual([seen.at(-1)!.files, seen.at(-1)!.bytes], [10, bytesTotal], 'never more than all')
  assert.equal(progress.totalFiles, 15)
  progress.startPass(2, 'frozen')
  assert.deepEqual(seen.at(-1), { phase: 'frozen', pass: 2, files: 0, bytes: 0, uploadedBytes: 777 })
})
