import { AppError } from '#base/errors.ts'
import { BASE_DIGEST_LABEL, BASE_LAYERS_LABEL, originalBase } from './config.ts'
import type { ImageConfig } from './config.ts'
import { MEDIA_TYPES } from './descriptor.ts'
import type { Descriptor } from './descriptor.ts'
import { digestOf } from './digest.ts'
import type { Digest, DiffID } from './digest.ts'
import { isObject, refuse } from './json.ts'
import type { JsonObject } from './json.ts'
import { ociLayerType } from './manifest.ts'

/** The image that layers go on: its config, and its layers as a registry stores them, in the same order. */
export interface ImageBase {
  readonly config: ImageConfig
  readonly layers: readonly Descriptor[]
  /** Missing when the image is in no registry. */
  readonly manifestDigest?: Digest
}

export interface AppendedLayer {
  readonly descriptor: Descriptor
  readonly diffID: DiffID
  /** When an earlier capture made it; the image's own `created` when missing. */
  readonly created?: string
}

export interface AppendOptions {
  /** RFC 3339: the freeze. */
  readonly created: string
  /** Of each layer's history. */
  readonly createdBy: string
  readonly comment?: string
  /** Of the request: config labels and annotations. What this module says itself wins. */
  readonly labels: Readonly<Record<string, string>>
  /** What the user called the base image; missing where the layers go on another, which nobody has named. */
  readonly baseName?: string
  readonly title?: string
  readonly description?: string
}

export interface Composed {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/** The keys of a config, in this order whatever the base's is; those that we do not know follow in its own. */
const CONFIG_ORDER = [
  'created',
  'author',
  'architecture',
  'variant',
  'os',
  'os.version',
  'os.features',
  'config',
  'rootfs',
]
/** Of the machine that built the base (attacks.md C6): not true of this image. */
const DROPPED = ['container', 'container_config', 'docker_version']
/** The form of every time in a config. */
export const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/

/**
 * The config and manifest of the image that has `layers` on `base`: OCI media types, the base's digests as they were,
 * nothing of the container but its layers. Same input, same bytes. Throws `image_unsupported` when the base has not as
 * many layers as diffIDs.
 */
export function appendLayers(
  base: ImageBase,
  layers: readonly AppendedLayer[],
  options: AppendOptions,
): { readonly config: Composed; readonly manifest: Composed } {
  if (base.layers.length !== base.config.diffIDs.length) {
    refuse('manifest', `has ${base.layers.length} layers, but its config names ${base.config.diffIDs.length}`)
  }
  if (!RFC_3339.test(options.created)) throw new AppError('internal', 'The time of creation is not in RFC 3339.')
  const config = encode(configJson(base, layers, options), MEDIA_TYPES.ociConfig)
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: config.descriptor,
    layers: [...base.layers, ...layers.map((layer) => layer.descriptor)].map(ociDescriptor),
    annotations: annotationsOf(base, options),
  }
  return { config, manifest: encode(manifest, MEDIA_TYPES.ociManifest) }
}

/** A document as it is stored. */
export function encode(json: object, mediaType: string): Composed {
  const bytes = Buffer.from(JSON.stringify(json))
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } }
}

/** Fixed order of keys, and only what image-spec knows (descriptor.md). */
export function ociDescriptor({ mediaType, digest, size, urls, annotations }: Descriptor): Descriptor {
  return {
    mediaType: ociLayerType(mediaType),
    digest,
    size,
    ...(urls && { urls }),
    ...(annotations && { annotations: sorted(annotations) }),
  }
}

function configJson(base: ImageBase, layers: readonly AppendedLayer[], options: AppendOptions): JsonObject {
  const { json, diffIDs } = base.config
  const runtime = isObject(json['config']) ? json['config'] : {}
  const added = layers.map(({ created }) => ({
    created: created ?? options.created,
    created_by: options.createdBy,
    ...(options.comment !== undefined && { comment: options.comment }),
  }))
  const all: JsonObject = {
    ...json,
    created: options.created,
    config: { ...runtime, Labels: labelsOf(base, options) },
    rootfs: { type: 'layers', diff_ids: [...diffIDs, ...layers.map((layer) => layer.diffID)] },
    history: [...fittingHistory(base.config), ...added],
  }
  return orderConfig(all)
}

/** A config without what is of another machine, its keys in one order. */
export function orderConfig(all: JsonObject): JsonObject {
  const rest = Object.keys(all).filter((key) => !CONFIG_ORDER.includes(key) && !DROPPED.includes(key))
  const keys = [...CONFIG_ORDER.filter((key) => all[key] !== undefined), ...rest]
  return Object.fromEntries(keys.map((key) => [key, all[key]]))
}

/**
 * The base's history with as many items that made a layer as there are layers, or tools count wrong (attacks.md C6).
 * One with too many describes another image, and is not kept.
 */
function fittingHistory({ history, diffIDs }: ImageConfig): readonly JsonObject[] {
  const made = history.filter((item) => item['empty_layer'] !== true).length
  const kept = made > diffIDs.length ? [] : history
  const missing = diffIDs.length - (kept.length > 0 ? made : 0)
  return [
    ...kept,
    ...Array.from({ length: missing }, () => ({ comment: 'the base image has no history of this layer' })),
  ]
}

function labelsOf(base: ImageBase, options: AppendOptions): Readonly<Record<string, string>> {
  const original = originalBase(base.config)
  const digest = original ? original.digest : base.manifestDigest
  const all = { ...base.config.labels, ...options.labels }
  const { [BASE_DIGEST_LABEL]: _digest, [BASE_LAYERS_LABEL]: _layers, ...others } = all
  return sorted({
    ...others,
    ...(digest !== undefined && { [BASE_DIGEST_LABEL]: digest }),
    [BASE_LAYERS_LABEL]: String(original ? original.layers : base.layers.length),
  })
}

/** image-spec, annotations.md § Pre-Defined Annotation Keys. */
function annotationsOf(base: ImageBase, options: AppendOptions): Readonly<Record<string, string>> {
  const key = (name: string) => `org.opencontainers.image.${name}`
  return sorted({
    ...options.labels,
    [key('created')]: options.created,
    ...(options.baseName !== undefined && { [key('base.name')]: options.baseName }),
    ...(base.manifestDigest !== undefined && { [key('base.digest')]: base.manifestDigest }),
    ...(options.title !== undefined && { [key('title')]: options.title }),
    ...(options.description !== undefined && { [key('description')]: options.description }),
  })
}

/** By key: the order of a map must not reach a digest. */
export function sorted(map: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
