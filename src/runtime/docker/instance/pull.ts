import { createInterface } from 'node:readline'
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { formatReference, parseReference } from '#oci/reference.ts'
import type { Login, PullProgress } from '#runtime/runtime.ts'
import { streamOf, type EngineApi } from '#runtime/docker/api.ts'
import { list, number, object, text } from '#runtime/docker/json.ts'

export interface PullOptions {
  readonly imageUrl: string
  /** What a tag stands for, where that is known. */
  readonly imageDigest?: string | undefined
  readonly imageAuth?: Login | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
  /** How long the engine may say nothing of it. */
  readonly silenceMs?: number
}

/** Some engines say nothing while they unpack a layer, on slow disks for long. */
const SILENCE_MS = 30 * 60_000

/** What an image runs when nobody says otherwise. */
export interface ImageCommand {
  readonly command: readonly string[]
}

/**
 * The image, pulled if the engine has not got it, or has what the tag stood for before. Throws `reference_invalid`,
 * `image_not_found`, `registry_denied`, `registry_unavailable`, `insufficient_resource`, `engine_unavailable`.
 */
export async function ensureImage(api: EngineApi, options: PullOptions): Promise<ImageCommand> {
  const { imageUrl, imageDigest } = options
  const { registry, repository, tag, digest } = parseReference(imageUrl)
  // An engine takes a digest before a tag, and pulls all tags where it is given neither.
  const named = { registry, repository, ...(digest ? { digest } : { tag: tag ?? 'latest' }) }
  const found = await findImage(api, formatReference(named), options.signal)
  const isOld = imageDigest !== undefined && !digest && !found?.digests.includes(imageDigest)
  if (found && !isOld) return { command: found.command }
  await pull(api, registry, { fromImage: `${registry}/${repository}`, tag: digest ?? tag ?? 'latest' }, options)
  const pulled = await findImage(api, formatReference(named), options.signal)
  if (pulled) return { command: pulled.command }
  throw new AppError('image_not_found', `The engine has pulled ${imageUrl} and lost it again: try again.`)
}

/** Until the engine says that it is done. */
async function pull(api: EngineApi, registry: string, query: Readonly<Record<string, string>>, options: PullOptions) {
  const { imageUrl, silenceMs = SILENCE_MS } = options
  const tooLong = new AbortController()
  const timer = setTimeout(() => tooLong.abort(), silenceMs)
  try {
    const answer = await api.call('POST', '/images/create', {
      query,
      isStream: true,
      signal: options.signal ? AbortSignal.any([options.signal, tooLong.signal]) : tooLong.signal,
      refuse: (status, words) => (status === 0 ? undefined : pullError(imageUrl, words)),
      ...(options.imageAuth && { login: { ...options.imageAuth, registry } }),
    })
    await followPull(streamOf(answer), options, () => timer.refresh())
  } catch (error) {
    throwIfAborted(options.signal)
    if (!tooLong.signal.aborted) throw error
    const message = `The engine has said nothing of the pull of ${imageUrl} for ${silenceMs / 60_000} minutes: see its log, and try again.`
    throw new AppError('engine_unavailable', message, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

async function findImage(api: EngineApi, name: string, signal?: AbortSignal) {
  const answer = await api.call('GET', `/images/${name}/json`, { accept: [404], signal })
  const { Id, Config, RepoDigests } = object(answer)
  if (Id === undefined) return undefined
  const { Entrypoint, Cmd } = object(Config)
  const digests = list(RepoDigests).map((each) => text(each).replace(/^.*@/, ''))
  return { command: [...list(Entrypoint), ...list(Cmd)].map(text), digests }
}

/** The engine's own account of a pull (one JSON object a line), which may end in an error although it began with 200. */
async function followPull(stream: NodeJS.ReadableStream, options: PullOptions, onLine: () => void): Promise<void> {
  const { imageUrl, signal, onProgress } = options
  const layers = new Map<string, { readonly bytes: number; readonly total: number }>()
  try {
    for await (const line of createInterface({ input: stream })) {
      throwIfAborted(signal)
      onLine()
      const { id, status, progressDetail, error } = parseLine(line)
      if (typeof error === 'string') throw pullError(imageUrl, error)
      const { current, total } = object(progressDetail)
      const before = layers.get(text(id))
      // What is unpacked was counted when it came.
      if (text(status) === 'Downloading') layers.set(text(id), { bytes: number(current), total: number(total) })
      else if (before && /^(?:Download|Pull) complete$/.test(text(status)))
        layers.set(text(id), { ...before, bytes: before.total })
      else continue
      onProgress?.(sum(layers.values()))
    }
  } catch (error) {
    throwIfAborted(signal)
    if (error instanceof AppError) throw error
    const message = `The engine broke off the pull of ${imageUrl}: try again.`
    throw new AppError('engine_unavailable', message, { cause: error })
  }
}

function parseLine(line: string) {
  try {
    return object(JSON.parse(line))
  } catch {
    return {} // an engine that was killed has not finished its sentence; that the image is missing is seen later
  }
}

function sum(layers: Iterable<{ readonly bytes: number; readonly total: number }>): PullProgress {
  let [bytes, bytesTotal] = [0, 0]
  for (const layer of layers) {
    bytes += layer.bytes
    bytesTotal += layer.total
  }
  return { phase: 'pulling', bytes, bytesTotal }
}

/** Engines hand on what a registry said, as text only. */
function pullError(image: string, words: string): AppError {
  const details = { image }
  const says = `(${words.trim()})`
  if (/denied|unauthorized|authentication required|no basic auth|forbidden/i.test(words)) {
    const message = `The image ${image} may not be pulled, or does not exist ${says}: check its name, and give ImageAuth.`
    return new AppError('registry_denied', message, { details })
  }
  if (/manifest unknown|not found|no such image|does not exist|name unknown/i.test(words))
    return new AppError('image_not_found', `There is no image ${image} ${says}: check its name and tag.`, { details })
  if (/no matching manifest|no match for platform/i.test(words)) {
    const message = `The image ${image} is not made for this host ${says}: choose one of its platform.`
    return new AppError('image_unsupported', message, { details })
  }
  if (/no space left/i.test(words)) {
    const message = `The engine's disk has no room for the image ${image} ${says}: remove images that nobody uses.`
    return new AppError('insufficient_resource', message, { details })
  }
  const message = `The image ${image} could not be pulled ${says}: check the registry's address, and try again.`
  return new AppError('registry_unavailable', message, { details })
}
