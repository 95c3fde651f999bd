/** Blobs of one repository: asked for, read with their digest checked, taken over from another repository. */
import { createHash } from 'node:crypto'
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import type { Call } from './client.ts'
import { isTransient, responseError } from './failure.ts'
import type { HttpResponse } from './http.ts'
import { TRIES, backoffMs } from './retry.ts'
import { UploadSession } from './session.ts'
import type { UploadPlace } from './session.ts'

/** Whether the registry says that it has the blob. Throws `registry_…`. */
export async function headBlob(place: UploadPlace, digest: Digest, signal: AbortSignal | undefined): Promise<boolean> {
  const response = await get(place, digest, { method: 'HEAD', signal })
  await response.discard()
  if (response.status === 404) return false
  if (response.status === 200) return true
  throw await responseError(response, { name: place.name, host: place.client.host, action: 'ask for a blob' })
}

type GetOptions = Pick<Call, 'signal' | 'headers'> & { readonly method?: 'GET' | 'HEAD' }

function get(place: UploadPlace, digest: Digest, options: GetOptions): Promise<HttpResponse> {
  const url = `/v2/${place.repository}/blobs/${digest}`
  return place.client.call({ method: 'GET', url, scopes: place.scopes, isDownload: true, ...options })
}

/**
 * Whether the blob's first byte arrives: a registry may still say yes to what its garbage collection has taken (attacks.md
 * A10). Who may push and not read (a policy of ECR's can be so) has to believe it, and gets a notice.
 */
export async function probeBlob(
  place: UploadPlace,
  { digest, size }: Descriptor,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (size === 0) return headBlob(place, digest, signal)
  // Twice: a lost blob cuts the connection where its bytes should come, and so may a network.
  for (let tries = 1; tries <= 2; tries++) {
    const response = await get(place, digest, { headers: { range: 'bytes=0-0' }, signal })
    const isDenied = response.status === 401 || response.status === 403
    if (response.status === 404 || response.status === 416) {
      await response.discard()
      return false
    }
    if (isDenied) {
      await response.discard()
      const isThere = await headBlob(place, digest, signal)
      // Storage that may not say what it has denies what it has not (S3 without s3:ListBucket), or this host.
      if (isThere && !isOwnAnswer(place, response)) throw storageDenies(place, response)
      if (isThere)
        place.notice?.(`${place.client.host} does not let us read blobs: that they are there is its word alone.`)
      return isThere
    }
    if (response.status !== 200 && response.status !== 206)
      throw await responseError(response, { name: place.name, host: place.client.host, action: 'read a blob' })
    if (await hasFirstByte(response, signal)) return true
  }
  return false
}

function storageDenies({ client, name }: UploadPlace, { url, status }: HttpResponse): AppError {
  const message = `${client.host} sends us to ${url.host} for the blobs of ${name}, which does not let us read them (${status}): allow this host there.`
  return new AppError('registry_denied', message, { details: { registry: client.host, status } })
}

/** Whether the registry itself answers, and no storage that it sends us to. */
function isOwnAnswer({ client }: UploadPlace, { url }: HttpResponse): boolean {
  return new URL(`${url.protocol}//${client.host}`).host === url.host
}

async function hasFirstByte(response: HttpResponse, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    for await (const chunk of response.body) if (chunk.length > 0) return true
  } catch (error) {
    throwIfAborted(signal)
    if (!isTransient(error)) throw error
  }
  return false
}

/**
 * The blob's bytes; a cut connection is taken up where it broke. Throws `blob_missing`, at the end `digest_mismatch` when
 * they were not the digest's, and no byte beyond the descriptor's size.
 */
export async function* readBlob(
  place: UploadPlace,
  { digest, size }: Descriptor,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  let position = 0
  for (let failures = 0; ;) {
    const before = position
    try {
      for await (const chunk of readFrom(place, digest, { from: position, signal })) {
        position += chunk.length
        if (position > size) throw otherBytes(place, digest)
        hash.update(chunk)
        yield chunk
      }
      break
    } catch (error) {
      if (position > before) failures = 0
      if (!isTransient(error) || ++failures >= TRIES) throw error
      await place.client.pace.sleep(backoffMs(failures + 1, place.client.pace), signal)
    }
  }
  if (`sha256:${hash.digest('hex')}` !== digest) throw otherBytes(place, digest)
}

interface ReadFromOptions {
  readonly from: number
  readonly signal: AbortSignal | undefined
}

async function* readFrom(place: UploadPlace, digest: Digest, { from, signal }: ReadFromOptions) {
  const headers = from > 0 ? { range: `bytes=${from}-` } : {}
  const response = await get(place, digest, { headers, signal })
  if (response.status === 404) {
    await response.discard()
    const details = { registry: place.client.host, digests: [digest] }
    throw new AppError('blob_missing', `${place.name} has no blob ${digest}.`, { details })
  }
  if (response.status !== 200 && response.status !== 206)
    throw await responseError(response, { name: place.name, host: place.client.host, action: 'read a blob' })
  // Who ignores the range sends all of it.
  let skip = response.status === 200 ? from : 0
  for await (const chunk of response.body) {
    const rest = chunk.subarray(skip)
    skip = Math.max(0, skip - chunk.length)
    if (rest.length > 0) yield rest
  }
}

function otherBytes(place: UploadPlace, digest: Digest): AppError {
  return new AppError('digest_mismatch', `${place.name} answered other bytes than ${digest} says.`, {
    details: { registry: place.client.host, digest },
  })
}

/** Take a blob over from `source`, a repository of the same registry. False when the registry would not, for whatever reason. */
export async function takeBlob(
  place: UploadPlace,
  digest: Digest,
  { source, signal }: { readonly source: string; readonly signal: AbortSignal | undefined },
): Promise<boolean> {
  // Docker Hub wants the pull scope of the source even if that is public (rust-oci-client#235).
  const scopes = [...place.scopes, `repository:${source}:pull`]
  const query = `mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(source)}`
  const url = `/v2/${place.repository}/blobs/uploads/?${query}`
  let response: HttpResponse
  try {
    response = await place.client.call({ method: 'POST', url, scopes, headers: { 'content-length': '0' }, signal })
  } catch (error) {
    if (error instanceof AppError && error.code === 'registry_denied') return false
    throw error
  }
  if (response.status === 202) await (await UploadSession.continue(place, response))?.cancel()
  else await response.discard()
  return response.status === 201
}
