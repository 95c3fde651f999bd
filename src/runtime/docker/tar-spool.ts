import { randomUUID } from 'node:crypto'
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises'
import { join, posix } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-stream'
import { throwIfAborted } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'

/** The files of a tar in any order, by name; what is a link there is the file that it names. */
export interface SpooledTar {
  /** The names of its files and links. */
  has(name: string): boolean
  sizeOf(name: string): number
  /** Throws `image_unsupported` for a name that is not there. */
  read(name: string, signal?: AbortSignal): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

interface Extent {
  readonly start: number
  readonly sizeBytes: number
}

export interface SpoolOptions {
  readonly directory: string
  readonly signal?: AbortSignal
}

const CHUNK_BYTES = 1 << 20

/**
 * Write the files of the tar stream that `open` gives to one file in `directory`, which has no name any more when this returns: no crash
 * leaves it behind. Throws `engine_unavailable` for a tar that is cut, `cancelled`, and system errors such as ENOSPC.
 */
export async function spoolTar(open: () => Promise<Readable>, options: SpoolOptions): Promise<SpooledTar> {
  const file = await openNameless(options.directory)
  const extents = new Map<string, Extent>()
  const links = new Map<string, string>()
  try {
    const tar = extract()
    // Asked for only now: a stream that nobody listens to yet would end the process when it breaks off.
    const reading = pipeline(await open(), tar, { ...(options.signal && { signal: options.signal }) })
    reading.catch(() => {}) // it is told below, after what the entries say
    let end = 0
    for await (const entry of tar) end = await keep(entry, { file, extents, links, end })
    await reading
  } catch (cause) {
    await file.close()
    throw spoolError(cause, options.signal)
  }
  return spooled(file, extents, links)
}

interface Keeping {
  readonly file: FileHandle
  readonly extents: Map<string, Extent>
  readonly links: Map<string, string>
  readonly end: number
}

type Entry = ReturnType<typeof extract> extends AsyncIterable<infer Each> ? Each : never

/** Write one entry behind what is there; returns the new end. */
async function keep(entry: Entry, { file, extents, links, end }: Keeping): Promise<number> {
  const { type, linkname } = entry.header
  const name = posix.normalize(entry.header.name)
  if (linkname && type === 'symlink') links.set(name, posix.join(posix.dirname(name), linkname))
  else if (linkname && type === 'link') links.set(name, posix.normalize(linkname))
  let at = end
  for await (const chunk of entry) {
    if (!(chunk instanceof Uint8Array)) continue // its types do not say that it is
    await file.appendFile(chunk)
    at += chunk.length
  }
  if (type === 'file' || type === 'contiguous-file') extents.set(name, { start: end, sizeBytes: at - end })
  return at
}

function spooled(
  file: FileHandle,
  extents: ReadonlyMap<string, Extent>,
  links: ReadonlyMap<string, string>,
): SpooledTar {
  // A link names a file: engines write each layer once, and no link to a link.
  const find = (name: string) => extents.get(name) ?? extents.get(links.get(name) ?? '')
  const mustFind = (name: string): Extent => {
    const extent = find(name)
    if (extent !== undefined) return extent
    throw new AppError('image_unsupported', `The engine's export of the base image lacks ${name}.`)
  }
  return {
    has: (name) => find(name) !== undefined,
    sizeOf: (name) => mustFind(name).sizeBytes,
    async *read(name, signal) {
      const { start, sizeBytes } = mustFind(name)
      for (let at = 0; at < sizeBytes;) {
        throwIfAborted(signal)
        const length = Math.min(CHUNK_BYTES, sizeBytes - at)
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, start + at)
        if (bytesRead === 0) throw new AppError('internal', 'The spooled base image is shorter than it was written.')
        at += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
    },
    close: () => file.close(),
  }
}

async function openNameless(directory: string): Promise<FileHandle> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, `export-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  await rm(path)
  return file
}

function spoolError(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return new AppError('cancelled', 'Cancelled.', { cause })
  if (cause instanceof AppError || systemCode(cause) === 'ENOSPC') return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  return new AppError('engine_unavailable', `The engine broke off its export of the base image (${text}): try again.`, {
    cause,
  })
}
