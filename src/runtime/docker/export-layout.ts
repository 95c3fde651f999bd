import { AppError } from '#base/errors.ts'
import { parseConfig } from '#oci/config.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { parseDigest, type DiffID } from '#oci/digest.ts'
import { asArray, asObject, asString, JSON_LIMIT_BYTES, parseJsonObject, type JsonObject } from '#oci/json.ts'
import type { SpooledTar } from './tar-spool.ts'

export interface FoundImage {
  readonly config: Uint8Array
  /** Names of its layers in the export, base first. */
  readonly layers: readonly string[]
}

interface Candidate {
  readonly config: string
  readonly layers: readonly string[]
}

const INDEX_DEPTH = 3

/**
 * The image with these layers in an engine's export: by `manifest.json`, which Docker and Podman write for themselves
 * (`<id>/layer.tar`, `<diffID>.tar` or `blobs/sha256/…`), else by the `index.json` of an OCI image layout.
 * Throws `base_not_found` when it is not among them, `image_unsupported` for an export that is neither.
 */
export async function findExportedImage(tar: SpooledTar, diffIDs: readonly DiffID[]): Promise<FoundImage> {
  for (const { config, layers } of await listCandidates(tar)) {
    const bytes = await readSmall(tar, config)
    const parsed = parseConfig(bytes)
    if (layers.length === diffIDs.length && parsed.diffIDs.join() === diffIDs.join()) return { config: bytes, layers }
  }
  throw new AppError('base_not_found', "The engine's export does not hold the image on which the container runs.")
}

/** How the bytes of a layer are compressed, by their first bytes: the export's own words differ between engines. */
export async function layerType(tar: SpooledTar, name: string): Promise<string> {
  for await (const chunk of tar.read(name)) {
    const magic = Buffer.from(chunk.subarray(0, 4)).toString('hex')
    if (magic.startsWith('1f8b')) return MEDIA_TYPES.ociLayerGzip // RFC 1952 § 2.3.1
    if (magic === '28b52ffd') return MEDIA_TYPES.ociLayerZstd // RFC 8878 § 3.1.1
    break
  }
  return MEDIA_TYPES.ociLayer
}

async function listCandidates(tar: SpooledTar): Promise<readonly Candidate[]> {
  if (tar.has('manifest.json')) {
    const list: unknown = JSON.parse(Buffer.from(await readSmall(tar, 'manifest.json')).toString())
    return asArray(list, 'manifest.json').map((each) => {
      const image = asObject(each, 'manifest.json')
      const layers = asArray(image.Layers, 'Layers').map((layer) => asString(layer, 'a layer of manifest.json'))
      return { config: asString(image.Config, 'Config of manifest.json'), layers }
    })
  }
  return await listIndexed(tar, await readJson(tar, 'index.json'), INDEX_DEPTH)
}

async function listIndexed(tar: SpooledTar, index: JsonObject, depth: number): Promise<readonly Candidate[]> {
  const found: Candidate[] = []
  for (const each of asArray(index.manifests, 'manifests of the index')) {
    const name = blobName(each)
    if (!tar.has(name)) continue // another platform, which this engine does not have
    const manifest = await readJson(tar, name)
    if (manifest.manifests !== undefined && depth > 0) found.push(...(await listIndexed(tar, manifest, depth - 1)))
    else if (manifest.config !== undefined)
      found.push({ config: blobName(manifest.config), layers: asArray(manifest.layers, 'layers').map(blobName) })
  }
  return found
}

function blobName(descriptor: unknown): string {
  const digest = parseDigest(asString(asObject(descriptor, 'a descriptor').digest, 'a digest'))
  return `blobs/${digest.replace(':', '/')}`
}

async function readJson(tar: SpooledTar, name: string): Promise<JsonObject> {
  return parseJsonObject(await readSmall(tar, name), `${name} of the export`)
}

async function readSmall(tar: SpooledTar, name: string): Promise<Uint8Array> {
  if (tar.sizeOf(name) > JSON_LIMIT_BYTES)
    throw new AppError('image_unsupported', `${name} in the engine's export is larger than 4 MiB.`)
  return Buffer.concat(await Array.fromAsync(tar.read(name)))
}
