import { AppError } from '#base/errors.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf, parseDigest, parseDiffID, type Digest, type DiffID } from '#oci/digest.ts'
import { asArray, asObject, asString, parseJsonObject } from '#oci/json.ts'
import { ociLayerType } from '#oci/manifest.ts'

/** Of another version no field can be relied on. */
const VERSION = 3

/** A layer that an earlier capture has put on the base image. */
export interface ChainLayer {
  readonly descriptor: Descriptor
  readonly diffID: DiffID
  /** Of its tar. */
  readonly rawBytes: number
  /** RFC 3339: the freeze of the capture that made it. */
  readonly created: string
}

/** The layers that captures of one container have put on its base image (design.md §2), the lowest first. */
export interface Chain {
  /** `registry/repository`, or the layout's directory, that has them all. */
  readonly repository: string
  readonly captures: number
  /** So many of the base image's layers lie below: after a squash those of the first base alone (design.md §4.9). */
  readonly baseLayers: number
  readonly layers: readonly ChainLayer[]
  /** Content of the files that are there now, and of all that were ever put into these layers: the rest is superseded. */
  readonly contentBytes: number
  readonly writtenBytes: number
}

/** The rows of the index, in a file of their own. */
export interface IndexBody {
  readonly file: string
  readonly digest: Digest
  readonly rows: number
  readonly nameBytes: number
}

/** What an index is bound to, where its rows are, and the layers that hold what they tell of. */
export interface IndexRecord {
  readonly identity: IndexIdentity
  /** Byte paths: exclusions that were met, and every path at which the runtime has ever left a stub (attacks.md C12). */
  readonly metExclusions: readonly string[]
  readonly stubs: readonly string[]
  /** Of the machine when the state was taken. */
  readonly clock: ClockState
  readonly takenAtMs: number
  readonly chain: Chain
  readonly body: IndexBody
}

/** If any of this differs, the rows say nothing of what is there now. */
export interface IndexIdentity {
  readonly containerId: string
  readonly upperdir: string
  /** Inode number and birth time, ns: the device number may change at a reboot, and inode numbers are used again (attacks.md C2). */
  readonly inode: string
  readonly birthNs: string
  /** The base image, by what the engine knows of it. */
  readonly base: Digest
  /** Byte paths, sorted. */
  readonly exclusions: readonly string[]
}

/** By which a clock that was set back is seen (attacks.md A2). */
export interface ClockState {
  readonly bootId: string
  /** Wall clock less the time since the boot. */
  readonly offsetMs: number
}

/** The record as it is stored: the digest of the rest, then the rest. */
export function encodeRecord(record: IndexRecord): string {
  const json = JSON.stringify({ version: VERSION, ...record })
  return `${digestOf(json)}\n${json}\n`
}

/** A stored record; undefined when it is damaged or of another version. */
export function parseRecord(text: string): IndexRecord | undefined {
  const [digest, json, ...end] = text.split('\n')
  if (json === undefined || end.length !== 1 || end[0] !== '' || digest !== digestOf(json)) return undefined
  try {
    return readRecord(json)
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

function readRecord(text: string): IndexRecord | undefined {
  const json = parseJsonObject(Buffer.from(text), 'index')
  if (json['version'] !== VERSION) return undefined
  const identity = asObject(json['identity'], 'index')
  const clock = asObject(json['clock'], 'index')
  const chain = asObject(json['chain'], 'index')
  const body = asObject(json['body'], 'index')
  return {
    identity: {
      containerId: string(identity['containerId']),
      upperdir: string(identity['upperdir']),
      inode: string(identity['inode']),
      birthNs: string(identity['birthNs']),
      base: parseDigest(string(identity['base'])),
      exclusions: texts(identity['exclusions']),
    },
    metExclusions: texts(json['metExclusions']),
    stubs: texts(json['stubs']),
    clock: { bootId: string(clock['bootId']), offsetMs: number(clock['offsetMs']) },
    takenAtMs: number(json['takenAtMs']),
    chain: {
      repository: string(chain['repository']),
      captures: number(chain['captures']),
      baseLayers: number(chain['baseLayers']),
      layers: asArray(chain['layers'], 'index').map(chainLayer),
      contentBytes: number(chain['contentBytes']),
      writtenBytes: number(chain['writtenBytes']),
    },
    body: {
      file: string(body['file']),
      digest: parseDigest(string(body['digest'])),
      rows: number(body['rows']),
      nameBytes: number(body['nameBytes']),
    },
  }
}

function chainLayer(value: unknown): ChainLayer {
  const layer = asObject(value, 'index')
  const { mediaType, digest, size } = asObject(layer['descriptor'], 'index')
  return {
    descriptor: { mediaType: ociLayerType(string(mediaType)), digest: parseDigest(string(digest)), size: number(size) },
    diffID: parseDiffID(string(layer['diffID'])),
    rawBytes: number(layer['rawBytes']),
    created: string(layer['created']),
  }
}

const string = (value: unknown) => asString(value, 'index')
const texts = (value: unknown) => asArray(value, 'index').map(string)

function number(value: unknown): number {
  if (typeof value === 'number') return value
  throw new AppError('image_unsupported', 'The index has no number where one is due.')
}
