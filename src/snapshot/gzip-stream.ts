import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

/**
 * `bytes` as one gzip member; zlib works on a thread of libuv's, so that the event loop stays free to thaw in time. Nothing
 * begins before the first piece is asked for. What `bytes` throws is thrown to the reader, also when it comes between two
 * pieces, and to nobody else.
 */
export async function* gzipStream(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const packer = createGzip({ level: 1 })
  const feeding = pipeline(bytes, packer)
  feeding.catch(() => {}) // the packer throws the same
  yield* packer
  await feeding
}
