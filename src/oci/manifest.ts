import { MEDIA_TYPES } from './descriptor.ts'
import type { Descriptor } from './descriptor.ts'
import { parseDigest } from './digest.ts'
import { asArray, asObject, asString, asStringMap, isObject, parseJsonObject, refuse } from './json.ts'
import type { JsonObject } from './json.ts'

/** An image manifest: OCI, or Docker schema 2 (image-spec, manifest.md). */
export interface Manifest {
  readonly mediaType: string
  readonly config: Descriptor
  /** Base first. */
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

/** One image for several platforms: an OCI index, or a Docker manifest list (image-spec, image-index.md). */
export interface Index {
  readonly mediaType: string
  readonly manifests: readonly IndexEntry[]
}

export interface IndexEntry extends Descriptor {
  readonly platform?: Platform
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

const MANIFESTS: readonly string[] = [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest]
const INDEXES: readonly string[] = [MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerManifestList]
const CONFIGS: readonly string[] = [MEDIA_TYPES.ociConfig, MEDIA_TYPES.dockerConfig]
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i // RFC 6838 § 4.2
const FOREIGN = 'application/vnd.oci.image.layer.nondistributable.v1.tar'

/** Every layer type that we know, and what it is called in an OCI manifest. */
const LAYERS: ReadonlyMap<string, string> = new Map([
  [MEDIA_TYPES.ociLayer, MEDIA_TYPES.ociLayer],
  [MEDIA_TYPES.ociLayerGzip, MEDIA_TYPES.ociLayerGzip],
  [MEDIA_TYPES.ociLayerZstd, MEDIA_TYPES.ociLayerZstd],
  [MEDIA_TYPES.dockerLayer, MEDIA_TYPES.ociLayer],
  [MEDIA_TYPES.dockerLayerGzip, MEDIA_TYPES.ociLayerGzip],
  ['application/vnd.docker.image.rootfs.diff.tar.zstd', MEDIA_TYPES.ociLayerZstd], // no standard, but BuildKit writes it
  [MEDIA_TYPES.dockerForeignLayer, `${FOREIGN}+gzip`],
  ['application/vnd.docker.image.rootfs.foreign.diff.tar', FOREIGN],
  [FOREIGN, FOREIGN],
  [`${FOREIGN}+gzip`, `${FOREIGN}+gzip`],
  [`${FOREIGN}+zstd`, `${FOREIGN}+zstd`],
])

/** Whether `mediaType` is an index's (or a Docker manifest list's), and not a manifest's. */
export function isIndex(mediaType: string): boolean {
  return INDEXES.includes(mediaType)
}

/** A layer that must not be uploaded: whoever wants it has to fetch it from its own source (image-spec, layer.md). */
export function isForeignLayer({ mediaType }: Pick<Descriptor, 'mediaType'>): boolean {
  return ociLayerType(mediaType).startsWith(FOREIGN)
}

/** What a layer's media type is in an OCI manifest: the same bytes by another name. Throws `image_unsupported`. */
export function ociLayerType(mediaType: string): string {
  return LAYERS.get(mediaType) ?? refuse('layer', `has the unknown media type ${quote(mediaType)}`)
}

/**
 * Untrusted `bytes`, which were said to be a `mediaType`, as a manifest. Throws `image_unsupported` for schema 1, for
 * unknown media types, and for a document that others could read as something else (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Manifest {
  if (!MANIFESTS.includes(mediaType)) refuseType(mediaType)
  const json = parseDocument(bytes, mediaType, 'manifest')
  if (json['manifests'] !== undefined) refuse('manifest', 'is an index at the same time')
  if (json['artifactType'] !== undefined) refuse('manifest', 'is an artifact, not an image')
  const config = parseDescriptor(json['config'], 'config')
  if (!CONFIGS.includes(config.mediaType)) refuse('config', `has the unknown media type ${quote(config.mediaType)}`)
  const layers = asArray(json['layers'], 'list of layers').map((layer) => parseDescriptor(layer, 'layer'))
  for (const layer of layers) ociLayerType(layer.mediaType)
  return { mediaType, config, layers, annotations: asStringMap(json['annotations'], 'annotations') }
}

/** Untrusted `bytes`, which were said to be a `mediaType`, as an index. Throws `image_unsupported`, as parseManifest does. */
export function parseIndex(bytes: Uint8Array, mediaType: string): Index {
  if (!isIndex(mediaType)) refuseType(mediaType)
  const json = parseDocument(bytes, mediaType, 'index')
  for (const key of ['config', 'layers', 'fsLayers']) {
    if (json[key] !== undefined) refuse('index', 'is a manifest at the same time')
  }
  const manifests = asArray(json['manifests'], 'list of manifests').map((entry) => {
    const platform = platformOf(asObject(entry, 'index')['platform'])
    return { ...parseDescriptor(entry, 'index'), ...(platform && { platform }) }
  })
  return { mediaType, manifests }
}

/** The manifest of `index` for `platform`: the same variant before none, none before another. Throws `image_unsupported`. */
export function selectPlatform(index: Index, platform: Platform): IndexEntry {
  const wanted = normalise(platform)
  const rank = (entry: IndexEntry): number => {
    if (!entry.platform || !MANIFESTS.includes(entry.mediaType)) return Infinity
    const { os, architecture, variant } = normalise(entry.platform)
    if (os !== wanted.os || architecture !== wanted.architecture) return Infinity
    if (variant === wanted.variant) return 0
    return variant === undefined ? 1 : 2
  }
  const [best] = index.manifests.toSorted((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)))
  if (best && rank(best) < Infinity) return best
  const there = index.manifests.map((entry) => (entry.platform ? platformText(entry.platform) : 'unknown'))
  const list = [...new Set(there)].slice(0, 20).join(', ')
  return refuse('index', `has no manifest for ${platformText(platform)}; it has: ${list || 'none'}`)
}

/** `linux/arm64/v8`. */
export function platformText({ os, architecture, variant }: Platform): string {
  return variant ? `${os}/${architecture}/${variant}` : `${os}/${architecture}`
}

function parseDocument(bytes: Uint8Array, mediaType: string, what: string): JsonObject {
  const json = parseJsonObject(bytes, what)
  if (json['schemaVersion'] !== 2) refuse(what, 'is not of schema version 2')
  const own = json['mediaType']
  const isOptional = mediaType === MEDIA_TYPES.ociManifest || mediaType === MEDIA_TYPES.ociIndex
  if (own !== mediaType && !(own === undefined && isOptional)) {
    const name = typeof own === 'string' ? quote(own) : 'nothing that is text'
    refuse(what, `calls itself ${name}, but was given as ${quote(mediaType)}`)
  }
  return json
}

function parseDescriptor(value: unknown, what: string): Descriptor {
  const json = asObject(value, `${what} descriptor`)
  const mediaType = asString(json['mediaType'], `${what} media type`)
  if (!MEDIA_TYPE.test(mediaType)) refuse(`${what} media type`, 'is malformed')
  const size = json['size']
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) refuse(`${what} size`, 'is not a size')
  const digest = asString(json['digest'], `${what} digest`)
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) refuse(`${what} digest`, 'is not sha256: and 64 hex digits')
  const urls = asArray(json['urls'], `${what} URLs`).map((url) => asString(url, `${what} URLs`))
  const annotations = asStringMap(json['annotations'], `${what} annotations`)
  return {
    mediaType,
    digest: parseDigest(digest),
    size,
    ...(Object.keys(annotations).length > 0 && { annotations }),
    ...(urls.length > 0 && { urls }),
  }
}

/** A platform that is not in plain words is as good as none: it matches nothing, and reaches no terminal. */
function platformOf(value: unknown): Platform | undefined {
  if (!isObject(value)) return undefined
  const { os, architecture, variant } = value
  if (!isWord(os) || !isWord(architecture)) return undefined
  if (variant === undefined || variant === '') return { os, architecture }
  return isWord(variant) ? { os, architecture, variant } : undefined
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^[\w.-]{1,64}$/.test(value)
}

const ALIASES: ReadonlyMap<string, readonly [architecture: string, variant?: string]> = new Map([
  ['x86_64', ['amd64']],
  ['i386', ['386']],
  ['aarch64', ['arm64']],
  ['armhf', ['arm', 'v7']],
  ['armel', ['arm', 'v6']],
])
const DEFAULT_VARIANTS: ReadonlyMap<string, string> = new Map([
  ['amd64', 'v1'],
  ['arm64', 'v8'],
  ['arm', 'v7'],
])

/** The names that containerd's platforms package takes for the same thing. */
function normalise(platform: Platform): Platform {
  const [architecture, implied] = ALIASES.get(platform.architecture) ?? [platform.architecture]
  const variant = implied ?? platform.variant?.replace(/^(?=\d$)/, 'v')
  const isDefault = variant === DEFAULT_VARIANTS.get(architecture)
  return { os: platform.os, architecture, ...(variant && !isDefault && { variant }) }
}

function refuseType(mediaType: string): never {
  if (isIndex(mediaType)) return refuse('manifest', 'is an index of several platforms, where that of one was expected')
  if (MANIFESTS.includes(mediaType)) return refuse('index', 'is the manifest of one platform')
  if (mediaType.startsWith('application/vnd.docker.distribution.manifest.v1')) {
    return refuse(
      'manifest',
      'is of schema 1, which names no layer by its content; push the image again with a newer tool',
    )
  }
  return refuse('manifest', `has the unknown media type ${quote(mediaType)}`)
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100))
}
