import { escapeText } from '#cli/text.ts'

/** One column: its heading, and what it shows of a row. Absent values show as nothing. */
export type Column<T> = readonly [heading: string, show: (row: T) => string | number | boolean | undefined]

/** Rows under their headings, in columns as wide as they need. */
export function formatTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = rows.map((row) => columns.map(([, show]) => escapeText(String(show(row) ?? ''))))
  const lines = [columns.map(([heading]) => heading), ...cells]
  const widths = columns.map((_, i) => lines.reduce((widest, line) => Math.max(widest, (line[i] ?? '').length), 0))
  const format = (line: readonly string[]) => line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')
  return lines.map((line) => `${format(line).trimEnd()}\n`).join('')
}

/** What every answer carries around its data. */
const ENVELOPE = ['RequestId', 'requestId', 'Success', 'Code', 'Message', 'HttpStatusCode']

/** The fields of one thing, one to a line, without those that are empty. What is in others is shown below them. */
export function formatFields(thing: object): string {
  const entries = Object.entries(thing)
    .filter(([name]) => !ENVELOPE.includes(name))
    .map(([name, value]) => [name, formatValue(value)] as const)
    .filter(([, text]) => text !== '')
  const width = entries.reduce((widest, [name]) => Math.max(widest, name.length), 0)
  return entries.map(([name, text]) => `${escapeText(name).padEnd(width)}  ${text}\n`).join('')
}

function formatValue(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(formatItem).join(', ')
  if (typeof value !== 'object') return escapeText(String(value))
  return Object.entries(value)
    .map(([name, inner]) => [name, formatValue(inner)] as const)
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `${escapeText(name)}=${text}`)
    .join(' ')
}

/** Labels and tags as they are written on the command line; of a list of other things each in brackets. */
function formatItem(item: unknown): string {
  if (typeof item !== 'object' || item === null) return formatValue(item)
  const { Key, TagKey = Key, Value, TagValue = Value } = Object(item) as Record<string, unknown>
  if (typeof TagKey === 'string') return `${escapeText(TagKey)}=${escapeText(String(TagValue ?? ''))}`
  return `{${formatValue(item)}}`
}

/** Labels as they are written on the command line. */
export function formatLabels(labels: readonly { readonly Key?: string; readonly Value?: string }[] = []): string {
  return labels.map(({ Key = '', Value = '' }) => `${Key}=${Value}`).join(',')
}
