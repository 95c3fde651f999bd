/**
 * Pushing a blob to any registry, while it is still being made. Three ways, in this order:
 *
 *     stream      POST, one PATCH without a length, PUT       as docker push: all big registries take it
 *     chunked     POST, PATCHes of 1–16 MiB, PUT               proxies that limit a body or its time (413, 524)
 *     monolithic  POST, PUT with everything                    registries without PATCH; needs the digest first
 *
 * What a host took is remembered. Whatever fails on the way, the digest of the PUT decides.
 */
import { throwIfAborted } from '#base/abort.ts'
import { AppError, toAppError } from '#base/errors.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { ChunkReader, sendChunk } from './chunks.ts'
import { isTransient, readRefusal, refusalError } from './failure.ts'
import type { HttpResponse } from './http.ts'
import type { BlobSource, PushOptions } from './repository.ts'
import { backoffMs, isBusy, waitMs } from './retry.ts'
import { UploadSession, isSuccess } from './session.ts'
import type { Part, UploadPlace } from './session.ts'
import { nextStrategy, type HostMemory, type Outcome, type Strategy } from './strategy.ts'

const MOST_CHUNK_BYTES = 64 * 1024 * 1024

export interface UploadTarget extends UploadPlace {
  readonly memory: HostMemory
  /** Whether the blob can really be read: a registry may say yes to one that it has lost (attacks.md A10). */
  readonly isThere: (blob: Descriptor, signal: AbortSignal | undefined) => Promise<boolean>
  readonly log: (text: string) => void
}

/**
 * Push a blob. A return means that the registry has it. Nothing is sent when its digest is known and there already; an
 * upload that fails for good is cancelled at the registry. Throws what the making of the blob throws, `registry_denied`,
 * `registry_refused`, `registry_unavailable`, `registry_untrusted`, `digest_mismatch`, `cancelled`.
 */
export async function uploadBlob(to: UploadTarget, blob: BlobSource, options: PushOptions): Promise<Descriptor> {
  blob.descriptor.catch(() => {}) // whoever reads the blob hears of it
  const upload = new Upload(to, blob, options)
  try {
    const known = await settled(blob.descriptor)
    if (!known || !(await to.isThere(known, options.signal))) await upload.run()
    return await blob.descriptor
  } catch (error) {
    await upload.drop()
    throw toAppError(error)
  }
}

/** The value of a promise that has been kept already, else undefined. */
async function settled<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))])
}

class Upload {
  readonly #to: UploadTarget
  readonly #blob: BlobSource
  readonly #options: PushOptions
  #strategy: Strategy
  #session: UploadSession | undefined
  /** Bytes that have left in this session. */
  #sentBytes = 0
  /** How often the source was read: a try that was refused may still wait for a piece when the next one reads. */
  #reads = 0
  #sourceFailure: { readonly error: unknown } | undefined

  constructor(to: UploadTarget, blob: BlobSource, options: PushOptions) {
    this.#to = to
    this.#blob = blob
    this.#options = options
    this.#strategy = to.memory.strategy
  }

  async run(): Promise<void> {
    for (let failures = 0; ;) {
      throwIfAborted(this.#options.signal)
      const outcome = await this.#attempt()
      if (outcome.kind === 'done') break
      if (outcome.kind === 'unsuited' || !outcome.keepSession) await this.drop()
      failures++
      const next = nextStrategy(this.#strategy, outcome, failures)
      if (next === undefined) throw outcome.error
      this.#to.log(`${this.#to.name}: ${outcome.error.message} Uploading again (${next}).`)
      if (next !== this.#strategy) {
        await this.drop()
        failures = 0
        this.#strategy = next
      }
      const pauseMs =
        outcome.kind === 'again' ? (outcome.waitMs ?? backoffMs(Math.max(2, failures + 1), this.#pace)) : 0
      await this.#pace.sleep(pauseMs, this.#options.signal)
      if (await this.#isThere()) break
    }
    this.#to.memory.strategy = this.#strategy
  }

  /** Cancel the session at the registry, if there is one. */
  async drop(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    this.#sentBytes = 0
    await session?.cancel()
  }

  get #pace() {
    return this.#to.client.pace
  }

  /** The answer to a PUT may have been lost: then the blob is there. */
  async #isThere(): Promise<boolean> {
    const known = await settled(this.#blob.descriptor)
    if (known === undefined || !(await this.#to.isThere(known, this.#options.signal))) return false
    await this.drop()
    return true
  }

  async #attempt(): Promise<Outcome> {
    try {
      if (this.#strategy === 'stream') return await this.#stream()
      return this.#strategy === 'chunked' ? await this.#chunked() : await this.#monolithic()
    } catch (error) {
      throw toAppError(this.#sourceFailure ? this.#sourceFailure.error : error)
    }
  }

  /** Our bytes may be sent once more after a cut connection. (What carries none has been tried five times by the client.) */
  async #sent(sending: Promise<HttpResponse>): Promise<HttpResponse | Outcome> {
    try {
      return await sending
    } catch (error) {
      if (this.#sourceFailure || !isTransient(error)) throw error
      return { kind: 'again', error, keepSession: true }
    }
  }

  async #stream(): Promise<Outcome> {
    const from = await this.#resume()
    const session = await this.#open()
    const response = await this.#sent(session.patch({ body: () => this.#counted(from) }, this.#options.signal))
    if ('kind' in response) return response
    return isSuccess(response) ? this.#finish(session) : this.#judge(response)
  }

  async #chunked(): Promise<Outcome> {
    await this.drop()
    const session = await this.#open()
    const { memory, client } = this.#to
    if (session.chunkMinBytes > MOST_CHUNK_BYTES) {
      const text = `${client.host} wants chunks of ${session.chunkMinBytes} bytes, and each is held in memory.`
      return { kind: 'unsuited', error: new AppError('registry_refused', text), status: 0 }
    }
    const size = () => Math.max(memory.chunkBytes, session.chunkMinBytes)
    const context = {
      session,
      memory,
      signal: this.#options.signal,
      judge: (r: HttpResponse) => this.#judge(r),
      pace: this.#pace,
    }
    await using reader = new ChunkReader(this.#read(0))
    for (let chunk = await reader.take(size()), from = 0; ;) {
      const following = memory.isLastChunkInFinish ? await reader.take(size()) : undefined
      if (following?.length === 0 && chunk.length > 0) {
        this.#progress(from + chunk.length)
        return this.#finish(session, { body: chunk, from, size: chunk.length })
      }
      if (chunk.length === 0) return this.#finish(session)
      const outcome = await sendChunk(chunk, from, context)
      if (outcome.kind !== 'done') return outcome
      from += chunk.length
      this.#progress(from)
      chunk = following ?? (await reader.take(size()))
    }
  }

  async #monolithic(): Promise<Outcome> {
    // A blob may be hashed by whoever reads it first: then that is us.
    if (!(await settled(this.#blob.descriptor))) for await (const _ of this.#read(0)) continue
    const { size } = await this.#madeBlob()
    await this.drop()
    const session = await this.#open()
    return this.#finish(session, { body: () => this.#counted(0), size })
  }

  async #open(): Promise<UploadSession> {
    this.#session ??= await UploadSession.open(this.#to, this.#options.signal)
    return this.#session
  }

  /** Where a cut stream goes on: what the registry says, if that can be true; else from the start in a new session. */
  async #resume(): Promise<number> {
    const received = await this.#session?.receivedBytes(this.#options.signal)
    if (received !== undefined && received > 0 && received <= this.#sentBytes) return received
    await this.drop()
    return 0
  }

  async #finish(session: UploadSession, last?: Part): Promise<Outcome> {
    const { digest, size } = await this.#madeBlob()
    if (typeof last?.body !== 'function' && this.#sentBytes !== size)
      throw new AppError('digest_mismatch', `A blob of ${size} bytes gave ${this.#sentBytes} when it was read.`)
    const response = await this.#sent(session.finish(digest, last, this.#options.signal))
    if ('kind' in response) return response
    if (!isSuccess(response)) return this.#judge(response, true)
    await response.discard()
    const stored = response.headers['docker-content-digest']
    if (stored?.toString().startsWith('sha256:') && stored !== digest) throw storedOther(this.#to, digest)
    this.#session = undefined
    return { kind: 'done' }
  }

  async #madeBlob(): Promise<Descriptor> {
    try {
      return await this.#blob.descriptor
    } catch (error) {
      this.#sourceFailure = { error }
      throw error
    }
  }

  /** What a refusal means for the upload. Throws what no other try will change. */
  async #judge(response: HttpResponse, isFinish = false): Promise<Outcome> {
    const { status, isEarly } = response
    const { client, memory, name } = this.#to
    const refusal = await readRefusal(response)
    const error = refusalError(refusal, { name, host: client.host, action: 'upload a blob' })
    if (isEarly && status < 300) return { kind: 'again', error, keepSession: false }
    if (status === 401 || status === 403) throw error
    if (isFinish && this.#strategy === 'chunked' && status === 500) memory.isLastChunkInFinish = true
    if (isBusy(status)) {
      const wait = waitMs(response, 2, this.#pace)
      if (wait === undefined) throw error
      const said = response.headers['retry-after'] === undefined ? {} : { waitMs: wait }
      return { kind: 'again', error, keepSession: true, ...said }
    }
    const isLost = status === 404 || refusal.errors.some(({ code }) => code === 'BLOB_UPLOAD_UNKNOWN')
    const isMixedUp = isFinish && (status === 400 || status === 416) && this.#strategy !== 'monolithic'
    if (!isLost && !isMixedUp) return { kind: 'unsuited', error, status }
    return { kind: 'again', error, keepSession: false }
  }

  #progress(sentBytes: number): void {
    this.#options.onProgress?.(sentBytes)
  }

  async *#counted(from: number): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#read(from)) {
      yield chunk
      this.#progress(this.#sentBytes)
    }
  }

  async *#read(from: number): AsyncGenerator<Uint8Array> {
    const reading = new AbortController()
    const { signal = reading.signal } = this.#options
    const read = ++this.#reads
    this.#sentBytes = 0
    try {
      for await (const chunk of this.#blob.open(AbortSignal.any([signal, reading.signal]))) {
        if (read !== this.#reads) return
        const skipped = Math.max(0, from - this.#sentBytes)
        this.#sentBytes += chunk.length
        if (skipped < chunk.length) yield chunk.subarray(skipped)
      }
    } catch (error) {
      this.#sourceFailure = { error }
      throw error
    } finally {
      reading.abort()
    }
  }
}

function storedOther(to: UploadTarget, digest: Digest): AppError {
  return new AppError('digest_mismatch', `${to.client.host} stored ${digest} of ${to.name} under another digest.`, {
    details: { registry: to.client.host, digest },
  })
}
