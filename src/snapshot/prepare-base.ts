import type { ImageBase } from '#oci/append-layers.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { findBase } from './base-image.ts'
import { ensureBaseLayers } from './base-layers.ts'
import { gzipStream } from './gzip-stream.ts'
import type { OpenCapture } from './open-capture.ts'

/**
 * The base image's layers in the target, without a pull: they are there, or mounted, or streamed from registry to registry;
 * an image that is in no registry comes out of the engine, once (design.md §4.6). Runs beside the passes.
 */
export async function prepareBase({
  source,
  options,
  spool,
  signal,
  warnings,
  progress,
}: OpenCapture): Promise<ImageBase> {
  const { target, repositoryOf, home } = options
  const { found, reasons } = await findBase(source.base, repositoryOf, { signal })
  if (!found) warnings.push(...reasons.map((reason) => `The base image was not found at ${reason}`))
  return ensureBaseLayers(source.base, found, target, {
    home,
    spoolDirectory: spool.directory,
    repositoryOf,
    signal,
    onProgress: (sentBytes) => progress.setUploaded('base', sentBytes),
    onWarning: (sentence) => void (warnings.includes(sentence) || warnings.push(sentence)),
    compression: { mediaType: MEDIA_TYPES.ociLayerGzip, compress: gzipStream },
  })
}
