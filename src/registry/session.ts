/** One upload session at a registry: always the latest Location, whatever it looks like (distribution-spec, Pushing Blobs). */
import { AppError } from '#base/errors.ts'
import type { Digest } from '#oci/digest.ts'
import type { RegistryClient } from './client.ts'
import { responseError } from './failure.ts'
import type { HttpResponse } from './http.ts'

/** Storage back ends copy or hash what has arrived before they answer: minutes for gigabytes (distribution on S3, Harbor). */
const PATCH_IDLE_MS = 300_000
const FINISH_IDLE_MS = 900_000
const CANCEL_MS = 5_000

/** The repository that is uploaded to. */
export interface UploadPlace {
  readonly client: RegistryClient
  readonly repository: string
  /** `registry/repository`, for messages. */
  readonly name: string
  readonly scopes: readonly string[]
  /** Takes a sentence that the user should read. */
  readonly notice?: (sentence: string) => void
}

export interface Part {
  readonly body: Uint8Array | (() => AsyncIterable<Uint8Array>)
  /** Where it starts in the blob; given only where the registry is to check it. */
  readonly from?: number
  readonly size?: number
}

export class UploadSession {
  readonly #place: UploadPlace
  #location: URL
  /** The least that a chunk but the last must have: OCI-Chunk-Min-Length. */
  readonly chunkMinBytes: number

  private constructor(place: UploadPlace, location: URL, chunkMinBytes: number) {
    this.#place = place
    this.#location = location
    this.chunkMinBytes = chunkMinBytes
  }

  /** Begin an upload. Throws `registry_denied`, `registry_refused`, `registry_unavailable`. */
  static async open(place: UploadPlace, signal: AbortSignal | undefined): Promise<UploadSession> {
    const url = `/v2/${place.repository}/blobs/uploads/`
    const headers = { 'content-length': '0' }
    const response = await place.client.call({ method: 'POST', url, scopes: place.scopes, headers, signal })
    const context = { name: place.name, host: place.client.host, action: 'begin an upload' }
    if (!isSuccess(response)) throw await responseError(response, context)
    const session = await UploadSession.continue(place, response)
    if (session === undefined)
      throw new AppError('registry_refused', `${place.client.host} began an upload without saying where.`)
    return session
  }

  /** The session that an answer offers, if it does: a refused mount does. The body is discarded. */
  static async continue(place: UploadPlace, response: HttpResponse): Promise<UploadSession | undefined> {
    await response.discard()
    const location = await place.client.locationOf(response)
    const least = Number(response.headers['oci-chunk-min-length'] ?? 0)
    return location && new UploadSession(place, location, Number.isSafeInteger(least) && least > 0 ? least : 0)
  }

  /** Send bytes. Any answer comes back; after a success the session has moved on. */
  async patch(part: Part, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const response = await this.#place.client.call({
      method: 'PATCH',
      url: this.#location,
      scopes: this.#place.scopes,
      headers: partHeaders(part),
      body: part.body,
      signal,
      idleMs: PATCH_IDLE_MS,
      retries: false,
    })
    if (isSuccess(response)) await this.#follow(response)
    return response
  }

  /** Say that the blob is complete, with its last part if there is one. Any answer comes back. */
  async finish(digest: Digest, part: Part | undefined, signal: AbortSignal | undefined): Promise<HttpResponse> {
    return this.#place.client.call({
      method: 'PUT',
      url: withDigest(this.#location, digest),
      scopes: this.#place.scopes,
      headers: part ? partHeaders(part) : { 'content-length': '0', 'content-type': 'application/octet-stream' },
      ...(part && { body: part.body }),
      signal,
      idleMs: FINISH_IDLE_MS,
      retries: false,
    })
  }

  /** How many bytes the registry says that it has, or undefined when it does not say: only a hint (zot, ECR and Docker's 0-0 are wrong at times). */
  async receivedBytes(signal: AbortSignal | undefined): Promise<number | undefined> {
    const response = await this.#place.client.call({
      method: 'GET',
      url: this.#location,
      scopes: this.#place.scopes,
      signal,
    })
    await response.discard()
    if (!isSuccess(response)) return undefined
    await this.#follow(response)
    const range = /^(?:bytes[ =])?0-(\d+)$/.exec(response.headers['range'] ?? '')
    if (!range) return response.headers['range'] === undefined ? 0 : undefined
    // "0-0" says both "nothing" and "one byte"; nobody sends one byte.
    return range[1] === '0' ? 0 : Number(range[1]) + 1
  }

  /** Give the session up, so that the registry can drop its bytes. Never throws; at most 5 s. */
  async cancel(): Promise<void> {
    const signal = AbortSignal.timeout(CANCEL_MS)
    const { client, scopes } = this.#place
    try {
      const url = this.#location
      const response = await client.call({ method: 'DELETE', url, scopes, signal, retries: false })
      await response.discard()
    } catch {
      // It expires by itself, and what led here is what the caller wants to know.
    }
  }

  async #follow(response: HttpResponse): Promise<void> {
    await response.discard()
    this.#location = (await this.#place.client.locationOf(response)) ?? this.#location
  }
}

/** Registries differ in which 2xx they answer: ECR says 201 to a PATCH. An answer before the end of the body is none of them. */
export function isSuccess(response: HttpResponse): boolean {
  return [200, 201, 202, 204].includes(response.status) && !response.isEarly
}

function partHeaders({ from, size }: Part): Record<string, string> {
  return {
    'content-type': 'application/octet-stream',
    ...(size !== undefined && { 'content-length': String(size) }),
    // Not RFC 9110's form: without "bytes" and total (distribution-spec; ACR refuses the other one).
    ...(from !== undefined && size !== undefined && { 'content-range': `${from}-${from + size - 1}` }),
  }
}

// As text: URLSearchParams would write the registry's own state anew, and break what it has signed.
function withDigest(location: URL, digest: Digest): URL {
  const url = new URL(location)
  url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`
  return url
}
