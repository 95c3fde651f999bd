import { gunzipSync } from 'node:zlib'
import koffi from 'koffi'
import { addressOf } from './libc.ts'

/** One gzip member per call; `into` must have room for `gzipBound(from.byteLength)` bytes. */
export type Gzip = (from: Uint8Array, into: Uint8Array) => number
/** As Gzip, on a thread of libuv's pool: one call at a time, and both buffers are its own until it has resolved. */
export type GzipInPool = (from: Uint8Array, into: Uint8Array) => Promise<number>

// isa-l igzip_lib.h: offsets in struct isal_zstream, the same since 2.16 on 64-bit machines.
const OFFSET = {
  nextIn: 0,
  availIn: 8,
  nextOut: 16,
  availOut: 24,
  totalOut: 28,
  level: 40,
  levelBufferSize: 44,
  levelBuffer: 48,
  endOfStream: 56,
  gzipFlag: 60,
} as const
const STREAM_BYTES = 1 << 18 // the struct with its state is about 80 KB; what it really is only the library knows
const LEVEL_BUFFER_BYTES = 1 << 20 // more than ISAL_DEF_LVL2_EXTRA_LARGE
const IGZIP_GZIP = 1

/** The most bytes that gzip of `length` bytes may need: stored blocks of 64 KiB with headers, and the member's own. */
export function gzipBound(length: number): number {
  return length + (length >>> 10) + 4096
}

/**
 * gzip by Intel's ISA-L (level 1 or 2), or undefined where `libisal.so.2` is missing or does not pass a round trip:
 * zlib decompresses what it made, so that a library with another struct layout is never trusted.
 */
export function loadIsal(level: 1 | 2): Gzip | undefined {
  try {
    const gzip = bindIsal(level)
    return passesRoundTrip(gzip) ? gzip : undefined
  } catch {
    return undefined // the library or one of its symbols is not there
  }
}

/**
 * gzip by ISA-L beside the event loop; each has a state of its own, so that several work at once. For who has seen that
 * `loadIsal` gives something: throws where it does not.
 */
export function openIsalInPool(level: 1 | 2): GzipInPool {
  const { stream, deflate } = bindStream(level)
  return (from, into) =>
    new Promise((resolve, reject) => {
      stream.begin(from, into)
      deflate.async(stream.bytes, (error: unknown, status: unknown) => {
        if (error === null) settle(resolve, reject, () => stream.end(status))
        else reject(error)
      })
    })
}

function settle(resolve: (length: number) => void, reject: (error: unknown) => void, end: () => number): void {
  try {
    resolve(end())
  } catch (error) {
    reject(error)
  }
}

function bindIsal(level: 1 | 2): Gzip {
  const { stream, deflate } = bindStream(level)
  return (from, into) => {
    stream.begin(from, into)
    return stream.end(deflate(stream.bytes))
  }
}

function bindStream(level: 1 | 2) {
  const library = koffi.load('libisal.so.2')
  const init = library.func('void isal_deflate_stateless_init(void*)')
  const deflate = library.func('int isal_deflate_stateless(void*)')
  const view = new DataView(new ArrayBuffer(STREAM_BYTES))
  const bytes = new Uint8Array(view.buffer)
  const levelBuffer = new Uint8Array(LEVEL_BUFFER_BYTES)
  const begin = (from: Uint8Array, into: Uint8Array) => {
    init(bytes)
    view.setBigUint64(OFFSET.nextIn, BigInt(addressOf(from)), true)
    view.setUint32(OFFSET.availIn, from.byteLength, true)
    view.setBigUint64(OFFSET.nextOut, BigInt(addressOf(into)), true)
    view.setUint32(OFFSET.availOut, into.byteLength, true)
    view.setUint32(OFFSET.level, level, true)
    view.setUint32(OFFSET.levelBufferSize, levelBuffer.byteLength, true)
    view.setBigUint64(OFFSET.levelBuffer, BigInt(addressOf(levelBuffer)), true)
    view.setUint16(OFFSET.endOfStream, 1, true)
    view.setUint16(OFFSET.gzipFlag, IGZIP_GZIP, true)
  }
  const end = (status: unknown) => {
    if (status !== 0) throw new Error(`isal_deflate_stateless answered ${String(status)}`)
    return view.getUint32(OFFSET.totalOut, true)
  }
  return { stream: { bytes, begin, end }, deflate }
}

function passesRoundTrip(gzip: Gzip): boolean {
  const from = Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) >>> 7)
  const into = new Uint8Array(gzipBound(from.byteLength))
  const length = gzip(from, into)
  return length < from.byteLength && gunzipSync(into.subarray(0, length)).equals(from)
}
