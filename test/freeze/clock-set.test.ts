/** Alone: everybody on the machine whose work hangs on the clock notices that it was set. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCtimeWatch } from '#watch/open.ts'

test('a clock that was set is a flaw of a watch, also when it is set right again', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'clock-set-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const opened = await openCtimeWatch({ upperdir: '/var/tmp', scratch: directory, recordDirectory: directory })
  assert.ok('watch' in opened, `no watch on this machine: ${'reason' in opened ? opened.reason : ''}`)
  await using watch = opened.watch
  writeFileSync(join(directory, 'file'), '')
  watch.drain()
  assert.equal(watch.lost(), undefined)
  const now = 'import time; time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME))'
  execFileSync('python3', ['-c', now])
  assert.equal(watch.lost(), 'the clock was set')
  assert.equal(watch.lost(), 'the clock was set')
})
