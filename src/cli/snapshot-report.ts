import type { Captured, ResultPath } from '#snapshot/result.ts'
import { escapeText, formatBytes, formatDuration, formatNumberOf, formatPath } from './text.ts'

const PATHS_SHOWN = 20 // more would push the digest off the screen; --json has them all

/** What was saved, for people: a few lines, then everything that is not in the image exactly as it was. */
export function describeCaptured(captured: Captured): string {
  const made = captured.layers.filter(({ reused }) => !reused)
  const reused = captured.layers.length - made.length
  const lines = [
    `Saved ${escapeText(captured.reference)}`,
    row('digest', captured.digest),
    row('base', captured.baseReference),
    row('mode', `${captured.mode}: ${captured.modeReason}`),
    row('layers', `${made.length} new${reused > 0 ? `, ${reused} from earlier snapshots` : ''}`),
    ...(captured.squashed ? [row('squashed', describeSquash(captured.squashed))] : []),
    row('content', `${formatNumberOf(captured.files, 'file')}, ${formatBytes(captured.rawBytes)}`),
    row(
      'compressed',
      `${formatBytes(captured.compressedBytes)}, of which ${formatBytes(captured.uploadedBytes)} were sent`,
    ),
    row('frozen', describeFreeze(captured)),
    row('time', formatDuration(captured.totalMs)),
  ]
  return `${[...lines, ...describeLosses(captured)].join('\n')}\n`
}

export function describeSquash({ layers, reason }: NonNullable<Captured['squashed']>): string {
  return `${formatNumberOf(layers, 'layer')} of this and earlier snapshots: ${reason}`
}

function describeFreeze({ freezeMethod, frozenMs, barrierMs, passes }: Captured): string {
  if (freezeMethod === 'none') return 'not at all'
  const barrier = barrierMs > 0 ? `, the longest stop before it ${formatDuration(barrierMs)}` : ''
  return `${formatDuration(frozenMs)}${barrier} (${formatNumberOf(passes, 'pass', 'passes')})`
}

/** One aligned line: two blanks, the name, the value. */
export function row(name: string, value: string): string {
  return `  ${name.padEnd(12)}${escapeText(value)}`
}

/** What a result says is missing or not exact: the same for `snapshot` and `preview`. */
export function describeLosses(result: {
  readonly torn?: readonly ResultPath[]
  readonly skipped: Captured['skipped']
  readonly unsavedMounts: readonly ResultPath[]
  readonly warnings: readonly string[]
}): readonly string[] {
  const skipped = result.skipped.map(({ path, reason }) => `${formatPath(path)} (${escapeText(reason)})`)
  return [
    ...listed('Changed while they were read, so that they may be torn', (result.torn ?? []).map(formatPath)),
    ...listed('Left out', skipped),
    ...listed('Not saved, since something else is mounted there', result.unsavedMounts.map(formatPath)),
    ...result.warnings.map((warning) => `Warning: ${escapeText(warning)}`),
  ]
}

/** A heading and its items, the first twenty of them. */
export function listed(heading: string, items: readonly string[]): readonly string[] {
  if (items.length === 0) return []
  const more = items.length - PATHS_SHOWN
  const rest = more > 0 ? [`  … and ${more} more: --json names them all`] : []
  return [`${heading}:`, ...items.slice(0, PATHS_SHOWN).map((item) => `  ${item}`), ...rest]
}
