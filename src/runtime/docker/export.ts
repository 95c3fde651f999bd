import type { Digest, DiffID } from '#oci/digest.ts'
import { AppError, systemCode } from '#base/errors.ts'
import type { ExportedImage } from '#snapshot/source.ts'
import type { Engine } from './engine.ts'
import { findExportedImage, layerType } from './export-layout.ts'
import { spoolTar, type SpooledTar } from './tar-spool.ts'

export interface ExportImageOptions {
  readonly imageId: Digest
  /** Which of the images in the export it is: an engine may add those of other platforms. */
  readonly diffIDs: readonly DiffID[]
  /** Where the export lies while it is read. */
  readonly spoolDirectory: string
  readonly signal?: AbortSignal
}

/**
 * An image out of an engine (`docker save`). Its members come in an order of the engine's own, the list of layers often
 * last, so that the whole export is spooled first, into a file without a name that is gone with this process at the
 * latest. Throws `base_not_found`, `spool_full`, `engine_unavailable`, `image_unsupported`, `cancelled`.
 */
export async function exportImage(engine: Engine, options: ExportImageOptions): Promise<ExportedImage> {
  const { diffIDs, signal } = options
  const tar = await spool(engine, options)
  try {
    const { config, layers } = await findExportedImage(tar, diffIDs)
    return { config, layers: () => readLayers(tar, layers, signal) }
  } catch (error) {
    await tar.close()
    throw error
  }
}

async function spool(engine: Engine, options: ExportImageOptions): Promise<SpooledTar> {
  const { imageId, spoolDirectory: directory, signal } = options
  try {
    return await spoolTar(() => engine.exportImage(imageId, signal), { directory, ...(signal && { signal }) })
  } catch (cause) {
    if (systemCode(cause) !== 'ENOSPC') throw cause
    throw new AppError(
      'spool_full',
      `No space is left in ${directory} for the base image: free space there, or set TINTYPE_HOME to a larger disk.`,
      { cause },
    )
  }
}

async function* readLayers(tar: SpooledTar, names: readonly string[], signal: AbortSignal | undefined) {
  try {
    for (const name of names) {
      const mediaType = await layerType(tar, name)
      yield { bytes: tar.read(name, signal), mediaType }
    }
  } finally {
    await tar.close()
  }
}
