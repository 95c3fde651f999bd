import { encode, ociDescriptor, orderConfig, RFC_3339, sorted } from './append-layers.ts'
import type { AppendedLayer, Composed, ImageBase } from './append-layers.ts'
import { BASE_DIGEST_LABEL, BASE_LAYERS_LABEL, originalBase } from './config.ts'
import type { ImageConfig, OriginalBase } from './config.ts'
import { MEDIA_TYPES } from './descriptor.ts'
import type { Digest } from './digest.ts'
import { isObject, refuse } from './json.ts'
import type { JsonObject } from './json.ts'
import type { Manifest } from './manifest.ts'

export interface StoredImage {
  readonly config: ImageConfig
  readonly manifest: Manifest
}

export interface ReplaceOptions {
  /** How many of the image's layers stay, from the lowest on. */
  readonly keptLayers: number
  /** The image that those are; undefined when none stays, or nobody knows. Its name, when the user gave one. */
  readonly base?: OriginalBase & { readonly name?: string }
  /** Of the history of each layer that takes the place of others. */
  readonly createdBy: string
  readonly comment: string
}

const BASE_NAME = 'org.opencontainers.image.base.name'
const BASE_DIGEST = 'org.opencontainers.image.base.digest'
/** Of an image that does not say when it was made: the same input must give the same bytes. */
const UNKNOWN_TIME = '1970-01-01T00:00:00Z'

/**
 * The config and manifest of the same image with other layers above the first `keptLayers`: all else that it says stays,
 * the time at which it was made too, since what it shows is of that time. OCI media types. Throws `image_unsupported`
 * when it has not as many layers as diffIDs.
 */
export function replaceLayers(
  { config, manifest }: StoredImage,
  layers: readonly AppendedLayer[],
  options: ReplaceOptions,
): { readonly config: Composed; readonly manifest: Composed } {
  if (manifest.layers.length !== config.diffIDs.length) {
    refuse('manifest', `has ${manifest.layers.length} layers, but its config names ${config.diffIDs.length}`)
  }
  const composed = encode(configJson(config, layers, options), MEDIA_TYPES.ociConfig)
  const kept = manifest.layers.slice(0, options.keptLayers)
  const annotations = annotationsOf(manifest, options)
  const json = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: composed.descriptor,
    layers: [...kept, ...layers.map(({ descriptor }) => descriptor)].map(ociDescriptor),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  }
  return { config: composed, manifest: encode(json, MEDIA_TYPES.ociManifest) }
}

function configJson(config: ImageConfig, layers: readonly AppendedLayer[], options: ReplaceOptions): JsonObject {
  const { json, diffIDs } = config
  const { keptLayers, createdBy, comment } = options
  const created = typeof json['created'] === 'string' && RFC_3339.test(json['created']) ? json['created'] : UNKNOWN_TIME
  const runtime = isObject(json['config']) ? json['config'] : {}
  return orderConfig({
    ...json,
    created,
    config: { ...runtime, ...labelsOf(config, options) },
    rootfs: { type: 'layers', diff_ids: [...diffIDs.slice(0, keptLayers), ...layers.map(({ diffID }) => diffID)] },
    history: [...keptHistory(config, keptLayers), ...layers.map(() => ({ created, created_by: createdBy, comment }))],
  })
}

/** As many items that made a layer as stay (attacks.md C6); those that made none stay up to the first that is replaced. */
function keptHistory({ history, diffIDs }: ImageConfig, keptLayers: number): readonly JsonObject[] {
  const isMaker = (item: JsonObject) => item['empty_layer'] !== true
  const fits = history.filter(isMaker).length === diffIDs.length
  if (!fits) return Array.from({ length: keptLayers }, () => ({ comment: 'the image has no history of this layer' }))
  let made = 0
  const end = history.findIndex((item) => isMaker(item) && ++made > keptLayers)
  return end < 0 ? history : history.slice(0, end)
}

/**
 * The image that is the first `keptLayers` of a base's, for other layers to go on; `digest` is its manifest's, where that is
 * known. The base itself when none goes. What the config says beside its layers stays.
 */
export function cutBase(base: ImageBase, keptLayers: number, digest: Digest | undefined): ImageBase {
  if (keptLayers >= base.layers.length) return base
  const diffIDs = base.config.diffIDs.slice(0, keptLayers)
  return {
    config: { ...base.config, diffIDs, history: keptHistory(base.config, keptLayers) },
    layers: base.layers.slice(0, keptLayers),
    ...(digest !== undefined && { manifestDigest: digest }),
  }
}

/** What an image says of the one under our layers stays true; where more is replaced than lay on that, it is said anew. */
function labelsOf(config: ImageConfig, { keptLayers, base }: ReplaceOptions): { readonly Labels?: object } {
  const original = originalBase(config)
  if (original && original.layers <= keptLayers) return { Labels: config.labels }
  const { [BASE_DIGEST_LABEL]: _digest, [BASE_LAYERS_LABEL]: _layers, ...others } = config.labels
  const said = base && {
    ...(base.digest !== undefined && { [BASE_DIGEST_LABEL]: base.digest }),
    [BASE_LAYERS_LABEL]: String(base.layers),
  }
  const labels = sorted({ ...others, ...said })
  return Object.keys(labels).length > 0 ? { Labels: labels } : {}
}

/** image-spec, annotations.md: of the base that the image has now, or of none. */
function annotationsOf({ annotations }: Manifest, { base }: ReplaceOptions): Readonly<Record<string, string>> {
  const { [BASE_NAME]: name, [BASE_DIGEST]: digest, ...others } = annotations
  if (!base) return sorted(others)
  const baseName = base.name ?? (digest !== undefined && digest === base.digest ? name : undefined)
  return sorted({
    ...others,
    ...(base.digest !== undefined && { [BASE_DIGEST]: base.digest }),
    ...(baseName !== undefined && { [BASE_NAME]: baseName }),
  })
}
