import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CaptureEvent } from '#runtime/runtime.ts'
import { EventQueue } from './event-queue.ts'

const progress = (bytes: number): CaptureEvent => ({
  type: 'progress',
  phase: 'reading',
  pass: 1,
  files: 0,
  bytes,
  uploadedBytes: 0,
})

test('progress that nobody has read gives way to newer progress, everything else stays', async () => {
  const queue = new EventQueue()
  for (const event of [progress(1), progress(2), { type: 'thawed' } as const, progress(3), progress(4)])
    queue.push(event)
  queue.end()
  assert.deepEqual(await Array.fromAsync(queue), [progress(2), { type: 'thawed' }, progress(4)])
})

test('a reader waits for what is to come, and ends with it', async () => {
  const queue = new EventQueue()
  const read = Array.fromAsync(queue)
  await new Promise(setImmediate)
  queue.push(progress(1))
  await new Promise(setImmediate)
  queue.push(progress(2))
  await new Promise(setImmediate)
  queue.end()
  assert.deepEqual(await read, [progress(1), progress(2)])
})

test('who stops reading can go on later', async () => {
  const queue = new EventQueue()
  queue.push({ type: 'thawed' })
  queue.push(progress(1))
  for await (const event of queue) {
    assert.equal(event.type, 'thawed')
    break
  }
  queue.end()
  assert.deepEqual(await Array.fromAsync(queue), [progress(1)])
})
