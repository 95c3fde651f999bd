import { systemCode, toAppError } from '#base/errors.ts'
import type { Digest } from '#oci/digest.ts'
import type { OpenCapture } from '#snapshot/open-capture.ts'
import type { ReportEvent, SavedEvent } from '#snapshot/protocol.ts'
import { sweepIndexes } from './index-store.ts'
import type { Chain } from './record.ts'
import type { ImageStack } from './stack.ts'

/** The rows of a finished capture, on the disk, and not the container's index yet. */
export interface SealedIndex extends SavedEvent {
  readonly digest: Digest
}

/**
 * Have the reader write its rows down: beside the last uploads, for the index counts only once the image is verified.
 * Undefined where none is kept. Never throws: a snapshot without an index is whole, and the next one can do without.
 */
export async function sealIndex(run: OpenCapture): Promise<SealedIndex | undefined> {
  const { next, reader } = run
  if (!next) return undefined
  try {
    const saved = await reader.run({ command: 'save' }, 'saved')
    return { ...saved, digest: await next.seal() }
  } catch (error) {
    warn(run, error)
    return undefined
  }
}

export interface KeptParts {
  readonly sealed: SealedIndex | undefined
  readonly stack: ImageStack
  /** RFC 3339: the freeze. */
  readonly created: string
  readonly takenAtMs: number
  readonly report: ReportEvent
}

/** The image is verified: what was sealed is the container's index now. Never throws. */
export async function keepIndex(run: OpenCapture, parts: KeptParts): Promise<void> {
  const { next, identity, stubs, clock, options } = run
  const { sealed, report, takenAtMs } = parts
  if (!next || !sealed) return
  const unused = new Set(report.unusedExclusions)
  try {
    const metExclusions = identity.exclusions.filter((path) => !unused.has(path))
    await next.keep({ identity, metExclusions, stubs, clock, takenAtMs, chain: chainOf(run, parts, sealed) }, sealed)
    await sweepIndexes(options.home)
  } catch (error) {
    warn(run, error)
  }
}

function chainOf({ mode, options }: OpenCapture, { stack, created }: KeptParts, sealed: SealedIndex): Chain {
  const before = mode.mode === 'delta' ? mode.index.record.chain : undefined
  const { base, earlier, made, squashed } = stack
  const writtenBytes = (before?.writtenBytes ?? 0) + sealed.writtenBytes
  return {
    repository: options.target.name,
    captures: (before?.captures ?? 0) + (made.length > 0 ? 1 : 0), // one without a layer lengthens nothing
    baseLayers: base.layers.length,
    layers: [
      ...earlier,
      ...made.map(({ descriptor, diffID, rawBytes }) => ({ descriptor, diffID, rawBytes, created })),
    ],
    contentBytes: sealed.contentBytes,
    writtenBytes: squashed ? sealed.contentBytes : writtenBytes, // a squash leaves nothing that is superseded
  }
}

function warn({ warnings }: OpenCapture, error: unknown): void {
  warnings.push(noIndexWarning(error))
}

/** What the user is told of an index that could not be made. */
export function noIndexWarning(error: unknown): string {
  const isFull = ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '')
  const why = isFull ? 'it has no room: free space in TINTYPE_HOME.' : toAppError(error).message
  return `The index for the next snapshot was not kept: ${why}`
}
