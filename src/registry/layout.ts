import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, link, open, rm, stat } from 'node:fs/promises'
import { join, resolve as resolvePath } from 'node:path'
import { throwIfAborted } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf, parseDigest } from '#oci/digest.ts'
import type { Digest } from '#oci/digest.ts'
import { checkLayout, isMissing, namingErrors, prepareLayout, readIfThere, replaceFile } from './layout-files.ts'
import { Flusher, syncDirectory, withLayoutLock } from './layout-files.ts'
import { encodeLayoutIndex, parseLayoutIndex, setLayoutTag } from './layout-index.ts'
import type { CallOptions, PushOptions, Repository } from './repository.ts'
import type { BlobSource } from './repository.ts'

const MANIFEST_BYTES = 4 * 1024 * 1024 // distribution-spec: what every registry takes, and the most that we read
const READ_BYTES = 1024 * 1024

/** Which repositories are layouts, and where: a mount needs the files of both. */
const DIRECTORIES = new WeakMap<Repository, string>()

/**
 * An OCI image layout on disk as a repository. Nothing is made before the first blob or manifest is put.
 * Throws `layout_invalid` for a directory that holds something else.
 */
export async function openLayoutRepository(directory: string): Promise<Repository> {
  const path = resolvePath(directory)
  await namingErrors(path, () => checkLayout(path))
  let prepared: Promise<void> | undefined
  const prepare = () => {
    prepared ??= prepareLayout(path)
    prepared.catch(() => (prepared = undefined)) // what went wrong may be put right before the next call
    return prepared
  }
  const writing = async <T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
    throwIfAborted(signal)
    await prepare()
    return namingErrors(path, work)
  }
  const repository: Repository = {
    name: path,
    notices: [],
    hasBlob: async (digest) => (await sizeOf(blobPath(path, digest))) !== undefined,
    checkBlob: async ({ digest, size }) => (await sizeOf(blobPath(path, digest))) === size,
    openBlob: (descriptor, options) => readBlob(path, descriptor, options),
    async mountBlob(descriptor, from, { signal } = {}) {
      const source = DIRECTORIES.get(from)
      if (source === undefined) return false
      return writing(() => takeBlob(source, path, { descriptor, signal }), signal)
    },
    pushBlob(blob, options = {}) {
      blob.descriptor.catch(() => {}) // a blob that fails says so to its reader, too: that is where it is heard
      return writing(() => storeBlob(path, blob, options), options.signal)
    },
    resolve: (tagOrDigest) => findManifest(path, tagOrDigest),
    getManifest: (tagOrDigest, options) => readManifest(path, tagOrDigest, options),
    putManifest: (bytes, mediaType, { tag, signal } = {}) =>
      writing(() => storeManifest(path, bytes, { mediaType, tag, signal }), signal),
  }
  DIRECTORIES.set(repository, path)
  return repository
}

const blobPath = (directory: string, digest: Digest) => join(directory, 'blobs/sha256', digest.slice('sha256:'.length))

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function* readBlob(directory: string, { digest, size }: Descriptor, { signal }: CallOptions = {}) {
  await using file = await open(blobPath(directory, digest)).catch((cause: unknown) => {
    if (!isMissing(cause)) throw cause
    throw new AppError('blob_missing', `${directory} has no blob ${digest}.`, { cause, details: { digest } })
  })
  const hash = createHash('sha256')
  for (let position = 0; ;) {
    throwIfAborted(signal)
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, position)
    position += bytesRead
    const isEnd = bytesRead === 0
    if (position > size || (isEnd && (position < size || `sha256:${hash.digest('hex')}` !== digest)))
      throw new AppError('digest_mismatch', `The blob ${digest} of ${directory} is damaged: remove the file.`, {
        details: { digest },
      })
    if (isEnd) return
    hash.update(buffer.subarray(0, bytesRead))
    yield buffer.subarray(0, bytesRead)
  }
}

interface Take {
  readonly descriptor: Descriptor
  readonly signal: AbortSignal | undefined
}

/** The same file under a second name; on another file system a copy, which shares its blocks where the system can. */
async function takeBlob(from: string, to: string, { descriptor, signal }: Take): Promise<boolean> {
  const target = blobPath(to, descriptor.digest)
  if ((await sizeOf(target)) === descriptor.size) return true
  const source = blobPath(from, descriptor.digest)
  if ((await sizeOf(source)) !== descriptor.size) return false
  // Read once: a damaged blob must not become part of another image.
  for await (const _ of readBlob(from, descriptor, signal ? { signal } : {}));
  await rm(target, { force: true }) // of another size: damaged
  try {
    await link(source, target)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return true
    await replaceFile(target, (file) => copyFile(source, `/proc/self/fd/${file.fd}`, constants.COPYFILE_FICLONE))
  }
  return true
}

/** The digest is taken from the bytes that are written, not from what the maker of the blob says. */
async function storeBlob(
  directory: string,
  blob: BlobSource,
  { signal, onProgress }: PushOptions,
): Promise<Descriptor> {
  const hash = createHash('sha256')
  let size = 0
  const counted = async function* (flush: (size: number) => void) {
    for await (const chunk of blob.open(signal)) {
      throwIfAborted(signal)
      if (!blob.isHashed) hash.update(chunk)
      yield chunk
      size += chunk.byteLength
      flush(size)
      onProgress?.(size)
    }
  }
  await replaceFile(join(directory, 'blobs/sha256/new'), async (file) => {
    const flusher = new Flusher(file)
    await file.writeFile(counted((written) => flusher.onWritten(written)))
    await flusher.finish()
    const expected = await blob.descriptor
    const digest = blob.isHashed ? expected.digest : parseDigest(`sha256:${hash.digest('hex')}`)
    throwIfAborted(signal)
    if (expected.digest === digest && expected.size === size) return blobPath(directory, digest)
    throw new AppError(
      'digest_mismatch',
      `A blob for ${directory} is not what was announced: ${digest}, not ${expected.digest}.`,
    )
  })
  return blob.descriptor
}

async function readIndex(directory: string) {
  return parseLayoutIndex(directory, await readIfThere(join(directory, 'index.json')))
}

async function findManifest(directory: string, tagOrDigest: string): Promise<Descriptor | undefined> {
  const { manifests } = await readIndex(directory)
  const isDigest = tagOrDigest.startsWith('sha256:')
  const found = manifests.find(({ tag, descriptor }) => (isDigest ? descriptor.digest : tag) === tagOrDigest)
  if (found || !isDigest) return found?.descriptor
  return findUnlisted(directory, parseDigest(tagOrDigest))
}

/** A manifest that index.json does not list: one of a nested index. What it is it says itself. */
async function findUnlisted(directory: string, digest: Digest): Promise<Descriptor | undefined> {
  const size = await sizeOf(blobPath(directory, digest))
  if (size === undefined || size > MANIFEST_BYTES) return undefined
  const text = await readIfThere(blobPath(directory, digest))
  const mediaType = parseMediaType(text ?? '')
  return mediaType === undefined ? undefined : { mediaType, digest, size }
}

function parseMediaType(text: string): string | undefined {
  try {
    const json = JSON.parse(text) as { mediaType?: unknown; layers?: unknown; manifests?: unknown } | null
    if (typeof json?.mediaType === 'string') return json.mediaType
    if (Array.isArray(json?.layers)) return MEDIA_TYPES.ociManifest // image-spec: mediaType may be left out
    return Array.isArray(json?.manifests) ? MEDIA_TYPES.ociIndex : undefined
  } catch {
    return undefined
  }
}

async function readManifest(directory: string, tagOrDigest: string, options: CallOptions = {}) {
  const descriptor = await findManifest(directory, tagOrDigest)
  if (!descriptor || (await sizeOf(blobPath(directory, descriptor.digest))) === undefined)
    throw new AppError('image_not_found', `${directory} has no image ${tagOrDigest}: check the reference.`)
  if (descriptor.size > MANIFEST_BYTES)
    throw new AppError('layout_invalid', `The manifest ${tagOrDigest} of ${directory} is larger than 4 MiB.`)
  const chunks: Buffer[] = []
  for await (const chunk of readBlob(directory, descriptor, options)) chunks.push(chunk)
  return { descriptor, bytes: Buffer.concat(chunks) }
}

interface ManifestToStore {
  readonly mediaType: string
  readonly tag: string | undefined
  readonly signal: AbortSignal | undefined
}

/** First the manifest as a blob, flushed; then, under the lock, the index that names it. */
async function storeManifest(directory: string, bytes: Uint8Array, { mediaType, tag, signal }: ManifestToStore) {
  const descriptor: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
  await replaceFile(blobPath(directory, descriptor.digest), (file) => file.writeFile(bytes))
  await syncDirectory(join(directory, 'blobs/sha256'))
  await withLayoutLock(
    directory,
    async () => {
      const index = setLayoutTag(await readIndex(directory), descriptor, tag)
      throwIfAborted(signal)
      await replaceFile(join(directory, 'index.json'), (file) => file.writeFile(encodeLayoutIndex(index)))
      await syncDirectory(directory)
    },
    signal,
  )
  return descriptor
}
