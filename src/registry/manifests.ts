/** Manifests of one repository: found, read and put, their digests checked. */
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf, parseDigest } from '#oci/digest.ts'
import type { Digest } from '#oci/digest.ts'
import { isRecord, parseJson, printable, readRefusal, refusalError, responseError } from './failure.ts'
import type { Refusal } from './failure.ts'
import type { HttpResponse } from './http.ts'
import { isSuccess } from './session.ts'
import type { UploadPlace } from './session.ts'

export const MANIFEST_BYTES = 4 * 1024 * 1024 // distribution-spec: what every registry takes, and the most that we read

const ACCEPT = [
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.dockerManifest,
  MEDIA_TYPES.dockerManifestList,
].join(', ')

/** What manifests are read with; `place.scopes` are those for reading. */
export type ManifestPlace = UploadPlace

export interface Manifest {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/** The descriptor behind a tag or digest, or undefined. Throws `digest_mismatch`, `registry_…`. */
export async function resolveManifest(
  place: ManifestPlace,
  tagOrDigest: string,
  signal: AbortSignal | undefined,
): Promise<Descriptor | undefined> {
  const response = await request(place, 'HEAD', tagOrDigest, signal)
  await response.discard()
  if (response.status === 404) return undefined
  if (response.status !== 200 && response.status !== 405) throw await refused(place, response)
  const digest = headerDigest(response)
  const size = Number(response.headers['content-length'] ?? Number.NaN)
  const mediaType = contentType(response)
  if (response.status === 200 && digest && Number.isSafeInteger(size) && mediaType) {
    checkAsked(place, tagOrDigest, digest)
    return { mediaType, digest, size }
  }
  // Some say less to a HEAD: then the manifest itself tells.
  return (await readManifest(place, tagOrDigest, signal))?.descriptor
}

/** A manifest's exact bytes, or undefined. Throws `digest_mismatch`, `registry_refused` over 4 MiB, `registry_…`. */
export async function readManifest(
  place: ManifestPlace,
  tagOrDigest: string,
  signal: AbortSignal | undefined,
): Promise<Manifest | undefined> {
  const response = await request(place, 'GET', tagOrDigest, signal)
  if (response.status === 404) {
    await response.discard()
    return undefined
  }
  if (response.status !== 200) throw await refused(place, response)
  const { bytes, isComplete } = await response.read(MANIFEST_BYTES)
  if (!isComplete)
    throw new AppError('registry_refused', `The manifest ${tagOrDigest} of ${place.name} is larger than 4 MiB.`)
  const digest = digestOf(bytes)
  checkAsked(place, tagOrDigest, digest)
  const claimed = headerDigest(response)
  if (claimed !== undefined && claimed !== digest) throw mismatch(place, tagOrDigest)
  return { descriptor: { mediaType: mediaTypeOf(place, response, bytes), digest, size: bytes.length }, bytes }
}

function request(place: ManifestPlace, method: 'GET' | 'HEAD', tagOrDigest: string, signal: AbortSignal | undefined) {
  return place.client.call({
    method,
    url: manifestUrl(place, tagOrDigest),
    scopes: place.scopes,
    headers: { accept: ACCEPT },
    signal,
    isDownload: tagOrDigest.startsWith('sha256:'), // a tag's answer cannot be checked: it comes from the registry itself
  })
}

function manifestUrl(place: ManifestPlace, tagOrDigest: string): string {
  // distribution-spec: what a tag may be; anything else would be another path.
  if (!/^(?:\w[\w.-]{0,127}|sha256:[0-9a-f]{64})$/.test(tagOrDigest))
    throw new AppError('reference_invalid', `Not a tag or digest: "${printable(tagOrDigest)}".`)
  return `/v2/${place.repository}/manifests/${tagOrDigest}`
}

function refused(place: ManifestPlace, response: HttpResponse): Promise<AppError> {
  return responseError(response, { name: place.name, host: place.client.host, action: 'read a manifest' })
}

function headerDigest(response: HttpResponse): Digest | undefined {
  const value = response.headers['docker-content-digest']
  return typeof value === 'string' && value.startsWith('sha256:') ? parseDigest(value) : undefined
}

function contentType(response: HttpResponse): string | undefined {
  const type = (response.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
  return /^application\/vnd\.(?:oci|docker)\./.test(type) ? type : undefined
}

function checkAsked(place: ManifestPlace, tagOrDigest: string, digest: Digest): void {
  if (tagOrDigest.startsWith('sha256:') && tagOrDigest !== digest) throw mismatch(place, tagOrDigest)
}

function mismatch(place: ManifestPlace, tagOrDigest: string): AppError {
  return new AppError(
    'digest_mismatch',
    `${place.name} answered another manifest than its digest says: ${tagOrDigest}.`,
    {
      details: { registry: place.client.host, reference: tagOrDigest },
    },
  )
}

// CVE-2021-41190: bytes that are one thing by their header and another by their content are neither.
function mediaTypeOf(place: ManifestPlace, response: HttpResponse, bytes: Buffer): string {
  const body = parseJson(bytes.toString())
  const inside = isRecord(body) && typeof body['mediaType'] === 'string' ? body['mediaType'] : undefined
  const outside = contentType(response)
  const isBoth = isRecord(body) && 'manifests' in body && ('layers' in body || 'config' in body)
  if (isBoth || (inside !== undefined && outside !== undefined && inside !== outside))
    throw new AppError('registry_refused', `A manifest of ${place.name} is ambiguous: its media types contradict.`)
  const type = outside ?? inside
  if (type === undefined) throw new AppError('registry_refused', `A manifest of ${place.name} has no media type.`)
  return type
}

export interface ManifestToPut {
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly tag?: string | undefined
  readonly beforeRetry?: (() => Promise<void>) | undefined
}

/**
 * Put a manifest under its tag, or its digest alone. Throws `blob_missing` with the digests that the registry lacks,
 * `tag_exists` when the tag may not be moved (success if it is at our digest already), `digest_mismatch`, `registry_…`.
 */
export async function writeManifest(
  place: ManifestPlace,
  { bytes, mediaType, tag, beforeRetry }: ManifestToPut,
  signal: AbortSignal | undefined,
): Promise<Descriptor> {
  const digest = digestOf(bytes)
  const descriptor = { mediaType, digest, size: bytes.length }
  const response = await place.client.call({
    method: 'PUT',
    url: manifestUrl(place, tag ?? digest),
    scopes: place.scopes,
    headers: { 'content-type': mediaType },
    body: bytes,
    signal,
    beforeRetry,
  })
  if (isSuccess(response)) {
    await response.discard()
    const stored = headerDigest(response)
    if (stored !== undefined && stored !== digest) throw mismatch(place, tag ?? digest)
    return descriptor
  }
  const error = putError(place, await readRefusal(response), tag)
  // The answer to an earlier try may have been lost.
  const isOurs = error.code === 'tag_exists' && tag && (await resolveManifest(place, tag, signal))?.digest === digest
  if (isOurs) return descriptor
  throw error
}

const MISSING = new Set(['MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN'])
const IMMUTABLE = /immutable|cannot be overwritten|already exists/i

function putError(place: ManifestPlace, refusal: Refusal, tag: string | undefined): AppError {
  const { host } = place.client
  const missing = refusal.errors.filter(({ code }) => MISSING.has(code))
  if (missing.length > 0) {
    const digests = [...new Set(missing.flatMap((entry) => entry.digests))]
    const which = digests.length > 0 ? `: ${digests.join(', ')}` : ''
    return new AppError('blob_missing', `${place.name} lacks blobs of the image${which}.`, {
      details: { registry: host, digests },
    })
  }
  // ECR: TAG_INVALID or ImageTagAlreadyExistsException; Harbor: 412 PRECONDITION or 409 CONFLICT (registry.md).
  const isImmutable = refusal.errors.some(
    ({ code, message }) => code === 'ImageTagAlreadyExistsException' || IMMUTABLE.test(message),
  )
  if (tag && (isImmutable || refusal.status === 409 || refusal.status === 412))
    return new AppError(
      'tag_exists',
      `${place.name}:${tag} exists, and ${host} does not let it move: choose another tag.`,
      { details: { registry: host, tag, isImmutable: true } },
    )
  return refusalError(refusal, { name: place.name, host, action: 'put a manifest' })
}
