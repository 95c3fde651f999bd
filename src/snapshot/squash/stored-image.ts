import { AppError } from '#base/errors.ts'
import { parseConfig } from '#oci/config.ts'
import type { Digest } from '#oci/digest.ts'
import { JSON_LIMIT_BYTES } from '#oci/json.ts'
import { isIndex, parseIndex, parseManifest, platformText, selectPlatform } from '#oci/manifest.ts'
import type { Platform } from '#oci/manifest.ts'
import type { StoredImage } from '#oci/replace-layers.ts'
import type { CallOptions, Repository } from '#registry/repository.ts'

/** An image in a repository; of an index of several platforms the one of this machine. */
export interface FoundImage extends StoredImage {
  readonly repository: Repository
  /** Of its manifest. */
  readonly digest: Digest
  /** What the tag or digest stands for: the manifest, or the index that has it. */
  readonly namedDigest: Digest
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/** This machine's platform in the words of images. */
export function hostPlatform(): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch }
}

/** Read an image's documents. Throws `image_not_found`, `image_unsupported`, `registry_…`. */
export async function readImage(
  repository: Repository,
  tagOrDigest: string,
  options: CallOptions,
): Promise<FoundImage> {
  const named = await repository.getManifest(tagOrDigest, options)
  let found = named
  if (isIndex(named.descriptor.mediaType)) {
    const entry = selectPlatform(parseIndex(named.bytes, named.descriptor.mediaType), hostPlatform())
    found = await repository.getManifest(entry.digest, options)
  }
  const manifest = parseManifest(found.bytes, found.descriptor.mediaType)
  if (manifest.config.size > JSON_LIMIT_BYTES)
    throw new AppError('image_unsupported', `The image's config has ${manifest.config.size} bytes, more than 4 MiB.`)
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of repository.openBlob(manifest.config, options)) {
    bytes += part.byteLength
    if (bytes > JSON_LIMIT_BYTES) throw new AppError('image_unsupported', "The image's config is larger than 4 MiB.")
    parts.push(Uint8Array.from(part))
  }
  const config = parseConfig(Buffer.concat(parts))
  if (config.diffIDs.length !== manifest.layers.length)
    throw new AppError('image_unsupported', 'The image has not as many layers as its config names.')
  return { repository, config, manifest, digest: found.descriptor.digest, namedDigest: named.descriptor.digest }
}

/** Throws `image_unsupported` unless `image` has all layers of `base`, lowest first. */
export function requireBuiltOn(image: StoredImage, base: StoredImage, names: { image: string; base: string }): void {
  const at = base.config.diffIDs.findIndex((diffID, i) => diffID !== image.config.diffIDs[i])
  if (at < 0) return
  const why =
    platformText(image.config.platform) === platformText(base.config.platform)
      ? `its layer ${at + 1} is another`
      : `that is for ${platformText(base.config.platform)}`
  throw new AppError('image_unsupported', `${names.image} is not built on ${names.base}: ${why}. Name another --onto.`)
}
