import { gzipSync } from 'node:zlib'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf, parseDiffID } from '#oci/digest.ts'
import type { Digest } from '#oci/digest.ts'
import type { BaseImage } from '#snapshot/source.ts'
import type { FakeRepository } from './fake-repository.ts'

/** An image made of texts; each layer's "tar" is its text. */
export interface FakeImage {
  readonly base: BaseImage
  readonly config: Buffer
  readonly configDescriptor: Descriptor
  readonly layers: readonly { readonly descriptor: Descriptor; readonly tar: Buffer; readonly bytes: Buffer }[]
  readonly manifest: Buffer
  readonly manifestDigest: Digest
}

export interface FakeImageOptions {
  readonly isDocker?: boolean
  readonly env?: readonly string[]
  /** Instead of the texts' own descriptors. */
  readonly layer?: (descriptor: Descriptor, index: number) => Descriptor
}

export function fakeImage(texts: readonly string[], options: FakeImageOptions = {}): FakeImage {
  const type = options.isDocker
    ? ([MEDIA_TYPES.dockerManifest, MEDIA_TYPES.dockerConfig, MEDIA_TYPES.dockerLayerGzip] as const)
    : ([MEDIA_TYPES.ociManifest, MEDIA_TYPES.ociConfig, MEDIA_TYPES.ociLayerGzip] as const)
  const layers = texts.map((text, index) => {
    const tar = Buffer.from(text)
    const bytes = gzipSync(tar)
    const descriptor = { mediaType: type[2], digest: digestOf(bytes), size: bytes.length }
    return { tar, bytes, descriptor: options.layer?.(descriptor, index) ?? descriptor }
  })
  const diffIDs = layers.map(({ tar }) => parseDiffID(digestOf(tar)))
  const platform = { os: 'linux', architecture: 'amd64' }
  const json = { ...platform, config: { Env: options.env ?? [] }, rootfs: { type: 'layers', diff_ids: diffIDs } }
  const config = Buffer.from(JSON.stringify(json))
  const configDescriptor = { mediaType: type[1], digest: digestOf(config), size: config.length }
  const document = {
    schemaVersion: 2,
    mediaType: type[0],
    config: configDescriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  }
  const manifest = Buffer.from(JSON.stringify(document))
  const base: BaseImage = {
    name: 'base:1',
    repoDigests: [],
    configDigest: configDescriptor.digest,
    diffIDs,
    originalLayers: diffIDs.length,
    platform,
    export: () => Promise.reject(new Error('the engine was asked for the image')),
  }
  return { base, config, configDescriptor, layers, manifest, manifestDigest: digestOf(manifest) }
}

/** Put all of `image` into `repository`. */
export async function storeImage(image: FakeImage, repository: FakeRepository): Promise<void> {
  for (const { bytes } of image.layers) repository.blobs.set(digestOf(bytes), bytes)
  repository.blobs.set(image.configDescriptor.digest, image.config)
  const { mediaType } = JSON.parse(image.manifest.toString()) as { mediaType: string }
  await repository.putManifest(image.manifest, mediaType)
}
