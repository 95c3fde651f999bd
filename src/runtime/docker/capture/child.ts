import type { Readable, Writable } from 'node:stream'
import { sleep, throwIfAborted } from '#base/abort.ts'
import { systemClock } from '#base/clock.ts'
import { AppError, toAppError } from '#base/errors.ts'
import { thawLeftovers } from '#freezer/recover.ts'
import { parseReference } from '#oci/reference.ts'
import { locateInstance } from '#runtime/docker/locate-instance.ts'
import { openRegistries } from '#runtime/registries.ts'
import { capture } from '#snapshot/capture.ts'
import { readLines } from '#snapshot/read-lines.ts'
import type { Captured, CaptureOptions, ComposedManifest, Progress } from '#snapshot/result.ts'
import {
  encodeLine,
  MOST_LINE_BYTES,
  parseCommand,
  parseRequest,
  type ChildMessage,
  type ChildRequest,
} from './protocol.ts'

export interface ChildParts {
  readonly input: Readable
  readonly output: Writable
  /** SIGTERM and the like. */
  readonly signal: AbortSignal
}

/** A capture before this one that is about to end holds the upperdir, or has the container frozen, no longer than this. */
const PATIENCE_MS = 5_000
const RETRY_MS = 100
const PROGRESS_MS = 200

/**
 * Capture for a server: a request comes in, events go out, and the capture ends, thawed and tidy, as soon as the server
 * says so or is no longer there. Resolves to whether it was saved; what went wrong was said as `failed`.
 */
export async function runCaptureChild({ input, output, signal }: ChildParts): Promise<boolean> {
  const server = new ServerLink(input, output)
  try {
    const request = await server.request
    const captured = await captureFor(server, request, AbortSignal.any([signal, server.gone]))
    server.send({ type: 'result', captured })
    return true
  } catch (error) {
    // Once it is cancelled, whatever fails fails because of that.
    const cause = signal.aborted ? signal.reason : server.gone.aborted ? server.gone.reason : error
    const { code, message, details } = toAppError(cause)
    server.send({ type: 'failed', code, message, details })
    return false
  }
}

async function captureFor(server: ServerLink, request: ChildRequest, signal: AbortSignal): Promise<Captured> {
  await thawLeftovers()
  const options = await optionsOf(server, request, signal)
  const { socketPath, containerId, home } = request
  const deadlineMs = systemClock.monotonicMs() + PATIENCE_MS
  for (;;) {
    try {
      const source = await locateInstance({ socketPath, containerId, home, signal })
      return await capture(source, options)
    } catch (error) {
      throwIfAborted(signal)
      const isHeld = error instanceof AppError && ['capture_in_progress', 'container_paused'].includes(error.code)
      if (!isHeld || systemClock.monotonicMs() > deadlineMs) throw error
      await sleep(RETRY_MS, signal)
    }
  }
}

async function optionsOf(server: ServerLink, request: ChildRequest, signal: AbortSignal): Promise<CaptureOptions> {
  const { capture: wanted, home, zstdEverywhere, usesTracepoints, workers, spoolBytes, maxLayerBytes } = request
  const { captureId: _, registries, ...rest } = wanted
  const { registry, repository, tag } = parseReference(wanted.reference)
  if (tag === undefined || registry.toLowerCase() !== registries.target.host)
    throw new AppError('reference_invalid', `${wanted.reference} is no tag in ${registries.target.host}.`)
  const repositoryOf = openRegistries([registries.target, ...registries.others])
  return {
    ...rest,
    target: await repositoryOf(`${registry}/${repository}`, { isTarget: true }),
    tag,
    repositoryOf,
    home,
    zstdEverywhere,
    singlePass: false,
    freeze: true,
    ...(usesTracepoints !== undefined && { usesTracepoints }),
    ...(workers !== undefined && { workers }),
    ...(spoolBytes !== undefined && { spoolBytes }),
    ...(maxLayerBytes !== undefined && { maxLayerBytes }),
    signal,
    onProgress: everySoOften((progress) => server.send({ type: 'progress', ...progress })),
    onTaken: () => server.send({ type: 'thawed' }),
    beforePut: (manifest) => server.confirm(manifest, signal),
  }
}

/** The first of each pass and phase at once, of the others one in a while. */
function everySoOften(send: (progress: Progress) => void): (progress: Progress) => void {
  let last = { phase: '', pass: 0, atMs: 0 }
  return (progress) => {
    const { phase, pass } = progress
    const nowMs = systemClock.monotonicMs()
    if (phase === last.phase && pass === last.pass && nowMs - last.atMs < PROGRESS_MS) return
    last = { phase, pass, atMs: nowMs }
    send(progress)
  }
}

/** The child's end of the line to its server. */
export class ServerLink {
  readonly request: Promise<ChildRequest>
  /** Fires when the server has cancelled, or is gone. */
  readonly gone: AbortSignal
  readonly #output: Writable
  /** Of the manifest that was sent last: after a lost layer there is a second one. */
  #onConfirmed = () => {}

  constructor(input: Readable, output: Writable) {
    const request = Promise.withResolvers<ChildRequest>()
    const gone = new AbortController()
    const end = (why: string) => {
      const error = new AppError('cancelled', why)
      gone.abort(error)
      request.reject(error)
    }
    request.promise.catch(() => {})
    let isFirst = true
    readLines(input, {
      mostBytes: MOST_LINE_BYTES,
      onTooLong: () => end('The request is too long.'),
      onLine: (line) => {
        if (isFirst) {
          isFirst = false
          try {
            request.resolve(parseRequest(line))
          } catch (error) {
            request.reject(error)
          }
          return
        }
        const type = parseCommand(line)?.type
        if (type === 'confirm') this.#onConfirmed()
        if (type === 'cancel') end('Cancelled.')
      },
    })
    for (const event of ['end', 'close', 'error']) input.once(event, () => end('The server has ended.'))
    output.on('error', () => end('The server has ended.'))
    this.request = request.promise
    this.gone = gone.signal
    this.#output = output
  }

  send(message: ChildMessage): void {
    this.#output.write(encodeLine(message))
  }

  /** Resolves when the server has kept the manifest. Throws `cancelled`. */
  confirm({ digest, mediaType, bytes }: ComposedManifest, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      throwIfAborted(signal)
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      this.#onConfirmed = resolve
      this.send({ type: 'manifest', digest, mediaType, manifest: Buffer.from(bytes).toString() })
    })
  }
}
