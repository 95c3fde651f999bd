/** Chunked uploads: pieces with a Content-Range, for hosts that do not take one long body. */
import { throwIfAborted } from '#base/abort.ts'
import { isTransient } from './failure.ts'
import type { HttpResponse } from './http.ts'
import { TRIES, backoffMs, waitMs } from './retry.ts'
import type { Pace } from './retry.ts'
import { isSuccess } from './session.ts'
import type { UploadSession } from './session.ts'
import type { HostMemory, Outcome } from './strategy.ts'

const LEAST_CHUNK_BYTES = 1024 * 1024

/** Bytes as they come, which are lent (BlobSource.open), taken in pieces of an asked size, which are the taker's own. */
export class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#chunks = bytes[Symbol.asyncIterator]()
  }

  /** The next `sizeBytes`; fewer at the end, none after it. */
  async take(sizeBytes: number): Promise<Uint8Array> {
    const taken: Uint8Array[] = []
    let missing = sizeBytes
    while (missing > 0) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next()
        if (next.done) break
        this.#rest = next.value
      }
      const piece = this.#rest.subarray(0, missing)
      this.#rest = this.#rest.subarray(piece.length)
      missing -= piece.length
      taken.push(Uint8Array.from(piece))
    }
    return taken.length === 1 && taken[0] ? taken[0] : Buffer.concat(taken)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.()
  }
}

export interface ChunkContext {
  readonly session: UploadSession
  readonly memory: HostMemory
  readonly pace: Pace
  readonly signal: AbortSignal | undefined
  /** What a refusal means when it is none of a chunk's own troubles. */
  readonly judge: (response: HttpResponse) => Promise<Outcome>
}

/**
 * Send one chunk that starts at `from` in the blob; `done` when the registry has all of it. Where a piece begins is what
 * has been sent and accepted, not the registry's Range; that is asked for only after a failure, and only believed when it
 * lies within the chunk. Pieces get smaller when they are refused as too big.
 */
export async function sendChunk(chunk: Uint8Array, from: number, context: ChunkContext): Promise<Outcome> {
  const { session, memory, signal, pace } = context
  let done = 0
  for (let failures = 0; done < chunk.length;) {
    throwIfAborted(signal)
    const piece = chunk.subarray(done, done + Math.max(memory.chunkBytes, session.chunkMinBytes))
    const answer = await sendPiece(piece, from + done, context)
    if (answer.kind === 'accepted') {
      done += piece.length
      failures = 0
      continue
    }
    if (answer.kind === 'ended') return answer.outcome
    if (answer.kind === 'too big') {
      if (!shrink(context)) return answer.outcome
      continue
    }
    if (++failures >= TRIES) return answer.outcome
    if (answer.kind === 'failed') await pace.sleep(answer.waitMs ?? backoffMs(failures + 1, pace), signal)
    const position = await positionIn(chunk.length, from, context)
    if (position === 'elsewhere') return { ...answer.outcome, keepSession: false }
    // GHCR says 416 to a chunk of more than 4 MiB: nothing has moved, so the size may be what it means.
    if (answer.kind === 'out of range' && position === done) shrink(context)
    done = position === 'unknown' ? done : position
  }
  return { kind: 'done' }
}

type Again = Extract<Outcome, { kind: 'again' }>
type Answer =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'ended'; readonly outcome: Outcome }
  | { readonly kind: 'too big'; readonly outcome: Outcome }
  | { readonly kind: 'out of range' | 'failed'; readonly outcome: Again; readonly waitMs?: number }

async function sendPiece(piece: Uint8Array, from: number, context: ChunkContext): Promise<Answer> {
  let response: HttpResponse
  try {
    response = await context.session.patch({ body: piece, from, size: piece.length }, context.signal)
  } catch (error) {
    if (!isTransient(error)) throw error
    return { kind: 'failed', outcome: { kind: 'again', error, keepSession: false } }
  }
  if (isSuccess(response)) return { kind: 'accepted' }
  const asked = response.headers['retry-after'] === undefined ? undefined : waitMs(response, 2, context.pace)
  const outcome = await context.judge(response)
  if (response.status === 413 || response.status === 524) return { kind: 'too big', outcome }
  if (response.status === 416 && outcome.kind === 'unsuited')
    return { kind: 'out of range', outcome: { kind: 'again', error: outcome.error, keepSession: false } }
  if (outcome.kind !== 'again' || !outcome.keepSession) return { kind: 'ended', outcome }
  return { kind: 'failed', outcome, ...(asked !== undefined && { waitMs: asked }) }
}

function shrink({ memory, session }: ChunkContext): boolean {
  const least = Math.max(LEAST_CHUNK_BYTES, session.chunkMinBytes)
  if (memory.chunkBytes <= least) return false
  memory.chunkBytes = Math.max(least, memory.chunkBytes >> 1)
  return true
}

/** How much of the chunk the registry says to have. It may not say (ECR), or be somewhere that this upload cannot go on from. */
async function positionIn(
  size: number,
  from: number,
  { session, signal }: ChunkContext,
): Promise<number | 'unknown' | 'elsewhere'> {
  const received = await session.receivedBytes(signal)
  if (received === undefined) return 'unknown'
  return received >= from && received <= from + size ? received - from : 'elsewhere'
}
