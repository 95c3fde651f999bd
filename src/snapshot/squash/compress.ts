import { constants, gzip, zstdCompress } from 'node:zlib'
import { promisify } from 'node:util'
import { gzipBound, openIsalInPool } from '#posix/isal.ts'
import type { CodecChoice } from '#snapshot/codec.ts'

/**
 * One complete frame of `from`, made beside the event loop. One call at a time; `from` must stay as it is until the frame
 * is there, and the frame is valid until the next call.
 */
export type CompressInPool = (from: Uint8Array) => Promise<Uint8Array>

const gzipInPool = promisify(gzip)
const zstdInPool = promisify(zstdCompress)

/** A compressor of its own: the same frames as codec.ts makes. Throws when `isal` is not there. */
export function openPoolCodec({ name, level }: CodecChoice): CompressInPool {
  if (name === 'none') return (from) => Promise.resolve(from)
  if (name === 'zlib') return (from) => gzipInPool(from, { level })
  if (name === 'zstd') return (from) => zstdInPool(from, { params: { [constants.ZSTD_c_compressionLevel]: level } })
  const compress = openIsalInPool(level === 2 ? 2 : 1)
  let into = new Uint8Array(0)
  return async (from) => {
    if (into.byteLength < gzipBound(from.byteLength)) into = new Uint8Array(gzipBound(from.byteLength))
    return into.subarray(0, await compress(from, into))
  }
}
