import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, parseDiffID } from '#oci/digest.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { clockState, identityOf, openNextIndex } from '#snapshot/chain/index-store.ts'
import type { Chain, ChainLayer, IndexRecord } from '#snapshot/chain/record.ts'
import type { Source } from '#snapshot/source.ts'

export const REPOSITORY = 'registry.test/team/image'

/** A home and an upperdir in a directory of their own, and what an index needs to know of the container. */
export interface IndexLab extends Disposable {
  readonly home: string
  readonly source: Source
  /** Of the container's indexes. */
  readonly directory: string
}

export function openIndexLab(containerId = 'c0ffee'): IndexLab {
  const top = mkdtempSync(join(tmpdir(), 'stored-index-'))
  const upperdir = join(top, 'upper')
  const home = join(top, 'home')
  mkdirSync(upperdir)
  mkdirSync(home)
  return {
    home,
    source: sourceOf(upperdir, containerId),
    directory: join(home, 'index', containerId),
    [Symbol.dispose]: () => rmSync(top, { recursive: true }),
  }
}

export function sourceOf(upperdir: string, containerId: string, base = 'base'): Source {
  const digest = digestOf(base)
  const unused = { mountPoints: [], uidMap: [], gidMap: [] }
  return { containerId, upperdir, base: { configDigest: digest, diffIDs: [digest] }, ...unused } as unknown as Source
}

export function chainLayer(content: string): ChainLayer {
  const bytes = Buffer.from(content)
  return {
    descriptor: { mediaType: MEDIA_TYPES.ociLayerGzip, digest: digestOf(bytes), size: bytes.length },
    diffID: parseDiffID(digestOf(`tar of ${content}`)),
    rawBytes: 4096,
    created: '2026-11-24T10:00:00.000Z',
  }
}

export function chainOf(more: Partial<Chain> = {}): Chain {
  const layers = [chainLayer('first'), chainLayer('second')]
  return { repository: REPOSITORY, captures: 2, baseLayers: 1, layers, contentBytes: 100, writtenBytes: 120, ...more }
}

export interface StoredParts {
  readonly exclusions?: readonly string[]
  readonly chain?: Chain
  readonly body?: string
  readonly record?: Partial<IndexRecord>
}

/** Leave an index as a finished capture does. */
export async function storeIndex({ home, source }: IndexLab, parts: StoredParts = {}): Promise<void> {
  const { exclusions = [], chain = chainOf(), body = 'rows and names', record = {} } = parts
  const identity = identityOf(source, exclusions)
  await using next = await openNextIndex(home, identity)
  await next.body.write(body)
  const counts = { rows: 1, nameBytes: 2, digest: await next.seal() }
  const rest = { metExclusions: [], stubs: [], clock: clockState(), takenAtMs: Date.now(), chain }
  await next.keep({ identity, ...rest, ...record }, counts)
}
