import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { streamOf, type EngineApi } from '#runtime/docker/api.ts'
import type { LogOptions, RuntimeHandle } from '#runtime/runtime.ts'
import { SYSTEM_MARK } from './entry.ts'

/** Of a line that does not end so much is kept. */
const MOST_LINE_BYTES = 16_384
const FRAME_HEADER_BYTES = 8
const NEWLINE = 0x0a

/** As `Runtime.logs`. */
export async function readLogs(
  api: EngineApi,
  { containerId }: RuntimeHandle,
  options: LogOptions & { readonly signal?: AbortSignal | undefined },
): Promise<readonly string[]> {
  const { source, tail, sinceMs, signal } = options
  const lines = new LastLines({ source, tail })
  const gone = new AppError('container_not_found', 'The container is gone.')
  try {
    const answer = await api.call('GET', `/containers/${containerId}/logs`, {
      query: { stdout: '1', stderr: '1', ...(sinceMs !== undefined && { since: (sinceMs / 1000).toFixed(3) }) },
      isStream: true,
      refuse: (status) => (status === 404 ? gone : undefined),
      signal,
    })
    for await (const chunk of streamOf(answer)) lines.take(chunk)
  } catch (error) {
    throwIfAborted(signal)
    if (error !== gone) throw error
  }
  return lines.end()
}

/**
 * The last lines of a log as engines send it: frames with a header each (Engine API, "Stream format"), whose second stream
 * is stderr. A line may go over several frames, and a frame over several chunks.
 */
export class LastLines {
  readonly #options: Pick<LogOptions, 'source' | 'tail'>
  readonly #lines: string[] = []
  readonly #unfinished = new Map<number, Buffer>()
  #rest: Buffer = Buffer.alloc(0)

  constructor(options: Pick<LogOptions, 'source' | 'tail'>) {
    this.#options = options
  }

  take(chunk: Buffer): void {
    let bytes = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (bytes.byteLength >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + bytes.readUInt32BE(4)
      if (bytes.byteLength < end) break
      this.#takeFrame(bytes.readUInt8(0), bytes.subarray(FRAME_HEADER_BYTES, end))
      bytes = bytes.subarray(end)
    }
    this.#rest = Buffer.from(bytes)
  }

  /** What was taken, oldest first, with the lines that have no end yet. */
  end(): readonly string[] {
    for (const rest of this.#unfinished.values()) this.#add(rest)
    this.#unfinished.clear()
    return this.#lines
  }

  #takeFrame(stream: number, frame: Buffer): void {
    let from = 0
    for (let end = frame.indexOf(NEWLINE); end >= 0; end = frame.indexOf(NEWLINE, from)) {
      this.#add(this.#join(stream, frame.subarray(from, end)))
      this.#unfinished.delete(stream)
      from = end + 1
    }
    if (from < frame.byteLength) this.#unfinished.set(stream, this.#join(stream, frame.subarray(from)))
  }

  #join(stream: number, part: Buffer): Buffer {
    const before = this.#unfinished.get(stream) ?? Buffer.alloc(0)
    return Buffer.concat([before, part.subarray(0, Math.max(0, MOST_LINE_BYTES - before.byteLength))])
  }

  #add(line: Buffer): void {
    const text = line.toString('utf8').replace(/\r$/, '')
    const at = text.indexOf(SYSTEM_MARK)
    const isSystem = this.#options.source === 'system'
    // What the command printed last may have no end: then the system's line follows on it.
    if (isSystem ? at < 0 : at === 0) return
    this.#lines.push(isSystem ? text.slice(at + SYSTEM_MARK.length) : at < 0 ? text : text.slice(0, at))
    if (this.#lines.length > this.#options.tail) this.#lines.shift()
  }
}
