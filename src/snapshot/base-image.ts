/** The base image in a registry: found by digest and proven to be what the container runs on, never by tag (attacks.md B4). */
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { ImageBase } from '#oci/append-layers.ts'
import { parseConfig } from '#oci/config.ts'
import type { ImageConfig } from '#oci/config.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { JSON_LIMIT_BYTES } from '#oci/json.ts'
import { isIndex, parseIndex, parseManifest, selectPlatform } from '#oci/manifest.ts'
import type { Manifest } from '#oci/manifest.ts'
import type { CallOptions, Repository } from '#registry/repository.ts'
import type { BaseImage } from './source.ts'

export interface FoundBase {
  readonly image: ImageBase & { readonly manifestDigest: Digest }
  /** Where its blobs are. */
  readonly repository: Repository
}

export interface BaseSearch {
  /** Missing when no registry has the image: then the engine must export it. */
  readonly found?: FoundBase
  /** Why each candidate before it was not it, for a warning: `registry/repository@digest: sentence`. */
  readonly reasons: readonly string[]
}

/**
 * The base image, by the digests that the engine knows it by: the manifest's config must be the config that runs, and
 * name the layers that run. A registry that does not answer, or has something else, is a reason and not an error.
 * Throws `cancelled`.
 */
export async function findBase(
  base: BaseImage,
  repositoryOf: (repository: string) => Promise<Repository>,
  options: CallOptions = {},
): Promise<BaseSearch> {
  const reasons: string[] = []
  for (const { repository: name, digest } of candidates(base)) {
    throwIfAborted(options.signal)
    try {
      const repository = await repositoryOf(name)
      return { found: { image: await readBase(base, repository, { ...options, digest }), repository }, reasons }
    } catch (error) {
      throwIfAborted(options.signal)
      if (!(error instanceof AppError) || error.code === 'cancelled') throw error
      reasons.push(`${name}@${digest}: ${error.message}`)
    }
  }
  return { reasons }
}

/** Throws `base_not_found` for a config that is not the one that runs: other bytes, or other layers. */
export function checkBaseConfig(base: BaseImage, config: ImageConfig, digest: Digest): void {
  if (base.configDigest !== undefined && base.configDigest !== digest) {
    throw new AppError('base_not_found', `Its config is ${digest}, the container runs on ${base.configDigest}.`)
  }
  const { diffIDs } = config
  if (diffIDs.length !== base.diffIDs.length || diffIDs.some((diffID, index) => diffID !== base.diffIDs[index])) {
    throw new AppError('base_not_found', 'Its layers are not those that the container runs on.')
  }
}

/** In each repository first the manifest itself, then what the image was pulled by, which may be an index. */
function candidates(base: BaseImage): readonly { readonly repository: string; readonly digest: Digest }[] {
  const { manifestDigest } = base
  const all = base.repoDigests.flatMap(({ repository, digest }) =>
    [...(manifestDigest === undefined ? [] : [manifestDigest]), digest].map((each) => ({ repository, digest: each })),
  )
  return [...new Map(all.map((each) => [`${each.repository}@${each.digest}`, each])).values()]
}

async function readBase(
  base: BaseImage,
  repository: Repository,
  options: CallOptions & { readonly digest: Digest },
): Promise<FoundBase['image']> {
  const { descriptor, manifest } = await readManifest(base, repository, options)
  if (manifest.config.size > JSON_LIMIT_BYTES) {
    throw new AppError('image_unsupported', `Its config has ${manifest.config.size} bytes, more than 4 MiB.`)
  }
  const config = parseConfig(await readAll(repository.openBlob(manifest.config, options)))
  checkBaseConfig(base, config, manifest.config.digest)
  if (manifest.layers.length !== config.diffIDs.length) {
    throw new AppError('image_unsupported', 'Its manifest and config have different numbers of layers.')
  }
  return { config, layers: manifest.layers, manifestDigest: descriptor.digest }
}

async function readManifest(
  base: BaseImage,
  repository: Repository,
  options: CallOptions & { readonly digest: Digest },
): Promise<{ readonly descriptor: Descriptor; readonly manifest: Manifest }> {
  const first = await repository.getManifest(options.digest, options)
  if (!isIndex(first.descriptor.mediaType)) {
    return { descriptor: first.descriptor, manifest: parseManifest(first.bytes, first.descriptor.mediaType) }
  }
  const entry = selectPlatform(parseIndex(first.bytes, first.descriptor.mediaType), base.platform)
  const { bytes, descriptor } = await repository.getManifest(entry.digest, options)
  if (descriptor.mediaType !== entry.mediaType) {
    throw new AppError('image_unsupported', 'Its index and the registry call the manifest by different types.')
  }
  return { descriptor, manifest: parseManifest(bytes, descriptor.mediaType) }
}

/** Stops reading where a config would be too large, whatever the descriptor says. */
async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > JSON_LIMIT_BYTES) throw new AppError('image_unsupported', 'Its config is larger than 4 MiB.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
