import { availableParallelism } from 'node:os'
import type { FileHandle } from 'node:fs/promises'
import { throwIfAborted } from '#base/abort.ts'
import type { CodecChoice } from '#snapshot/codec.ts'
import type { FrameEvent, LayerEvent } from '#snapshot/protocol.ts'
import { keepBase, readKeptBase } from './base-tree.ts'
import { LayerIndex } from './index-layer.ts'
import { LayerContent } from './merge.ts'
import type { LayerMembers } from './merge.ts'
import { readLayer } from './read-layer.ts'
import type { StoredLayer } from './read-layer.ts'
import { ResultLayers } from './result-layers.ts'
import { Segments } from './segments.ts'
import { measure, needsBase, settle } from './settle.ts'
import { Tree } from './tree.ts'

export interface SquashInput {
  /** The image that stays below, its first layer first. It is read only where the result depends on it, and once. */
  readonly base: readonly StoredLayer[]
  /** What is merged, the lowest first. */
  readonly layers: readonly StoredLayer[]
  /** TINTYPE_HOME: what the base holds is kept below it. */
  readonly home: string
  readonly codec: CodecChoice
  /** Where compressed frames go, from the file's start on. */
  readonly frames: FileHandle
  /** Hears of each frame and each layer in order, as of a reader's. */
  readonly emit: (event: FrameEvent | LayerEvent) => void
  readonly signal: AbortSignal
  readonly workers?: number
  /** Layers of the result are closed at this size, or a larger one if there would be too many; default 2 GiB. */
  readonly layerBytes?: number
  /** A layer holds no more raw bytes, unless one file alone is more. */
  readonly mostLayerBytes?: number
  /** So many layers the result may have, if its files can be told apart into them; default 50. */
  readonly mostLayers?: number
  readonly onProgress?: (progress: SquashProgress) => void
}

export interface SquashProgress {
  /** 1: finding out what is where; 2: content. */
  readonly pass: 1 | 2
  /** Compressed bytes of all layers that this pass reads. */
  readonly bytes: number
  readonly bytesTotal: number
  readonly members: number
}

const LAYER_BYTES = 2 * 2 ** 30
/** Those of the result are not more than half of what an image may have (attacks.md B9). */
const MOST_LAYERS = 50
const LAYERS_AT_ONCE = 2 // a gunzip each: more only wait for cores
const MOST_WORKERS = 8

/**
 * Merge layers into as few as can be, so that with the base below they show what they showed: the top one wins. A pure
 * function of the layers: no clock and no host enters, the same layers and codec give the same bytes. They are read twice,
 * for what is where and for the content. Nothing is emitted when nothing of them is left. Throws `image_unsupported` for
 * layers that cannot be read exactly, `blob_missing`, `registry_…`, `cancelled`, and what the file throws.
 */
export async function squashLayers(input: SquashInput): Promise<void> {
  const tree = new Tree()
  const members = await indexLayers(tree, input.layers, { signal: input.signal, onBytes: countBytes(input, 1) })
  settle(tree, needsBase(tree) ? await baseTree(input) : new Tree())
  const { contentBytes, entries } = measure(tree)
  const segments = new Segments({
    codec: input.codec,
    frames: input.frames,
    workers: input.workers ?? Math.min(availableParallelism(), MOST_WORKERS),
    emit: input.emit,
  })
  const rawBytes = contentBytes + entries * 1024
  const wanted = Math.max(input.layerBytes ?? LAYER_BYTES, rawBytes / (input.mostLayers ?? MOST_LAYERS))
  const layerBytes = Math.min(wanted, input.mostLayerBytes ?? Infinity)
  try {
    await writeContent(input, members, new ResultLayers(tree, segments, layerBytes), { tree, segments })
  } catch (error) {
    await segments.settle().catch(() => {}) // nothing works in the file any more
    throw error
  }
  await segments.settle()
}

/** What base layers hold, as one settled tree: kept from an earlier time, or read. */
async function baseTree(input: SquashInput): Promise<Tree> {
  const { base, home } = input
  const tree = new Tree()
  if (base.length === 0) return tree
  const diffIDs = base.map(({ diffID }) => diffID)
  const kept = await readKeptBase(home, diffIDs)
  if (kept) return kept
  await indexLayers(tree, base, { signal: input.signal })
  settle(tree, new Tree())
  await keepBase(home, diffIDs, tree)
  return tree
}

interface IndexOptions {
  readonly signal: AbortSignal
  readonly onBytes?: CountBytes
}

/** A few layers are read at once, and applied in their order. The first that fails ends the others. */
async function indexLayers(
  tree: Tree,
  layers: readonly StoredLayer[],
  { signal: outer, onBytes }: IndexOptions,
): Promise<readonly LayerMembers[]> {
  const failed = new AbortController()
  const signal = AbortSignal.any([outer, failed.signal])
  const waiting = layers.entries()
  const readings: Promise<LayerIndex>[] = []
  const beginNext = () => {
    const { value } = waiting.next()
    if (!value) return
    const [i, layer] = value
    const index = new LayerIndex(i)
    const counted = (bytes: number) => onBytes?.(i, bytes, index.members)
    const reading = readLayer(layer, index, { signal, onBytes: counted }).then(() => index)
    reading.catch((error: unknown) => failed.abort(error))
    readings.push(reading)
  }
  try {
    for (let n = 0; n < LAYERS_AT_ONCE; n++) beginNext()
    const members: LayerMembers[] = []
    for (let reading = readings.shift(); reading; reading = readings.shift()) {
      const index = await reading
      beginNext()
      members.push(index.applyTo(tree))
    }
    return members
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(readings)
    throwIfAborted(outer)
    throw failed.signal.reason
  }
}

async function writeContent(
  input: SquashInput,
  members: readonly LayerMembers[],
  result: ResultLayers,
  { tree, segments }: { readonly tree: Tree; readonly segments: Segments },
): Promise<void> {
  const onBytes = countBytes(input, 2)
  await result.addDirectories()
  for (const each of members) {
    const stored = input.layers[each.layer]
    if (!stored) continue
    const sink = new LayerContent(tree, result, each)
    await readLayer(stored, sink, {
      signal: input.signal,
      ready: () => segments.ready(),
      onBytes: (bytes) => onBytes(each.layer, bytes, sink.members),
    })
  }
  result.finish()
}

type CountBytes = (layer: number, bytes: number, members: number) => void

/** Adds up what a pass reads. */
function countBytes({ layers, onProgress }: SquashInput, pass: 1 | 2): CountBytes {
  const bytesTotal = layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0)
  const membersOf = layers.map(() => 0)
  let bytes = 0
  return (layer, count, members) => {
    bytes += count
    membersOf[layer] = members
    onProgress?.({ pass, bytes, bytesTotal, members: membersOf.reduce((sum, each) => sum + each, 0) })
  }
}
