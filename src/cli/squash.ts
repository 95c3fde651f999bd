import type { Clock } from '#base/clock.ts'
import { toAppError } from '#base/errors.ts'
import type { Config } from '#config/config.ts'
import { formatReference, parseReference } from '#oci/reference.ts'
import type { Repository } from '#registry/repository.ts'
import type { NamedImage, Squashed, SquashOptions } from '#snapshot/squash/squash.ts'
import { parseArguments, usage } from './arguments.ts'
import { parseDestination } from './destination.ts'
import type { Destination } from './destination.ts'
import { EXIT } from './failure.ts'
import { openProgress } from './progress.ts'
import { row } from './snapshot-report.ts'
import type { Terminal } from './terminal.ts'
import { encodeJsonLine, escapeText, formatBytes, formatDuration, formatNumberOf } from './text.ts'

/** What `squash` works with; the roof gives it the real ones. */
export interface SquashParts {
  readonly terminal: Terminal
  readonly clock: Clock
  readonly config: Config
  readonly openTarget: (destination: Destination) => Promise<Repository>
  readonly openSource: (source: Destination) => Promise<Repository>
  readonly squash: (options: SquashOptions) => Promise<Squashed>
}

/** What may be written after the command's name. */
export const SQUASH_SYNTAX = {
  command: 'squash',
  positionals: ['REFERENCE', '[TARGET]'],
  options: {
    onto: 'value',
    overwrite: 'flag',
    compression: 'value',
    level: 'value',
    json: 'flag',
    quiet: 'flag',
  },
} as const

const LEVELS = { min: 1, max: 19 } // zstd's; gzip has 9, which the engine knows

/** `tintype squash REFERENCE [TARGET]`: the layers above the base become one. The exit code; throws AppError. */
export async function runSquash(args: readonly string[], parts: SquashParts, signal: AbortSignal): Promise<number> {
  const given = parseArguments(SQUASH_SYNTAX, args)
  const [reference = '', targetText] = given.positionals
  const image = parseSource(reference)
  const isInPlace = targetText === undefined || parseDestination(targetText).text === image.text
  if (isInPlace && image.digest !== undefined)
    throw usage(SQUASH_SYNTAX, 'needs TARGET where REFERENCE is a digest: name the tag that the squashed image gets')
  const overwrite = given.hasFlag('overwrite')
  if (isInPlace && !overwrite)
    throw usage(
      SQUASH_SYNTAX,
      'moves the tag REFERENCE when there is no other TARGET: add --overwrite, or name a TARGET',
    )
  const destination = targetText === undefined ? image.destination : parseDestination(targetText)
  const onto = given.value('onto')
  const base = onto === undefined ? undefined : parseSource(onto)
  const level = given.whole('level', LEVELS)
  const compression = given.choice('compression', ['auto', 'zstd', 'gzip', 'none']) ?? 'auto'
  const { terminal, config } = parts

  const open = async ({ destination, digest, text }: SourceImage): Promise<NamedImage> => ({
    repository: await parts.openSource(destination),
    tagOrDigest: digest ?? destination.tag,
    text,
  })
  const progress = openProgress(terminal, parts.clock, given.hasFlag('quiet'))
  let squashed: Squashed
  try {
    squashed = await parts.squash({
      image: await open(image),
      ...(base && { onto: await open(base) }),
      target: await parts.openTarget(destination),
      tag: destination.tag,
      reference: destination.text,
      overwrite,
      isInPlace,
      home: config.home,
      compression,
      ...(level !== undefined && { level }),
      zstdEverywhere: config.zstdEverywhere,
      ...(config.workers !== undefined && { workers: config.workers }),
      ...(config.spoolBytes !== undefined && { spoolBytes: config.spoolBytes }),
      ...(config.maxLayerBytes !== undefined && { maxLayerBytes: config.maxLayerBytes }),
      signal,
      onProgress: (now) => progress.update(now),
    })
  } catch (error) {
    throw toAppError(error)
  } finally {
    progress.stop()
  }
  terminal.out(given.hasFlag('json') ? encodeJsonLine(squashed) : describeSquashed(squashed))
  return EXIT.ok
}

interface SourceImage {
  /** Where it is; the tag counts where there is no digest. */
  readonly destination: Destination
  readonly digest?: string
  readonly text: string
}

/** An image that is read: as a destination, or by digest. */
function parseSource(text: string): SourceImage {
  const at = text.indexOf('@')
  if (text.startsWith('oci:') || at < 0) {
    const destination = parseDestination(text)
    return { destination, text: destination.text }
  }
  const reference = parseReference(text)
  const destination = parseDestination(
    formatReference({ registry: reference.registry, repository: reference.repository }),
  )
  const { digest } = reference
  return { destination, ...(digest !== undefined && { digest }), text: formatReference(reference) }
}

/** What was squashed, for people. */
function describeSquashed(squashed: Squashed): string {
  const { baseLayers, baseDigest, squashedLayers, layers } = squashed
  const base =
    baseLayers === 0 ? 'nothing' : `${formatNumberOf(baseLayers, 'layer')}${baseDigest ? ` of ${baseDigest}` : ''}`
  const lines = [
    `Squashed ${escapeText(squashed.reference)}`,
    row('digest', squashed.digest),
    row('from', squashed.sourceReference),
    row('base', base),
    row('layers', `${squashedLayers} became ${layers.length}`),
    row('content', `${formatNumberOf(squashed.files, 'entry', 'entries')}, ${formatBytes(squashed.rawBytes)}`),
    row(
      'compressed',
      `${formatBytes(squashed.compressedBytes)}, of which ${formatBytes(squashed.uploadedBytes)} were sent`,
    ),
    row('time', formatDuration(squashed.totalMs)),
    ...squashed.warnings.map((warning) => `Warning: ${escapeText(warning)}`),
  ]
  return `${lines.join('\n')}\n`
}
