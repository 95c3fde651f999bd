/** Blobs for tests of uploads. */
import { digestOf } from '#oci/digest.ts'
import type { BlobSource } from '#registry/repository.ts'

const MEDIA_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** Pieces as a BlobSource may give them: lent, and gone when the next one is asked for. */
class Lender {
  readonly #piece: Buffer

  constructor(pieceBytes: number) {
    this.#piece = Buffer.alloc(pieceBytes)
  }

  *lend(bytes: Buffer): Generator<Uint8Array> {
    yield this.#piece.subarray(0, bytes.copy(this.#piece))
    this.#piece.fill(0xee)
  }
}

/** A blob that is complete. */
export function madeBlob(bytes: Buffer, pieceBytes = 64 * 1024): BlobSource {
  return {
    descriptor: Promise.resolve({ mediaType: MEDIA_TYPE, digest: digestOf(bytes), size: bytes.length }),
    async *open() {
      const lender = new Lender(pieceBytes)
      for (let at = 0; at < bytes.length; at += pieceBytes) yield* lender.lend(bytes.subarray(at, at + pieceBytes))
    },
  }
}

/** A blob that is made while it is uploaded; its digest is known when somebody has read it to the end, as with a layer. */
export function growingBlob(bytes: Buffer, pieceBytes = 64 * 1024): BlobSource {
  const read = Promise.withResolvers<Awaited<BlobSource['descriptor']>>()
  let madeBytes = 0
  let grown = Promise.withResolvers<void>()
  const make = async () => {
    while (madeBytes < bytes.length) {
      await new Promise(setImmediate)
      madeBytes = Math.min(bytes.length, madeBytes + pieceBytes)
      grown.resolve()
      grown = Promise.withResolvers()
    }
  }
  void make()
  return {
    descriptor: read.promise,
    async *open() {
      const lender = new Lender(pieceBytes)
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        while (madeBytes <= at) await grown.promise
        yield* lender.lend(bytes.subarray(at, Math.min(madeBytes, at + pieceBytes)))
      }
      read.resolve({ mediaType: MEDIA_TYPE, digest: digestOf(bytes), size: bytes.length })
    },
  }
}
