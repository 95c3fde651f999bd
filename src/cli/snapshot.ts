import type { Clock } from '#base/clock.ts'
import { toAppError } from '#base/errors.ts'
import type { Config } from '#config/config.ts'
import type { Repository } from '#registry/repository.ts'
import type { CaptureOptions, Captured } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import { parseArguments, usage } from './arguments.ts'
import type { ParsedArguments } from './arguments.ts'
import { parseDestination } from './destination.ts'
import type { Destination } from './destination.ts'
import { EXIT } from './failure.ts'
import { openProgress } from './progress.ts'
import { describeCaptured } from './snapshot-report.ts'
import type { Terminal } from './terminal.ts'
import { encodeJsonLine, escapeText } from './text.ts'

/** What `snapshot` works with; the roof gives it the real ones. */
export interface SnapshotParts {
  readonly terminal: Terminal
  readonly clock: Clock
  readonly config: Config
  /** The environment variable of that name (reproducible-builds.org): seconds since 1970. */
  readonly sourceDateEpoch?: string | undefined
  /** Thaws what a killed run left frozen; says what it did, a sentence each (attacks.md A9). */
  readonly thawLeftovers: () => Promise<readonly string[]>
  readonly locate: (container: string, signal: AbortSignal) => Promise<Source>
  readonly openTarget: (destination: Destination) => Promise<Repository>
  readonly repositoryOf: CaptureOptions['repositoryOf']
  readonly capture: (source: Source, options: CaptureOptions) => Promise<Captured>
}

/** What may be written after the command's name. */
export const SNAPSHOT_SYNTAX = {
  command: 'snapshot',
  positionals: ['CONTAINER', 'REFERENCE'],
  options: {
    name: 'value',
    exclude: 'values',
    label: 'values',
    description: 'value',
    overwrite: 'flag',
    compression: 'value',
    level: 'value',
    full: 'flag',
    'single-pass': 'flag',
    'no-freeze': 'flag',
    'max-freeze-ms': 'value',
    json: 'flag',
    quiet: 'flag',
  },
} as const

const LEVELS = { min: 1, max: 19 } // zstd's; gzip has 9, which the engine knows
const FREEZE_MS = { min: 1, max: 900_000 } // 15 minutes: the watchdog's own deadline (design.md §4.5)

/** `tintype snapshot CONTAINER REFERENCE`: save a container as an image. The exit code; throws AppError. */
export async function runSnapshot(args: readonly string[], parts: SnapshotParts, signal: AbortSignal): Promise<number> {
  const given = parseArguments(SNAPSHOT_SYNTAX, args)
  const [container = '', reference = ''] = given.positionals
  const destination = parseDestination(reference)
  const wanted = parseWishes(given)
  const createdMs = parseEpoch(parts.sourceDateEpoch)
  const { terminal, config } = parts

  for (const sentence of await parts.thawLeftovers()) terminal.err(`tintype: ${escapeText(sentence)}\n`)
  const progress = openProgress(terminal, parts.clock, given.hasFlag('quiet'))
  let captured: Captured
  try {
    progress.update({ phase: 'locating', pass: 1, files: 0, bytes: 0, uploadedBytes: 0 })
    const target = await parts.openTarget(destination)
    const source = await parts.locate(container, signal)
    captured = await parts.capture(source, {
      ...wanted,
      target,
      reference: destination.text,
      tag: destination.tag,
      repositoryOf: parts.repositoryOf,
      home: config.home,
      zstdEverywhere: config.zstdEverywhere,
      usesTracepoints: config.usesTracepoints,
      ...(createdMs !== undefined && { createdMs }),
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
  terminal.out(given.hasFlag('json') ? encodeJsonLine(captured) : describeCaptured(captured))
  return !wanted.freeze && captured.torn.length > 0 ? EXIT.torn : EXIT.ok
}

const LATEST_SECONDS = 253_402_300_799 // the end of the year 9999, the last that RFC 3339 can say

function parseEpoch(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^\d{1,12}$/.test(text) && Number(text) <= LATEST_SECONDS) return Number(text) * 1000
  throw usage(SNAPSHOT_SYNTAX, `SOURCE_DATE_EPOCH must be whole seconds since 1970, not ${JSON.stringify(text)}`)
}

type Wishes = Pick<
  CaptureOptions,
  'labels' | 'exclusions' | 'overwrite' | 'compression' | 'full' | 'singlePass' | 'freeze'
> &
  Partial<Pick<CaptureOptions, 'name' | 'description' | 'level' | 'maxFreezeMs'>>

function parseWishes(given: ParsedArguments): Wishes {
  const freeze = !given.hasFlag('no-freeze')
  const singlePass = given.hasFlag('single-pass')
  const maxFreezeMs = given.whole('max-freeze-ms', FREEZE_MS)
  if (!freeze && singlePass)
    throw usage(SNAPSHOT_SYNTAX, '--no-freeze and --single-pass exclude each other: choose one')
  if (!freeze && maxFreezeMs !== undefined)
    throw usage(SNAPSHOT_SYNTAX, '--no-freeze and --max-freeze-ms exclude each other: choose one')
  const name = given.value('name')
  const description = given.value('description')
  const level = given.whole('level', LEVELS)
  requireText('--name', name, CONTROL)
  requireText('--description', description, CONTROL_IN_TEXT)
  return {
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description }),
    ...(level !== undefined && { level }),
    ...(maxFreezeMs !== undefined && { maxFreezeMs }),
    labels: parseLabels(given.values('label')),
    exclusions: given.values('exclude'),
    overwrite: given.hasFlag('overwrite'),
    compression: given.choice('compression', ['auto', 'zstd', 'gzip', 'none']) ?? 'auto',
    full: given.hasFlag('full'),
    singlePass,
    freeze,
  }
}

// Whoever lists the image's labels has them on a terminal: none may move the cursor or ring the bell there.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
const CONTROL_IN_TEXT = /(?![\n\t])[\u0000-\u001f\u007f-\u009f]/ // a text may have lines

function requireText(option: string, text: string | undefined, forbidden: RegExp): void {
  if (text !== undefined && forbidden.test(text))
    throw usage(SNAPSHOT_SYNTAX, `${option} must have no control characters, and ${JSON.stringify(text)} has one`)
}

function parseLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  const labels = new Map<string, string>()
  for (const text of texts) {
    const equals = text.indexOf('=')
    const key = text.slice(0, Math.max(0, equals))
    if (key === '') throw usage(SNAPSHOT_SYNTAX, `--label must be KEY=VALUE, not ${JSON.stringify(text)}`)
    if (labels.has(key)) throw usage(SNAPSHOT_SYNTAX, `--label ${JSON.stringify(key)} is given twice: give it once`)
    const value = text.slice(equals + 1)
    requireText('the name of --label', key, CONTROL)
    requireText(`--label ${JSON.stringify(key)}`, value, CONTROL_IN_TEXT)
    labels.set(key, value)
  }
  return Object.fromEntries(labels)
}
