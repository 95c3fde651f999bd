import { digestOf } from '#oci/digest.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Repository } from '#registry/repository.ts'
import type { StoredTar } from '#lab/layer-stack.ts'

export interface StackImageOptions {
  readonly tag: string
  /** As an image of ours says it: the lowest layers are of another image. */
  readonly base?: { readonly layers: number; readonly digest?: string }
  readonly config?: object
  readonly labels?: Readonly<Record<string, string>>
  readonly history?: readonly object[]
  readonly annotations?: Readonly<Record<string, string>>
}

/** Put the layers into a repository as an image. */
export async function putStackImage(
  repository: Repository,
  layers: readonly StoredTar[],
  options: StackImageOptions,
): Promise<Descriptor> {
  const push = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length }
    return repository.pushBlob({
      descriptor: Promise.resolve(descriptor),
      async *open() {
        yield bytes
      },
    })
  }
  for (const layer of layers) await push(layer.descriptor.mediaType, layer.bytes)
  const { base } = options
  const labels = {
    ...options.labels,
    ...(base && { 'io.tintype.base.layers': String(base.layers) }),
    ...(base?.digest && { 'io.tintype.base.digest': base.digest }),
  }
  const json = {
    created: '2026-11-24T00:00:00Z',
    os: 'linux',
    architecture: 'amd64',
    config: { Labels: labels, ...options.config },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffID }) => diffID) },
    ...(options.history && { history: options.history }),
  }
  const config = await push(MEDIA_TYPES.ociConfig, Buffer.from(JSON.stringify(json)))
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config,
    layers: layers.map(({ descriptor }) => descriptor),
    ...(options.annotations && { annotations: options.annotations }),
  }
  return repository.putManifest(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPES.ociManifest, { tag: options.tag })
}
