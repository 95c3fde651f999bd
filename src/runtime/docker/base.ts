import { realpathSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import { originalBase } from '#oci/config.ts'
import type { BaseImage } from '#snapshot/source.ts'
import type { ContainerInfo, ImageInfo } from './inspect.ts'

/** How an engine keeps images, as far as the way from lowerdirs to diffIDs goes (attacks.md B4). */
export type Store = 'overlay2' | 'podman' | 'containerd'

const STORES: Readonly<Record<string, Store>> = { overlay2: 'overlay2', overlay: 'podman', overlayfs: 'containerd' }

/** The store behind an engine's storage driver. Throws `overlay_unsupported`, naming the driver. */
export function storeOf(driver: string): Store {
  const store = Object.hasOwn(STORES, driver) ? STORES[driver] : undefined
  if (store !== undefined) return store
  const message = `The engine stores containers with ${driver || 'an unnamed driver'}: Tintype needs overlay2, Podman's overlay, or containerd's overlayfs.`
  throw new AppError('overlay_unsupported', message, { details: { driver } })
}

/**
 * The image under the lowerdirs of a container. Where the engine says which directory is which layer, they are matched
 * one to one; with the containerd store, where it says nothing, by their number. Throws `overlay_unsupported` when they
 * are not the image's, `image_unsupported` when the engine does not know the image well enough.
 */
export function describeBase(
  store: Store,
  container: ContainerInfo,
  image: ImageInfo,
  lowerdirs: readonly string[],
): Omit<BaseImage, 'export'> {
  const { manifest, imageId, imageName } = container
  const { diffIDs, labels, repoDigests } = image
  if (diffIDs === undefined) throw unknown(imageName, 'layers')
  if (store === 'containerd') {
    if (manifest === undefined) throw unknown(imageName, 'manifest')
    // The engine's own init layer lies over the image's.
    if (lowerdirs.length !== diffIDs.length + 1) throw mismatch(lowerdirs.length, diffIDs.length + 1)
  } else assertSameLayers(withoutInit(store, container, lowerdirs), image, diffIDs.length)
  const platform = manifest?.platform ?? image.platform
  if (platform === undefined) throw unknown(imageName, 'platform')
  return {
    name: imageName,
    repoDigests,
    diffIDs,
    originalLayers: originalBase({ labels, diffIDs })?.layers ?? diffIDs.length,
    platform,
    ...(store === 'containerd' ? manifest && { manifestDigest: manifest.digest } : { configDigest: imageId }),
  }
}

/** The lowerdirs of the image alone, after checking that the engine names the same ones as the kernel. */
function withoutInit(store: Store, { storage }: ContainerInfo, lowerdirs: readonly string[]): readonly string[] {
  const mounted = lowerdirs.map(resolve)
  if (!isSame(mounted, storage.lowerdirs.map(resolve))) throw mismatch(mounted.length, storage.lowerdirs.length)
  if (store === 'podman') return mounted
  const [init, ...rest] = mounted
  if (!init?.endsWith('-init/diff')) throw mismatch(mounted.length, mounted.length + 1)
  return rest
}

function assertSameLayers(mounted: readonly string[], { storage }: ImageInfo, count: number): void {
  const image = [...(storage.upperdir === undefined ? [] : [storage.upperdir]), ...storage.lowerdirs].map(resolve)
  if (image.length !== count || !isSame(mounted, image)) throw mismatch(mounted.length, count)
}

const isSame = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((path, index) => path === b[index])

/** Docker and Podman mount `l/XXXX`, links that are short, to the directories that they name elsewhere. */
function resolve(path: string): string {
  try {
    return realpathSync(path)
  } catch (cause) {
    throw new AppError('overlay_unsupported', `The lower layer ${path} of the container is not on this host.`, {
      cause,
    })
  }
}

function mismatch(found: number, expected: number): AppError {
  const message = `The ${found} lower layers of the container are not the ${expected} that its image makes: it cannot be told what it runs on.`
  return new AppError('overlay_unsupported', message, { details: { found, expected } })
}

function unknown(image: string, what: string): AppError {
  const message = `The engine does not say the ${what} of the image ${image}: pull the image again, start a container from it, and try with that one.`
  return new AppError('image_unsupported', message)
}
