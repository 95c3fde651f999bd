import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '#base/clock.ts'
import type { Progress } from '#snapshot/result.ts'
import { formatProgress, openProgress } from './progress.ts'

const PROGRESS: Progress = {
  phase: 'reading',
  pass: 1,
  files: 61_034,
  filesTotal: 130_000,
  bytes: 1.2e9,
  bytesTotal: 2.4e9,
  uploadedBytes: 310e6,
}

function listen(isInteractive: boolean, columns = 120) {
  const written: string[] = []
  let ms = 0
  const clock: Clock = { wallNs: () => 0n, wallMs: () => 0, monotonicMs: () => ms }
  const terminal = {
    out: () => assert.fail('progress is not the result'),
    err: (text: string) => void written.push(text),
    isInteractive,
    columns: () => columns,
  }
  return { written, terminal, clock, turn: (by: number) => (ms += by) }
}

test('a line has phase, share, bytes, files, what was sent, rate and time left', () => {
  assert.equal(
    formatProgress(PROGRESS, 300e6, Number.POSITIVE_INFINITY),
    'Reading  50 % · 1.20 GB of 2.40 GB · 61 034 of 130 000 files · 310 MB sent · 300 MB/s · 4.0 s left',
  )
  assert.equal(formatProgress({ ...PROGRESS, pass: 2 }, 0, 30), 'Reading (pass 2)  50 %'.slice(0, 30))
})

test('what is not known yet is left out', () => {
  const early: Progress = { phase: 'reading', pass: 1, files: 10, bytes: 2000, uploadedBytes: 0 }
  assert.equal(formatProgress(early, 0, 200), 'Reading · 2.00 kB · 10 files · 0 B sent')
})

test('a bar fills a wide terminal, and no line is ever wider than the terminal', () => {
  assert.match(formatProgress(PROGRESS, 300e6, 160), /^Reading \[#{15}-{15}\] {2}50 % · /)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(3e9), fc.nat(3e9), (columns, bytes, bytesTotal) => {
      const line = formatProgress({ ...PROGRESS, bytes, bytesTotal }, 1e6, columns)
      assert.ok(line.length <= columns, `${line.length} > ${columns}`)
    }),
  )
})

test('the bar is drawn at most ten times a second, whatever the progress, and is gone at the end', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { written, terminal, clock, turn } = listen(true, 80)
  const view = openProgress(terminal, clock, false)
  for (let i = 0; i < 1000; i++) {
    view.update({ ...PROGRESS, bytes: i })
    turn(1)
    t.mock.timers.tick(1)
  }
  assert.equal(written.length, 10)
  for (const text of written) assert.ok(text.startsWith('\r') && text.endsWith('\x1b[K') && text.length < 80 + 4)
  view.stop()
  assert.equal(written.at(-1), '\r\x1b[K')
  t.mock.timers.tick(1000)
  assert.equal(written.length, 11)
})

test('a bar that was never drawn leaves nothing to remove', () => {
  const { written, terminal, clock } = listen(true)
  openProgress(terminal, clock, false).stop()
  assert.deepEqual(written, [])
})

test('elsewhere a whole line every five seconds, without control characters', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { written, terminal, clock, turn } = listen(false)
  const view = openProgress(terminal, clock, false)
  view.update({ ...PROGRESS, bytes: 0 })
  turn(5000)
  view.update(PROGRESS)
  t.mock.timers.tick(10_000)
  view.stop()
  assert.equal(written.length, 2)
  assert.match(written[0]!, /^Reading .* · 240 MB\/s · 5.0 s left\n$/)
})

test('quiet is quiet', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { written, terminal, clock } = listen(true)
  const view = openProgress(terminal, clock, true)
  view.update(PROGRESS)
  t.mock.timers.tick(60_000)
  view.stop()
  assert.deepEqual(written, [])
})
