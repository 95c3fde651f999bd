import { createHash } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { DiffID } from '#oci/digest.ts'
import { isForeignLayer, ociLayerType } from '#oci/manifest.ts'
import { TarParser } from '#oci/read-tar.ts'
import type { TarSink } from '#oci/read-tar.ts'
import type { Repository } from '#registry/repository.ts'

/** A layer of an image, and where it can be read. */
export interface StoredLayer {
  readonly descriptor: Descriptor
  readonly diffID: DiffID
  readonly repository: Pick<Repository, 'openBlob'>
}

export interface ReadLayerOptions {
  readonly signal: AbortSignal
  /** Compressed bytes that have come, of this layer. */
  readonly onBytes?: (count: number) => void
  /** Waited for between pieces: what holds up a reading that is faster than what becomes of it. */
  readonly ready?: () => Promise<void>
}

const PIECE_BYTES = 1 << 17

/**
 * Read a layer as a tar. Its digest and its diffID are checked at its end. Throws `image_unsupported` for a layer that is
 * not what its image says or cannot be read exactly, `blob_missing`, `digest_mismatch`, `registry_…`, `cancelled`.
 */
export async function readLayer(layer: StoredLayer, sink: TarSink, options: ReadLayerOptions): Promise<void> {
  const { descriptor, diffID } = layer
  const parser = new TarParser(sink)
  const hash = createHash('sha256')
  for await (const piece of openTar(layer, options)) {
    throwIfAborted(options.signal)
    hash.update(piece)
    parser.push(piece)
    await options.ready?.()
  }
  parser.end()
  if (`sha256:${hash.digest('hex')}` !== diffID)
    throw unreadable(descriptor, `is not the tar that the image's config names (${diffID})`)
}

async function* openTar(layer: StoredLayer, options: ReadLayerOptions): AsyncGenerator<Uint8Array> {
  const { descriptor, repository } = layer
  const type = ociLayerType(descriptor.mediaType)
  if (isForeignLayer(descriptor)) throw unreadable(descriptor, 'must not be distributed, so that it is in no registry')
  const stored = counted(repository.openBlob(descriptor, { signal: options.signal }), options.onBytes)
  if (type === MEDIA_TYPES.ociLayer) return yield* stored
  const decoder =
    type === MEDIA_TYPES.ociLayerZstd
      ? createZstdDecompress({ chunkSize: PIECE_BYTES })
      : createGunzip({ chunkSize: PIECE_BYTES })
  // The error of a stream reaches the reader of the last one.
  const stream = pipeline(Readable.from(stored), decoder, () => {})
  try {
    yield* stream
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw unreadable(descriptor, 'cannot be decompressed', cause)
  }
}

async function* counted(bytes: AsyncIterable<Uint8Array>, onBytes: ReadLayerOptions['onBytes']) {
  for await (const chunk of bytes) {
    onBytes?.(chunk.byteLength)
    yield chunk
  }
}

function unreadable({ digest }: Descriptor, what: string, cause?: unknown): AppError {
  const message = `The layer ${digest} ${what}: push the image again, or squash another.`
  return new AppError('image_unsupported', message, { details: { digest }, ...(cause !== undefined && { cause }) })
}
