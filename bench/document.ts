import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { cutSection } from './api-figures.ts'
import { plot, type Chart } from './plot.ts'

const INTRODUCTION = `# Benchmarks

Medians; the spread is from the least to the most. A ratio is the median of pairs measured in turn, in one run. W is a Python installation tree of 2.6 GB in 130 000 files in the writable layer of a running container; the registry is on loopback and has the base image. \`docs/design.md\` §9 says what must be reached, and what would be good: the aim.
`

/** Put a section into a document, in place of the one with the same heading, else at its end. */
export function writeSection(path: string, heading: string, section: string): void {
  const document = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const start = document.search(/^## /m)
  const rest = start < 0 ? '' : document.slice(start)
  const [, before] = cutSection(rest, heading)
  const made = `${section.trim()}\n`
  const after = before === '' ? `${rest.trimEnd()}\n\n${made}` : rest.replace(before.trimEnd(), () => made.trimEnd())
  writeFileSync(path, `${INTRODUCTION}\n${after.trim()}\n`)
}

/** Write charts beside a document, into a directory of its name: the lines of Markdown that show them. */
export function writeCharts(path: string, charts: readonly Chart[]): string {
  const directory = path.replace(/\.md$/, '')
  mkdirSync(directory, { recursive: true })
  for (const chart of charts) writeFileSync(`${directory}/${chart.name}.svg`, plot(chart))
  const relative = directory.slice(dirname(directory).length + 1)
  return charts.map(({ name, title }) => `![${title}](${relative}/${name}.svg)`).join('\n\n')
}
