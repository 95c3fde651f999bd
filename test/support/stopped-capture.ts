import type { CaptureOptions } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import { fakeImage, storeImage } from './fake-image.ts'
import type { FakeRepository } from './fake-repository.ts'

/** Options of a capture into `target:v1`, of which nothing is special. */
export function captureOptions(target: FakeRepository, home: string): CaptureOptions {
  return {
    target,
    reference: `${target.name}:v1`,
    tag: 'v1',
    repositoryOf: () => Promise.resolve(target),
    home,
    labels: {},
    exclusions: [],
    overwrite: false,
    compression: 'none',
    zstdEverywhere: false,
    full: false,
    singlePass: false,
    freeze: true,
  }
}

/** A stopped container whose writable layer is `upperdir`, on a base image that `registry` has. */
export async function stoppedSource(upperdir: string, registry: FakeRepository): Promise<Source> {
  const image = fakeImage(['base'])
  await storeImage(image, registry)
  const repoDigests = [{ repository: registry.name, digest: image.manifestDigest }]
  const base = { ...image.base, repoDigests }
  return { containerId: 'c', containerName: 'c', upperdir, mountPoints: [], uidMap: [], gidMap: [], base }
}
