import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Flusher } from './layout-files.ts'

const MIB = 1 << 20

/** A file whose flushes end when they are told to. */
class SlowFile {
  readonly flushes: PromiseWithResolvers<void>[] = []

  datasync(): Promise<void> {
    const flush = Promise.withResolvers<void>()
    this.flushes.push(flush)
    return flush.promise
  }
}

test('a file is flushed beside its writing: in large parts, and one at a time', async () => {
  const file = new SlowFile()
  const flusher = new Flusher(file)
  flusher.onWritten(31 * MIB)
  assert.equal(file.flushes.length, 0, 'too little to flush')
  flusher.onWritten(32 * MIB)
  flusher.onWritten(100 * MIB)
  assert.equal(file.flushes.length, 1, 'another one is under way')
  file.flushes[0]?.resolve()
  await flusher.finish()
  flusher.onWritten(101 * MIB)
  assert.equal(file.flushes.length, 2)
  let isFinished = false
  const finishing = flusher.finish().then(() => (isFinished = true))
  await new Promise(setImmediate)
  assert.equal(isFinished, false, 'what is under way is waited for')
  file.flushes[1]?.resolve()
  await finishing
})

test('a flush that fails is told at the end, for the kernel does not say it again', async () => {
  const file = new SlowFile()
  const flusher = new Flusher(file)
  flusher.onWritten(32 * MIB)
  file.flushes[0]?.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' }))
  await new Promise(setImmediate)
  flusher.onWritten(64 * MIB)
  file.flushes[1]?.resolve()
  await assert.rejects(flusher.finish(), { code: 'ENOSPC' })
})
