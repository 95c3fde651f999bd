/** Stacks of layers in a few words, for tests of what becomes of them. */
import { mkdtempSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf, parseDiffID } from '#oci/digest.ts'
import type { DiffID } from '#oci/digest.ts'
import { endOfArchive, padding } from '#oci/tar.ts'
import type { TarHeader } from '#oci/tar.ts'
import type { Repository } from '#registry/repository.ts'
import type { FrameEvent, LayerEvent } from '#snapshot/protocol.ts'
import type { StoredLayer } from '#snapshot/squash/read-layer.ts'
import { squashLayers } from '#snapshot/squash/squash-layers.ts'
import type { SquashInput } from '#snapshot/squash/squash-layers.ts'
import { encodeOne, tarMember } from '#lab/tar-headers.ts'

export type Codec = 'gzip' | 'zstd' | 'none'

/**
 * A member: `d/` is a directory, `a` a file whose content is its name, `a=text` one with this content, `a->b` a symlink,
 * `b=>a` a hard link to `a`. Or any header, of a file with its content.
 */
export type MemberSpec = string | (Partial<TarHeader> & { readonly path: string; readonly content?: string | Buffer })

/** A layer's tar. */
export function stackTar(members: readonly MemberSpec[]): Buffer {
  const parts = members.flatMap((spec) => {
    const { path, content = '', ...header } = typeof spec === 'string' ? parseMember(spec) : spec
    const body = Buffer.from(content)
    const member = tarMember(Buffer.from(path, 'latin1'), { ...header, size: body.length })
    return [encodeOne(member), body, Buffer.alloc(padding(body.length))]
  })
  return Buffer.concat([...parts, endOfArchive])
}

function parseMember(text: string): Exclude<MemberSpec, string> {
  const link = /^(.*?)(->|=>)(.*)$/.exec(text)
  if (link) {
    const [, path = '', arrow, target = ''] = link
    return { path, kind: arrow === '->' ? 'symlink' : 'hardlink', linkName: Buffer.from(target, 'latin1') }
  }
  const [path = '', content] = text.split('=')
  const isMarker = /(^|\/)\.wh\./.test(path)
  return { path, content: content ?? (path.endsWith('/') || isMarker ? '' : path) }
}

const CODECS = {
  gzip: { mediaType: MEDIA_TYPES.ociLayerGzip, compress: (bytes: Buffer): Buffer => gzipSync(bytes) },
  zstd: { mediaType: MEDIA_TYPES.ociLayerZstd, compress: (bytes: Buffer): Buffer => zstdCompressSync(bytes) },
  none: { mediaType: MEDIA_TYPES.ociLayer, compress: (bytes: Buffer): Buffer => bytes },
}

export interface StoredTar extends StoredLayer {
  readonly bytes: Buffer
}

/** A tar as a layer in a repository that can do nothing but read its blobs. */
export function storedTar(tar: Buffer, codec: Codec = 'gzip', diffID: DiffID = parseDiffID(digestOf(tar))): StoredTar {
  const bytes = CODECS[codec].compress(tar)
  const descriptor = { mediaType: CODECS[codec].mediaType, digest: digestOf(bytes), size: bytes.length }
  const openBlob = async function* () {
    for (let at = 0; at < bytes.length; at += 60_000) yield bytes.subarray(at, at + 60_000)
  }
  return { descriptor, diffID, bytes, repository: { name: 'fake/stack', openBlob } as unknown as Repository }
}

export interface SquashedStack {
  /** The tars of the result, lowest first. */
  readonly tars: readonly Buffer[]
  readonly events: readonly (FrameEvent | LayerEvent)[]
}

/** `squashLayers`, and its result out of the file. */
export async function squashStack(
  base: readonly StoredLayer[],
  layers: readonly StoredLayer[],
  options: Partial<SquashInput> = {},
): Promise<SquashedStack> {
  const home = mkdtempSync(join(tmpdir(), 'squash-stack-'))
  const events: (FrameEvent | LayerEvent)[] = []
  await using frames = await open(join(home, 'frames'), 'wx+')
  const { codec = { name: 'zlib', level: 1 } } = options
  try {
    await squashLayers({
      base,
      layers,
      home,
      codec,
      frames,
      emit: (event) => events.push(event),
      signal: new AbortController().signal,
      ...options,
    })
    const decode =
      codec.name === 'none' ? (raw: Buffer) => raw : codec.name === 'zstd' ? zstdDecompressSync : gunzipSync
    const tars: Buffer[] = []
    let parts: Buffer[] = []
    for (const event of events) {
      if (event.event === 'layer') {
        tars.push(Buffer.concat(parts))
        parts = []
      } else {
        const { buffer } = await frames.read(Buffer.alloc(event.size), 0, event.size, event.offset)
        parts.push(decode(buffer))
      }
    }
    return { tars, events }
  } finally {
    await rm(home, { recursive: true })
  }
}
