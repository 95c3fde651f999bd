/** What is known of base images that an engine had to export, so that it need not do it again. One file each, below TINTYPE_HOME. */
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, systemCode } from '#base/errors.ts'
import { parseConfig } from '#oci/config.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf, parseDigest, parseDiffID } from '#oci/digest.ts'
import type { DiffID } from '#oci/digest.ts'
import { asArray, asObject, asString, parseJsonObject } from '#oci/json.ts'
import { ociLayerType } from '#oci/manifest.ts'
import { checkBaseConfig } from './base-image.ts'
import type { BaseImage } from './source.ts'

export interface BaseRecord {
  /** The image's config, as the engine gave it. */
  readonly config?: Uint8Array
  /** What each layer became in a registry; some may be missing. */
  readonly layers: ReadonlyMap<DiffID, Descriptor>
  /** Where they were sent, the last one first. */
  readonly repositories: readonly string[]
}

const VERSION = 1
const REPOSITORIES_LIMIT = 4 // each is asked once for each layer that a new target lacks
const EMPTY: BaseRecord = { layers: new Map(), repositories: [] }

/** The record of `base`; an empty one when there is none, or none that can be trusted. */
export async function readBaseRecord(base: BaseImage, home: string): Promise<BaseRecord> {
  try {
    return parseRecord(base, await readFile(recordPath(base, home)))
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || error instanceof AppError) return EMPTY
    throw error
  }
}

/** Replace the record of `base` in one step: a reader sees the old one or the new one. */
export async function writeBaseRecord(base: BaseImage, home: string, record: BaseRecord): Promise<void> {
  const path = recordPath(base, home)
  const temporary = `${path}.${randomUUID()}`
  await mkdir(join(home, 'cache', 'base-layers'), { recursive: true, mode: 0o700 })
  try {
    await writeFile(temporary, encodeRecord(record), { mode: 0o600, flag: 'wx', flush: true })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** `record` with `repository` as the last one that was sent to. */
export function withRepository(record: BaseRecord, repository: string): BaseRecord {
  const others = record.repositories.filter((name) => name !== repository)
  return { ...record, repositories: [repository, ...others].slice(0, REPOSITORIES_LIMIT) }
}

function recordPath({ configDigest, manifestDigest, diffIDs }: BaseImage, home: string): string {
  const identity = digestOf(JSON.stringify([configDigest ?? null, manifestDigest ?? null, diffIDs]))
  return join(home, 'cache', 'base-layers', `${identity.slice('sha256:'.length)}.json`)
}

function encodeRecord({ config, layers, repositories }: BaseRecord): string {
  return JSON.stringify({
    version: VERSION,
    ...(config && { config: Buffer.from(config).toString('base64') }),
    layers: [...layers].map(([diffID, { mediaType, digest, size }]) => ({ diffID, mediaType, digest, size })),
    repositories,
  })
}

function parseRecord(base: BaseImage, bytes: Uint8Array): BaseRecord {
  const json = parseJsonObject(bytes, 'record')
  if (json['version'] !== VERSION) return EMPTY
  const layers = asArray(json['layers'], 'record').map((each) => {
    const { diffID, mediaType, digest, size } = asObject(each, 'record')
    if (typeof size !== 'number') throw new AppError('image_unsupported', 'A record of a base layer has no size.')
    const type = ociLayerType(asString(mediaType, 'record'))
    const descriptor = { mediaType: type, digest: parseDigest(asString(digest, 'record')), size }
    return [parseDiffID(asString(diffID, 'record')), descriptor] as const
  })
  const repositories = asArray(json['repositories'], 'record').map((name) => asString(name, 'record'))
  if (json['config'] === undefined) return { layers: new Map(layers), repositories }
  const config = Buffer.from(asString(json['config'], 'record'), 'base64')
  checkBaseConfig(base, parseConfig(config), digestOf(config))
  return { config, layers: new Map(layers), repositories }
}
