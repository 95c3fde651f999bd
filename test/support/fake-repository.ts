import { AppError } from '#base/errors.ts'
import { throwIfAborted } from '#base/abort.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import type { Digest } from '#oci/digest.ts'
import type { BlobSource, CallOptions, PushOptions, Repository } from '#registry/repository.ts'

export interface FakeRepository extends Repository {
  readonly blobs: Map<Digest, Uint8Array>
  /** By digest and by tag. */
  readonly manifests: Map<string, { readonly descriptor: Descriptor; readonly bytes: Uint8Array }>
  /** Every call that has begun: `hasBlob sha256:…`, `putManifest v1`. */
  readonly calls: readonly string[]
  /** How many calls of this name there were. */
  count(method: keyof Repository): number
}

export interface FakeOptions {
  /** Before each call, with its entry of `calls`: what it throws, the call throws. */
  readonly onCall?: (call: string) => void | Promise<void>
  /** What the registry wants its users to read. */
  readonly notices?: readonly string[]
  /** Uploads that break after their first bytes and start again, as a client does when a connection is cut. */
  readonly brokenUploads?: number
  /** Blobs that a garbage collection has taken: the registry says that it has them, and mounts them, but sends nothing. */
  readonly lost?: Set<Digest>
}

/** A repository in memory: `registry/repository`. Blobs are mounted between repositories of the same registry only. */
export function fakeRepository(name: string, options: FakeOptions = {}): FakeRepository {
  const blobs: FakeRepository['blobs'] = new Map()
  const manifests: FakeRepository['manifests'] = new Map()
  const calls: string[] = []
  const lost = options.lost ?? new Set()
  let broken = options.brokenUploads ?? 0

  const begin = async (method: string, what: string, { signal }: CallOptions = {}) => {
    throwIfAborted(signal)
    calls.push(`${method} ${what}`)
    await options.onCall?.(`${method} ${what}`)
    throwIfAborted(signal)
  }
  const upload = async (blob: BlobSource, { signal, onProgress }: PushOptions): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = []
    let sent = 0
    for await (const chunk of blob.open(signal)) {
      throwIfAborted(signal)
      chunks.push(Uint8Array.from(chunk)) // the sender may use its buffer again
      sent += chunk.length
      onProgress?.(sent)
      if (broken > 0) {
        broken--
        return upload(blob, { ...(signal && { signal }), ...(onProgress && { onProgress }) })
      }
    }
    return Buffer.concat(chunks)
  }

  return {
    name,
    notices: options.notices ?? [],
    blobs,
    manifests,
    calls,
    count: (method) => calls.filter((call) => call.startsWith(`${method} `)).length,
    async hasBlob(digest, call) {
      await begin('hasBlob', digest, call)
      return blobs.has(digest) || lost.has(digest)
    },
    async checkBlob({ digest }, call) {
      await begin('checkBlob', digest, call)
      return blobs.has(digest) && !lost.has(digest)
    },
    async *openBlob({ digest }, call) {
      await begin('openBlob', digest, call)
      const bytes = lost.has(digest) ? undefined : blobs.get(digest)
      if (!bytes) throw new AppError('blob_missing', `${name} has no blob ${digest}.`)
      const half = Math.ceil(bytes.length / 2)
      for (const part of [bytes.subarray(0, half), bytes.subarray(half)]) {
        throwIfAborted(call?.signal)
        yield part
      }
      if (digestOf(bytes) !== digest) throw new AppError('digest_mismatch', `${name} sent other bytes for ${digest}.`)
    },
    async mountBlob({ digest }, from, call) {
      await begin('mountBlob', digest, call)
      const bytes = registryOf(from.name) === registryOf(name) ? blobsOf(from)?.get(digest) : undefined
      if (bytes) blobs.set(digest, bytes)
      return bytes !== undefined || lost.has(digest)
    },
    async pushBlob(blob, call = {}) {
      await begin('pushBlob', '', call)
      const bytes = await upload(blob, call)
      const descriptor = await blob.descriptor
      if (digestOf(bytes) !== descriptor.digest || bytes.length !== descriptor.size)
        throw new AppError('digest_mismatch', `${name} was sent other bytes than ${descriptor.digest}.`)
      blobs.set(descriptor.digest, bytes)
      lost.delete(descriptor.digest)
      return descriptor
    },
    async resolve(tagOrDigest, call) {
      await begin('resolve', tagOrDigest, call)
      return manifests.get(tagOrDigest)?.descriptor
    },
    async getManifest(tagOrDigest, call) {
      await begin('getManifest', tagOrDigest, call)
      const found = manifests.get(tagOrDigest)
      if (!found) throw new AppError('image_not_found', `${name} has no ${tagOrDigest}.`)
      return found
    },
    async putManifest(bytes, mediaType, call = {}) {
      await begin('putManifest', call.tag ?? '', call)
      const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length }
      for (const key of [descriptor.digest, ...(call.tag === undefined ? [] : [call.tag])]) {
        manifests.set(key, { descriptor, bytes: Uint8Array.from(bytes) })
      }
      return descriptor
    },
  }
}

function registryOf(name: string): string {
  return name.slice(0, name.indexOf('/'))
}

function blobsOf(repository: Repository): FakeRepository['blobs'] | undefined {
  return 'blobs' in repository && repository.blobs instanceof Map ? repository.blobs : undefined
}
