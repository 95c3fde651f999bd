import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#lab/stores.ts'
import type { Progress } from '#snapshot/result.ts'
import { ProgressBoard } from './progress.ts'

const READING: Progress = { phase: 'reading', pass: 1, files: 0, bytes: 0, bytesTotal: 1_000_000, uploadedBytes: 0 }

test('the rate is of the last seconds, and says how long the rest takes', () => {
  const clock = new TestClock()
  const board = new ProgressBoard(clock)
  const at = (ms: number, bytes: number) => {
    clock.pass(ms)
    board.set('snp-1', { ...READING, bytes })
    const { bytesPerSecond, secondsLeft } = board.get('snp-1') ?? {}
    return [bytesPerSecond, secondsLeft]
  }
  assert.deepEqual(at(0, 0), [undefined, undefined], 'nothing can be said of one moment')
  assert.deepEqual(at(50, 50), [undefined, undefined], 'nor of so short a time')
  assert.deepEqual(at(950, 100_000), [100_000, 9])
  assert.deepEqual(at(5_000, 100_000), [0, undefined], 'it stands, and nobody knows for how long')
  assert.deepEqual(at(2_000, 500_000)[0], 200_000, 'what was before does not count any more')
})

test('each phase counts what it does: bytes read, then bytes sent', () => {
  const clock = new TestClock()
  const board = new ProgressBoard(clock)
  board.set('snp-1', { ...READING, bytes: 900_000, uploadedBytes: 0 })
  clock.pass(1_000)
  board.set('snp-1', { ...READING, phase: 'uploading', bytes: 900_000, uploadedBytes: 10_000 })
  assert.equal(board.get('snp-1')?.bytesPerSecond, undefined, 'a new phase begins anew')
  clock.pass(1_000)
  board.set('snp-1', { ...READING, phase: 'uploading', bytes: 900_000, uploadedBytes: 40_000 })
  const { bytesPerSecond, secondsLeft } = board.get('snp-1') ?? {}
  assert.deepEqual([bytesPerSecond, secondsLeft], [30_000, undefined], 'how much there is to send is not known')
})

test('who waits is told at the next news of this snapshot, and not kept when the signal fires', async () => {
  const board = new ProgressBoard(new TestClock())
  const told: string[] = []
  const leaving = new AbortController()
  const waiting = [
    board.waitForNews('snp-1', AbortSignal.timeout(60_000)).then(() => told.push('progress')),
    board.waitForNews('snp-2', leaving.signal).then(() => told.push('left')),
  ]
  board.set('snp-1', READING)
  await waiting[0]
  assert.deepEqual(told, ['progress'])
  leaving.abort()
  await waiting[1]
  board.forget('snp-1')
  assert.equal(board.get('snp-1'), undefined)
})
