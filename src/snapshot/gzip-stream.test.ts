import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { AppError } from '#base/errors.ts'
import { gzipStream } from './gzip-stream.ts'

const lost = new AppError('spool_full', 'The spool is full.')

/** So much that a compressor hands some over before it has seen the end. */
async function* pieces(count: number, end: () => Promise<void> = async () => {}) {
  for (let i = 0; i < count; i++) yield randomBytes(1 << 16)
  await end()
}

test('what is packed is unpacked by zlib', async () => {
  const bytes = randomBytes(300_000)
  const source = (async function* () {
    yield bytes.subarray(0, 1)
    yield bytes.subarray(1)
  })()
  assert.deepEqual(gunzipSync(await buffer(gzipStream(source))), bytes)
})

test('a source that fails while nobody asks for the next piece fails the next one, and not the process', async () => {
  const failed = Promise.withResolvers<void>()
  const fail = async () => {
    setImmediate(() => failed.resolve())
    throw lost
  }
  const packed = gzipStream(pieces(1, fail))[Symbol.asyncIterator]()
  await packed.next() // gzip's header; the source has failed or is about to
  await failed.promise
  await new Promise((resolve) => setTimeout(resolve, 20)) // in which an error that nobody hears would end the process
  await assert.rejects(async () => {
    while (!(await packed.next()).done);
  }, lost)
})

test('a reader that leaves early ends the source', async () => {
  const ended = Promise.withResolvers<void>()
  const source = (async function* () {
    try {
      yield* pieces(1000)
    } finally {
      ended.resolve()
    }
  })()
  for await (const _piece of gzipStream(source)) break
  await ended.promise
})
