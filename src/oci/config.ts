import { parseDigest, parseDiffID } from './digest.ts'
import type { Digest, DiffID } from './digest.ts'
import { asArray, asObject, asString, asStringMap, isObject, parseJsonObject, refuse } from './json.ts'
import type { JsonObject } from './json.ts'
import type { Platform } from './manifest.ts'

/** An image config (image-spec, config.md): what we need of it, and all of it. */
export interface ImageConfig {
  /** Exactly what was parsed, with the keys that we do not know. */
  readonly json: JsonObject
  readonly platform: Platform
  /** Base first. */
  readonly diffIDs: readonly DiffID[]
  readonly labels: Readonly<Record<string, string>>
  /** May be empty, and need not fit the layers. */
  readonly history: readonly JsonObject[]
}

/** The image under all layers of ours (design.md §4.9). The digest is missing when that image was in no registry. */
export interface OriginalBase {
  readonly digest?: Digest
  readonly layers: number
}

/** The labels by which an image of ours says on what it was built. */
export const BASE_DIGEST_LABEL = 'io.tintype.base.digest'
export const BASE_LAYERS_LABEL = 'io.tintype.base.layers'

/** Untrusted `bytes` as an image config. Throws `image_unsupported` for what is malformed or no image of layers. */
export function parseConfig(bytes: Uint8Array): ImageConfig {
  const json = parseJsonObject(bytes, 'config')
  const rootfs = asObject(json['rootfs'], 'rootfs')
  if (rootfs['type'] !== 'layers') refuse('rootfs', 'is not made of layers')
  const { variant } = json
  return {
    json,
    platform: {
      os: asString(json['os'], 'os'),
      architecture: asString(json['architecture'], 'architecture'),
      ...(typeof variant === 'string' && variant !== '' && { variant }),
    },
    diffIDs: asArray(rootfs['diff_ids'], 'list of diff_ids').map(diffID),
    labels: isObject(json['config']) ? asStringMap(json['config']['Labels'], 'labels') : {},
    history: asArray(json['history'], 'history').map((item) => asObject(item, 'history')),
  }
}

/**
 * What the labels say of the image under our layers; undefined when they say nothing, or something that cannot be true:
 * anyone may write labels.
 */
export function originalBase(config: Pick<ImageConfig, 'labels' | 'diffIDs'>): OriginalBase | undefined {
  const count = config.labels[BASE_LAYERS_LABEL]
  if (count === undefined || !/^\d{1,4}$/.test(count) || Number(count) > config.diffIDs.length) return undefined
  const digest = config.labels[BASE_DIGEST_LABEL]
  if (digest !== undefined && !isDigest(digest)) return undefined
  return { layers: Number(count), ...(digest !== undefined && { digest: parseDigest(digest) }) }
}

function diffID(value: unknown): DiffID {
  const text = asString(value, 'diff_id')
  return isDigest(text) ? parseDiffID(text) : refuse('diff_id', 'is not sha256: and 64 hex digits')
}

function isDigest(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text)
}
