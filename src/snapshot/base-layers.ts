/** The base's layers in the target: taken over where a registry has them, sent only where there is no other way. */
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { ImageBase } from '#oci/append-layers.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { isForeignLayer } from '#oci/manifest.ts'
import type { CallOptions, PushOptions, Repository } from '#registry/repository.ts'
import { exportBase } from './base-export.ts'
import type { ExportOptions } from './base-export.ts'
import type { FoundBase } from './base-image.ts'
import type { BaseImage } from './source.ts'

export interface BaseLayersOptions extends ExportOptions {
  /** Bytes of base layers that have left, all together; counted again where an upload is repeated. */
  readonly onProgress?: (sentBytes: number) => void
}

const LAYERS_AT_ONCE = 3 // as dockerd

/**
 * Make sure that `target` has every layer of the base image, and say what they are. Of a base that was found in a
 * registry each layer is there already, or mounted, or streamed from there; of one that was not, the engine's export is
 * compressed and sent. Non-distributable layers stay where they are. Throws `base_not_found`, `image_unsupported`,
 * `spool_full`, `registry_…`, `cancelled`.
 */
export async function ensureBaseLayers(
  base: BaseImage,
  found: FoundBase | undefined,
  target: Repository,
  options: BaseLayersOptions,
): Promise<ImageBase> {
  const send = countSent(options.onProgress)
  if (!found) return exportBase(base, target, { ...options, pushOptions: send })
  const { image, repository } = found
  const { signal } = options
  const unread = new Set<unknown>()
  const onUnread = (error: unknown) => void unread.add(error)
  try {
    await sendLayers(image.layers, { from: repository, target, send, onUnread, ...(signal && { signal }) })
    return image
  } catch (error) {
    throwIfAborted(signal)
    // A registry may have lost a layer of an image that it still names (attacks.md A10), or keep it to itself: the engine has them all.
    if (!(error instanceof AppError) || !unread.has(error)) throw error
    const why = error.code === 'blob_missing' ? 'has lost' : 'does not give'
    const said = error.code === 'blob_missing' ? '' : ` (${error.message.replace(/\.$/, '')})`
    options.onWarning?.(`${repository.name} ${why} a layer of the base image${said}: it comes out of the engine.`)
    return exportBase(base, target, { ...options, pushOptions: send })
  }
}

export interface Transfer extends CallOptions {
  readonly from: Repository
  readonly target: Repository
  readonly send: (layer: Descriptor) => PushOptions
  /** Told what it fails with when a layer cannot be read where it comes from. */
  readonly onUnread?: (error: unknown) => void
}

/** Layers from one repository to another, each only if it is not there and cannot be mounted. The first that fails ends the others. */
export async function sendLayers(layers: readonly Descriptor[], transfer: Transfer): Promise<void> {
  const failed = new AbortController()
  const signal = transfer.signal ? AbortSignal.any([transfer.signal, failed.signal]) : failed.signal
  const ours = layers.filter((layer) => !isForeignLayer(layer))
  const waiting = new Map(ours.map((layer) => [layer.digest, layer])).values() // an image may have a layer twice
  const work = async (): Promise<void> => {
    for (const layer of waiting) {
      throwIfAborted(signal)
      await ensureLayer(layer, { ...transfer, signal })
    }
  }
  const workers = Array.from({ length: LAYERS_AT_ONCE }, () =>
    work().catch((error: unknown) => {
      failed.abort(error)
      throw error
    }),
  )
  const ends = await Promise.allSettled(workers)
  throwIfAborted(transfer.signal)
  if (ends.some((end) => end.status === 'rejected')) throw failed.signal.reason
}

/**
 * One byte must arrive, of what is there as of what was mounted: a registry may say yes to what its garbage collection has
 * taken (attacks.md A10).
 */
async function ensureLayer(layer: Descriptor, transfer: Transfer): Promise<void> {
  const { from, target, send, onUnread, ...options } = transfer
  if (await target.checkBlob(layer, options)) return
  if (from.name !== target.name && (await target.mountBlob(layer, from, options))) {
    if (await target.checkBlob(layer, options)) return
  }
  const blob = {
    async *open(signal?: AbortSignal) {
      try {
        yield* from.openBlob(layer, signal ? { signal } : {})
      } catch (error) {
        if (!signal?.aborted) onUnread?.(error) // else it is the failure of another layer that ends this one
        throw error
      }
    },
    descriptor: Promise.resolve(layer),
  }
  await target.pushBlob(blob, { ...options, ...send(layer) })
}

function countSent(onProgress: BaseLayersOptions['onProgress']): (layer: Descriptor) => PushOptions {
  if (!onProgress) return () => ({})
  const sent = new Map<Descriptor, number>()
  return (layer) => ({
    onProgress: (bytes) => {
      sent.set(layer, bytes)
      onProgress(sent.values().reduce((sum, each) => sum + each, 0))
    },
  })
}
