import type { LoadResult } from './load.ts'

/** One load on the server, and what it must stand. */
export interface ApiFigure {
  readonly figure: string
  readonly database: 'SQLite' | 'PostgreSQL'
  readonly mustReach?: { readonly perSecond?: number; readonly p99Ms: number } | undefined
  readonly result: LoadResult
  /** Of the server's process, for each answer. */
  readonly cpuMs: number
  /** Of the machine, over the last minute. */
  readonly loadAverage: number
}

/** Absent when nothing is promised. */
export function isReached({ mustReach, result }: Pick<ApiFigure, 'mustReach' | 'result'>): boolean | undefined {
  if (!mustReach) return undefined
  return result.p99Ms < mustReach.p99Ms && result.perSecond >= (mustReach.perSecond ?? 0)
}

const HEAD = ['figure', 'database', 'must reach', 'answers/s', 'p50', 'p99', 'CPU per answer', 'load average', '']

/** The figures as a table in Markdown. */
export function tableOf(figures: readonly ApiFigure[]): string {
  const rows = [HEAD, ...figures.map(rowOf)]
  const widths = HEAD.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const [head, ...rest] = rows
  return [line(head!), line(widths.map((width) => '-'.repeat(width))), ...rest.map(line)].join('\n')
}

function rowOf(measured: ApiFigure): readonly string[] {
  const { figure, database, mustReach, result, cpuMs, loadAverage } = measured
  const reached = isReached(measured)
  const least = mustReach?.perSecond === undefined ? '' : `≥ ${mustReach.perSecond.toLocaleString('en')}/s, `
  return [
    figure,
    database,
    mustReach ? `${least}p99 < ${mustReach.p99Ms} ms` : '—',
    Math.round(result.perSecond).toLocaleString('en'),
    ms(result.p50Ms),
    ms(result.p99Ms),
    ms(cpuMs),
    loadAverage.toFixed(1),
    reached === undefined ? '—' : reached ? 'reached' : '**missed**',
  ]
}

const ms = (value: number) => `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ms`

/** The heading under which the figures stand in the document. */
export const API_HEADING = '## The API'

/** A document without its part under `heading`, and that part: up to the next heading of the same level, or the end. */
export function cutSection(document: string, heading: string): readonly [rest: string, section: string] {
  const start = document.startsWith(`${heading}\n`) ? 0 : document.indexOf(`\n${heading}\n`) + 1
  if (!document.startsWith(`${heading}\n`, start)) return [document, '']
  const next = document.indexOf('\n## ', start + heading.length)
  const end = next < 0 ? document.length : next + 1
  return [document.slice(0, start) + document.slice(end), document.slice(start, end)]
}

/** The document with `section` at its end. */
export function appendSection(document: string, section: string): string {
  return section === '' ? document : `${document.trimEnd()}\n\n${section.trim()}\n`
}
