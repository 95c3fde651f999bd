/** A base image that is in no registry: the engine's export, compressed once, and remembered by diffID. */
import { createHash, randomUUID } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, pipeline } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { throwIfAborted } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'
import type { ImageBase } from '#oci/append-layers.ts'
import { parseConfig } from '#oci/config.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf, parseDigest } from '#oci/digest.ts'
import type { Digest, DiffID } from '#oci/digest.ts'
import { isForeignLayer, ociLayerType } from '#oci/manifest.ts'
import type { CallOptions, PushOptions, Repository } from '#registry/repository.ts'
import { checkBaseConfig } from './base-image.ts'
import { readBaseRecord, withRepository, writeBaseRecord } from './base-record.ts'
import type { BaseRecord } from './base-record.ts'
import type { BaseImage } from './source.ts'

export interface ExportOptions extends CallOptions {
  /** TINTYPE_HOME: what was compressed and sent once is remembered below it. */
  readonly home: string
  /** Where a compressed layer lies while it is sent. */
  readonly spoolDirectory: string
  /** How layers that come uncompressed are compressed, and what that makes of them. */
  readonly compression: {
    readonly mediaType: string
    readonly compress: (bytes: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
  }
  readonly repositoryOf: (repository: string) => Promise<Repository>
  /** What is no reason to fail. */
  readonly onWarning?: (sentence: string) => void
}

type Options = ExportOptions & { readonly pushOptions: (layer: Descriptor) => PushOptions }

/** See ensureBaseLayers. The engine is asked for the image only if a layer is in no repository that has had it. */
export async function exportBase(base: BaseImage, target: Repository, options: Options): Promise<ImageBase> {
  const record = await readBaseRecord(base, options.home)
  const there = await knownLayers(record, target, options)
  const known = base.diffIDs.flatMap((diffID) => there.get(diffID) ?? [])
  if (record.config === undefined || known.length < base.diffIDs.length) {
    return sendExport(base, target, { ...options, record, there })
  }
  if (record.repositories[0] !== target.name) {
    await remember(base, withRepository(record, target.name), options)
  }
  return { config: parseConfig(record.config), layers: known }
}

/** The layers that earlier captures have sent somewhere, and that the target has now or takes over. */
async function knownLayers(record: BaseRecord, target: Repository, options: Options): Promise<Map<DiffID, Descriptor>> {
  const there = new Map<DiffID, Descriptor>()
  for (const [diffID, layer] of record.layers) {
    throwIfAborted(options.signal)
    if (await target.checkBlob(layer, options)) there.set(diffID, layer)
    else if (await mountFromAny(layer, record.repositories, target, options)) there.set(diffID, layer)
  }
  return there
}

async function mountFromAny(
  layer: Descriptor,
  repositories: readonly string[],
  target: Repository,
  options: Options,
): Promise<boolean> {
  for (const name of repositories) {
    if (name === target.name) continue
    try {
      const isMounted = await target.mountBlob(layer, await options.repositoryOf(name), options)
      if (isMounted && (await target.checkBlob(layer, options))) return true
    } catch (error) {
      throwIfAborted(options.signal)
      if (!(error instanceof AppError)) throw error // the repository may be gone or forbidden: there is another way
    }
  }
  return false
}

interface Sending extends Options {
  readonly record: BaseRecord
  readonly there: Map<DiffID, Descriptor>
}

/** Reads the export to its end, sends what the target lacks, and remembers each layer as soon as it is there. */
async function sendExport(base: BaseImage, target: Repository, options: Sending): Promise<ImageBase> {
  const { there, signal } = options
  const exported = await base.export(signal)
  const config = parseConfig(exported.config)
  checkBaseConfig(base, config, digestOf(exported.config))
  let record = { ...withRepository(options.record, target.name), config: exported.config }
  const layers: Descriptor[] = []
  for await (const layer of exported.layers()) {
    throwIfAborted(signal)
    const diffID = config.diffIDs[layers.length]
    if (diffID === undefined) throw exportError('has more layers than its config names')
    const known = there.get(diffID)
    if (known) await drain(layer.bytes, signal)
    const descriptor = known ?? (await sendLayer(layer, diffID, target, options))
    there.set(diffID, descriptor)
    layers.push(descriptor)
    record = { ...record, layers: new Map([...record.layers, [diffID, descriptor]]) }
    await remember(base, record, options)
  }
  if (layers.length < config.diffIDs.length) throw exportError('has fewer layers than its config names')
  return { config, layers }
}

const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT'])

/** What is known of the base is a cache: without it the next full capture does again what this one did. */
async function remember(base: BaseImage, record: BaseRecord, { home, onWarning }: Options): Promise<void> {
  try {
    await writeBaseRecord(base, home, record)
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined) throw error
    onWarning?.(`What is known of the base image was not kept in ${home} (${code}): it may have to be exported again.`)
  }
}

interface ExportedLayer {
  readonly bytes: AsyncIterable<Uint8Array>
  readonly mediaType: string
}

async function sendLayer(
  layer: ExportedLayer,
  diffID: DiffID,
  target: Repository,
  options: Options,
): Promise<Descriptor> {
  const path = join(options.spoolDirectory, `base-${randomUUID()}`)
  try {
    const descriptor = await spoolLayer(layer, { path, diffID, ...options })
    const blob = {
      open: (signal?: AbortSignal) => readSpool(path, signal),
      descriptor: Promise.resolve(descriptor),
    }
    const { signal } = options
    return await target.pushBlob(blob, { ...(signal && { signal }), ...options.pushOptions(descriptor) })
  } catch (cause) {
    if (!FULL.has(systemCode(cause))) throw cause
    const message = `No space is left in ${options.spoolDirectory} for a layer of the base image: free space there, or set TINTYPE_HOME to a larger disk.`
    throw new AppError('spool_full', message, { cause })
  } finally {
    await rm(path, { force: true })
  }
}

type Spooling = Options & { readonly path: string; readonly diffID: DiffID }

/** One layer as a registry will store it, in a file, its diffID checked: a wrong layer is worse than none. */
async function spoolLayer({ bytes, mediaType }: ExportedLayer, options: Spooling): Promise<Descriptor> {
  const { path, signal, compression } = options
  const type = ociLayerType(mediaType)
  if (isForeignLayer({ mediaType: type })) throw exportError('has a layer that must not be distributed')
  await mkdir(options.spoolDirectory, { recursive: true, mode: 0o700 })
  const raw = createHash('sha256')
  if (type === MEDIA_TYPES.ociLayer) {
    const stored = await writeSpool(path, compression.compress(tap(bytes, raw, signal)), signal)
    checkDiffID(raw, options.diffID)
    return { mediaType: ociLayerType(compression.mediaType), ...stored }
  }
  const stored = await writeSpool(path, bytes, signal)
  await drain(tap(decompress(type, readSpool(path, signal)), raw, signal), signal)
  checkDiffID(raw, options.diffID)
  return { mediaType: type, ...stored }
}

async function writeSpool(
  path: string,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const hash = createHash('sha256')
  let size = 0
  await using file = await open(path, 'wx', 0o600)
  for await (const chunk of tap(bytes, hash, signal)) {
    await file.appendFile(chunk)
    size += chunk.length
  }
  return { digest: parseDigest(`sha256:${hash.digest('hex')}`), size }
}

async function* readSpool(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  await using file = await open(path, 'r')
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    throwIfAborted(signal)
    yield chunk
  }
}

async function* decompress(type: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = type === MEDIA_TYPES.ociLayerZstd ? createZstdDecompress() : createGunzip()
  // The error of a stream reaches the reader of the last one.
  const stream = pipeline(Readable.from(bytes), decoder, () => {})
  try {
    yield* stream
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw exportError('has a layer that cannot be decompressed', cause)
  }
}

async function* tap(
  bytes: AsyncIterable<Uint8Array>,
  hash: Hash,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    throwIfAborted(signal)
    hash.update(chunk)
    yield chunk
  }
}

async function drain(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
  for await (const _ of bytes) throwIfAborted(signal)
}

function checkDiffID(raw: Hash, diffID: DiffID): void {
  if (`sha256:${raw.digest('hex')}` !== diffID) throw exportError(`has another layer in the place of ${diffID}`)
}

function exportError(what: string, cause?: unknown): AppError {
  const message = `The engine's export of the base image ${what}; pull or build the image again.`
  return new AppError('image_unsupported', message, cause === undefined ? {} : { cause })
}
