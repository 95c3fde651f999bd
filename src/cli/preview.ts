import type { Config } from '#config/config.ts'
import type { Preview } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import { parseArguments } from './arguments.ts'
import { EXIT } from './failure.ts'
import { describeLosses, describeSquash, listed, row } from './snapshot-report.ts'
import type { Terminal } from './terminal.ts'
import { encodeJsonLine, escapeText, formatBytes, formatDuration, formatNumberOf, formatPath } from './text.ts'

export interface PreviewParts {
  readonly terminal: Terminal
  readonly config: Config
  readonly locate: (container: string, signal: AbortSignal) => Promise<Source>
  readonly preview: (
    source: Source,
    options: {
      readonly exclusions: readonly string[]
      readonly home: string
      readonly workers?: number
      readonly signal: AbortSignal
    },
  ) => Promise<Preview>
}

/** What may be written after the command's name. */
export const PREVIEW_SYNTAX = {
  command: 'preview',
  positionals: ['CONTAINER'],
  options: { exclude: 'values', json: 'flag' },
} as const

/** `tintype preview CONTAINER`: what a snapshot would take, without reading or freezing anything. The exit code; throws AppError. */
export async function runPreview(args: readonly string[], parts: PreviewParts, signal: AbortSignal): Promise<number> {
  const given = parseArguments(PREVIEW_SYNTAX, args)
  const { terminal, config } = parts
  const source = await parts.locate(given.positionals[0] ?? '', signal)
  const found = await parts.preview(source, {
    exclusions: given.values('exclude'),
    home: config.home,
    ...(config.workers !== undefined && { workers: config.workers }),
    signal,
  })
  terminal.out(given.hasFlag('json') ? encodeJsonLine(found) : describePreview(found))
  return EXIT.ok
}

/** A preview for people: sizes, what is left out, what may be a secret. */
export function describePreview(found: Preview): string {
  const sized = ({ path, bytes }: { readonly path: Preview['likelySecrets'][number]; readonly bytes: number }) =>
    `${formatBytes(bytes).padStart(8)}  ${formatPath(path)}`
  const counted = (item: Preview['excluded'][number]) =>
    `${sized(item)}  (${formatNumberOf(item.entries, 'entry', 'entries')})`
  return `${[
    `A snapshot of ${escapeText(found.container)} would take`,
    row(
      'content',
      `${formatNumberOf(found.entries, 'entry', 'entries')}, ${formatBytes(found.rawBytes)} before compression`,
    ),
    ...(found.changed
      ? [
          row(
            'new of it',
            `${formatNumberOf(found.changed.entries, 'entry', 'entries')}, ${formatBytes(found.changed.rawBytes)}`,
          ),
        ]
      : []),
    row('base', found.baseReference),
    row('mode', `${found.mode}: ${found.modeReason}`),
    ...(found.squash ? [row('squash', describeSquash(found.squash))] : []),
    row('looked for', formatDuration(found.totalMs)),
    ...listed('Largest directories', found.largestDirectories.map(counted)),
    ...listed('Largest files', found.largestFiles.map(sized)),
    ...listed('Excluded', found.excluded.map(counted)),
    ...listed(
      'May hold a secret: exclude it, or everybody who pulls the image has it',
      found.likelySecrets.map(formatPath),
    ),
    ...describeLosses(found),
  ].join('\n')}\n`
}
