/** When layers of ours are merged (design.md §4.9; why so: docs/adr/0010-when-a-capture-squashes.md). */

import { LAYER_BYTES } from '#snapshot/reader/plan.ts'

export interface SquashLimits {
  /** So many layers of ours may lie on the first base. */
  readonly layers: number
  /** Less than this is not worth a squash, whatever share of our layers it is. */
  readonly supersededBytes: number
}

export const SQUASH_LIMITS: SquashLimits = { layers: 32, supersededBytes: 256 * 2 ** 20 }

/** Docker 20.10 pulls 125 layers and no more (attacks.md B9): the rest is for whoever builds on the image. */
const MOST_IN_IMAGE = 100
const MOST_PULLED = 125
/** On a base that has nearly as many itself: else each capture would squash. */
const LEAST_OURS = 8

/** How many layers of ours may lie on a base of `originalLayers`; at least one. */
export function mostOfOurs(originalLayers: number, { layers }: SquashLimits = SQUASH_LIMITS): number {
  const room = Math.max(MOST_IN_IMAGE - originalLayers, Math.min(LEAST_OURS, MOST_PULLED - originalLayers))
  return Math.max(1, Math.min(layers, room))
}

export interface LayerCounts {
  /** Of the first base, and of ours above it. */
  readonly original: number
  readonly ours: number
}

/**
 * The layers after a snapshot that puts what was found onto `below` others, of which `original` are of the first base. At
 * least: what changes while it reads may take one more.
 */
export function nextLayers(
  { original, below }: { readonly original: number; readonly below: number },
  found: { readonly entries: number; readonly rawBytes: number },
): LayerCounts {
  const made = found.entries === 0 ? 0 : Math.max(1, Math.ceil(found.rawBytes / LAYER_BYTES))
  return { original, ours: below - original + made }
}

/** Why our layers are too many; undefined while they are not. */
export function tooManyLayers({ original, ours }: LayerCounts, limits?: SquashLimits): string | undefined {
  const most = mostOfOurs(original, limits)
  return ours > most ? `${ours} layers would lie on the first base image, and ${most} may` : undefined
}

/** Compressed bytes of our layers, and how much of it is content that a higher one has replaced or removed. */
export interface LayerBytes {
  readonly total: number
  readonly superseded: number
}

/** Whether so much that is superseded asks for a squash: more than half of ours, and more than the limit. */
export function isTooMuch({ total, superseded }: LayerBytes, limits: SquashLimits = SQUASH_LIMITS): boolean {
  return superseded > limits.supersededBytes && superseded > total / 2
}

/** Why our layers hold too much that is no longer there; undefined while they do not. */
export function tooMuchSuperseded(bytes: LayerBytes, limits?: SquashLimits): string | undefined {
  if (!isTooMuch(bytes, limits)) return undefined
  return `${mebibytes(bytes.superseded)} of the ${mebibytes(bytes.total)} in our layers are no longer there`
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
