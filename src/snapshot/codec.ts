import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { gzipBound, loadIsal } from '#posix/isal.ts'

/** How layers are compressed: `isal` is gzip by ISA-L, `zlib` gzip by zlib. */
export type CodecName = 'isal' | 'zlib' | 'zstd' | 'none'

export interface CodecChoice {
  readonly name: CodecName
  readonly level: number
}

/** One complete frame (gzip member, zstd frame) of `from`: the bytes of a layer are its frames one after the other. */
export type CompressFrame = (from: Uint8Array) => Uint8Array

/** The most bytes that a frame of `length` bytes may take, whatever the codec. */
export function frameBound(length: number): number {
  return gzipBound(length)
}

/** The compressor; everything it needs is loaded by this call. Its result is valid until the next one. Throws when `isal` is not there. */
export function openCodec({ name, level }: CodecChoice): CompressFrame {
  if (name === 'none') return (from) => from
  if (name === 'zlib') return (from) => gzipSync(from, { level })
  if (name === 'zstd')
    return (from) => zstdCompressSync(from, { params: { [constants.ZSTD_c_compressionLevel]: level } })
  const gzip = loadIsal(level === 2 ? 2 : 1)
  if (!gzip) throw new Error('libisal.so.2 is not there or not usable')
  let into = new Uint8Array(0)
  return (from) => {
    if (into.byteLength < gzipBound(from.byteLength)) into = new Uint8Array(gzipBound(from.byteLength))
    return into.subarray(0, gzip(from, into))
  }
}
