import { median, medianRatio } from './statistics.ts'

/** One line of a table. */
export interface Row {
  readonly figure: string
  readonly mustReach: string
  readonly aim: string
  readonly measured: string
  readonly ratio: string
  readonly spread: string
  /** `—`: nothing was promised. */
  readonly verdict: 'reached' | 'missed' | '—'
}

/** Times are given in milliseconds and sizes in bytes; CPU seconds for each GB as they are. */
export type Unit = 's' | 'ms' | 'MB' | 's/GB'

/** `faster`: at least as many times as fast as the other. `ratio`: at most that part of it. `value`: at most that, in the unit. */
export interface Limit {
  readonly kind: 'faster' | 'ratio' | 'value'
  readonly number: number
  /** What would be good. */
  readonly aim?: number
}

export interface Measured {
  readonly figure: string
  readonly unit: Unit
  /** One number a run, at least one. */
  readonly values: readonly number[]
  /** What it is compared with. */
  readonly to?: { readonly name: string; readonly values: readonly number[] }
  readonly limit?: Limit | undefined
}

const UNIT = { s: 1000, ms: 1, MB: 1e6, 's/GB': 1 } as const

/** The medians of what was measured, and whether they are what was promised. */
export function rowOf({ figure, unit, values, to, limit }: Measured): Row {
  const isFaster = limit?.kind === 'faster'
  const ratio = to && (isFaster ? medianRatio(to.values, values) : medianRatio(values, to.values))
  const reached = limit?.kind === 'value' ? median(values) / UNIT[unit] : ratio
  return {
    figure,
    mustReach: limit ? mustReach(limit, unit, to?.name) : '—',
    aim: limit && reached !== undefined ? aimOf(limit, reached, unit) : '—',
    measured: withUnit(median(values), unit),
    ratio: ratio === undefined || !to ? '—' : `${shortNumber(ratio)} × ${isFaster ? 'as fast as ' : ''}${to.name}`,
    spread: `${inUnit(Math.min(...values), unit)}–${withUnit(Math.max(...values), unit)}`,
    verdict: verdictOf(limit, reached),
  }
}

function mustReach({ kind, number }: Limit, unit: Unit, other: string | undefined): string {
  if (kind === 'value') return `≤ ${number} ${unit}`
  return kind === 'faster' ? `≥ ${number} × as fast as ${other}` : `≤ ${number} × ${other}`
}

/** The aim, and how far it is: 16 times as fast and 8 reached is 50 % short. */
function aimOf({ kind, aim }: Limit, reached: number, unit: Unit): string {
  if (aim === undefined) return '—'
  const text = kind === 'value' ? `≤ ${aim} ${unit}` : `${kind === 'faster' ? '≥' : '≤'} ${aim} ×`
  const off = kind === 'faster' ? 1 - reached / aim : reached / aim - 1
  return off <= 0 ? `${text}: reached` : `${text}: ${(off * 100).toFixed(0)} % ${kind === 'faster' ? 'short' : 'over'}`
}

function verdictOf(limit: Limit | undefined, reached: number | undefined): Row['verdict'] {
  if (!limit || reached === undefined) return '—'
  return (limit.kind === 'faster' ? reached >= limit.number : reached <= limit.number) ? 'reached' : 'missed'
}

/** How many of the promises were kept, as a sentence. */
export function summaryOf(rows: readonly Row[]): string {
  const promised = rows.filter(({ verdict }) => verdict !== '—').length
  const missed = rows.filter(({ verdict }) => verdict === 'missed').length
  if (promised === 0) return 'Nothing was promised for these.'
  return missed === 0 ? 'All figures are reached.' : `${missed} of ${promised} figures are missed.`
}

const HEAD = ['figure', 'must reach', 'aim', 'measured', 'ratio', 'spread', '']

/** Rows as a table in Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ figure, mustReach, aim, measured, ratio, spread, verdict }) => {
    const texts = [figure, mustReach, aim, measured, ratio, spread, verdict === 'missed' ? '**missed**' : verdict]
    return texts.map((text) => text.replaceAll('|', '\\|'))
  })
  const widths = HEAD.map((head, column) => Math.max(3, head.length, ...cells.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  return [line(HEAD), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n')
}

/** A number of a unit, with the unit. */
export function withUnit(value: number, unit: Unit): string {
  return `${inUnit(value, unit)} ${unit}`
}

function inUnit(value: number, unit: Unit): string {
  return shortNumber(value / UNIT[unit])
}

/** Three digits are as many as a measurement has. */
function shortNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
