import type { ImageBase } from '#oci/append-layers.ts'
import { originalBase } from '#oci/config.ts'
import { cutBase } from '#oci/replace-layers.ts'
import type { UploadedLayer } from '#snapshot/layer-uploads.ts'
import type { OpenCapture } from '#snapshot/open-capture.ts'
import type { ChainLayer } from './record.ts'

/** What the layers of an image are, the lowest first: those of its base, of earlier captures, of this one. */
export interface ImageStack {
  /** The base image, or what of it stays below a chain that was squashed. */
  readonly base: ImageBase
  readonly earlier: readonly ChainLayer[]
  readonly made: readonly UploadedLayer[]
  /** Set when `made` took the place of other layers: how many, and why. */
  readonly squashed?: Squashed
}

export interface Squashed {
  readonly layers: number
  readonly reason: string
  readonly uploadedBytes: number
}

/** A full capture goes on the whole base image, a delta on the chain and what that lies on. */
export function stackOf({ mode }: OpenCapture, base: ImageBase, made: readonly UploadedLayer[]): ImageStack {
  if (mode.mode === 'full') return { base, earlier: [], made }
  const { baseLayers, layers } = mode.index.record.chain
  return { base: baseBelow(base, baseLayers), earlier: layers, made }
}

/** The first `layers` of the base image: all of it, or the image that lies under all layers of ours. */
export function baseBelow(base: ImageBase, layers: number): ImageBase {
  const original = originalBase(base.config)
  return cutBase(base, layers, original?.layers === layers ? original.digest : undefined)
}

/** How many layers of the base image are not ours: what its labels say, or all. */
export function originalLayers({ config, layers }: ImageBase): number {
  return originalBase(config)?.layers ?? layers.length
}
