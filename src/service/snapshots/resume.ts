import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { isForeignLayer, parseManifest } from '#oci/manifest.ts'
import type { Repository } from '#registry/repository.ts'
import type { SnapshotDetail } from '#store/snapshot-record.ts'

export interface ResumeOptions {
  readonly target: Repository
  readonly tag: string
  readonly signal: AbortSignal
}

/** What was stored before a put that may or may not have happened. */
export interface StoredManifest {
  readonly digest: string
  readonly text: string
}

/** Whether the tag stands for the image that this snapshot has made: then it is saved, whatever happened since. */
export async function isTagOurs(digest: string, { target, tag, signal }: ResumeOptions): Promise<boolean> {
  return (await target.resolve(tag, { signal }))?.digest === digest
}

/**
 * Go on with a manifest that another server has stored: put it if all its blobs are there, and verify (attacks.md B7).
 * False: blobs are gone, so that only a new capture helps. Throws `tag_exists`, `digest_mismatch`, `registry_…`.
 */
export async function putStored(
  { digest, text }: StoredManifest,
  snapshot: Pick<SnapshotDetail, 'overwrite' | 'imageUrl'>,
  { target, tag, signal }: ResumeOptions,
): Promise<boolean> {
  const isThere = async () => {
    const there = await target.resolve(tag, { signal })
    if (there && there.digest !== digest && !snapshot.overwrite)
      throw new AppError('tag_exists', `${snapshot.imageUrl} exists already.`)
    return there?.digest === digest
  }
  if (await isThere()) return true
  const bytes = Buffer.from(text)
  if (!(await hasBlobs(target, bytes, signal))) return false
  try {
    await target.putManifest(bytes, MEDIA_TYPES.ociManifest, {
      tag,
      signal,
      beforeRetry: async () => void (await isThere()),
    })
  } catch (error) {
    if (error instanceof AppError && error.code === 'blob_missing') return false
    throw error
  }
  const found = await target.resolve(tag, { signal })
  if (found?.digest === digest) return true
  throw new AppError('digest_mismatch', `${snapshot.imageUrl} was moved by someone else while it was saved.`)
}

async function hasBlobs(target: Repository, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
  for (const blob of blobsOf(bytes)) if (!(await target.checkBlob(blob, { signal }))) return false
  return true
}

function blobsOf(bytes: Uint8Array): readonly Descriptor[] {
  const { config, layers } = parseManifest(bytes, MEDIA_TYPES.ociManifest)
  return [config, ...layers.filter((layer) => !isForeignLayer(layer))]
}

/** What the image takes in the registry: its config and its layers. */
export function sizeOfImage(text: string): number {
  return blobsOf(Buffer.from(text)).reduce((sum, { size }) => sum + size, 0)
}
