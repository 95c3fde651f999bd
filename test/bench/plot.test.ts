import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import fc from 'fast-check'
import { writeCharts, writeSection } from '../../bench/document.ts'
import { plot, type Chart, type Point } from '../../bench/plot.ts'
import { circlesOf, requireWellFormed } from './svg.ts'

const CHART = { name: 'a', title: 'A chart', xLabel: 'x', yLabel: 'y' }
const LINE: readonly Point[] = [
  { series: 'one', x: 100, values: [1, 2, 6] },
  { series: 'one', x: 0, values: [0] },
  { series: 'two', x: 10_000, values: [3, 4] },
]

function chartOf(points: readonly Point[], more: Partial<Chart> = {}): string {
  return plot({ ...CHART, points, ...more })
}

test('a dot for each number, a line through the medians of each series from left to right', () => {
  const svg = chartOf(LINE, { hasLogX: true })
  assert.equal(circlesOf(svg), 6)
  const lines = [...svg.matchAll(/<polyline points="([^"]+)"/g)].map(([, points]) => points!)
  assert.deepEqual(
    lines.map((line) => line.split(' ').length),
    [2, 1],
  )
  // 0 at the left edge and at the bottom; 2 of 6 a third of the way up.
  assert.match(lines[0]!, /^70\.0,340\.0 \d+\.\d,243\.3$/)
})

const TICKS: readonly (readonly [string, number, readonly string[]])[] = [
  ['a round number above the most', 7, ['0', '1', '2', '3', '4', '5', '6', '7']],
  ['a size in thousands', 1_000, ['0', '100', '200', '300', '400', '500', '600', '700', '800', '900', '1,000']],
  ['a fraction', 0.25, ['0', '0.05', '0.1', '0.15', '0.2', '0.25']],
  ['nothing but zeros', 0, ['0', '0.1', '0.2', '0.3', '0.4', '0.5', '0.6', '0.7', '0.8', '0.9', '1']],
]
for (const [reason, most, expected] of TICKS) {
  test(`the steps of an axis: ${reason}`, () => {
    const svg = chartOf([{ series: 'one', x: 1, values: [most] }], { hasLogX: true })
    const labels = [...svg.matchAll(/text-anchor="end">([^<]+)</g)].map(([, label]) => label)
    assert.deepEqual(labels, expected)
  })
}

test('words are escaped', () => {
  const svg = chartOf(LINE, { title: 'a <b> & "c"', hasLogX: true })
  assert.match(svg, />a &lt;b&gt; &amp; "c"</)
})

test('any numbers give well-formed XML with all dots inside the frame', async () => {
  const number = fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1e9, noNaN: true }))
  const point = fc.record({
    series: fc.constantFrom('full, by walk', 'delta & <more>'),
    x: number,
    values: fc.array(number, { minLength: 1, maxLength: 4 }),
  })
  const samples = fc.sample(fc.tuple(fc.array(point, { minLength: 1, maxLength: 6 }), fc.boolean()), 100)
  const charts = samples.map(([points, hasLogX]) => chartOf(points, { hasLogX }))
  await requireWellFormed(charts)
  for (const [number, [points]] of samples.entries()) {
    const svg = charts[number]!
    assert.equal(
      circlesOf(svg),
      points.reduce((sum, { values }) => sum + values.length, 0),
    )
    for (const [, x, y] of svg.matchAll(/cx="([^"]+)" cy="([^"]+)"/g)) {
      assert.ok(Number(x) >= 70 && Number(x) <= 540, x!)
      assert.ok(Number(y) >= 50 && Number(y) <= 340, y!)
    }
  }
})

test('a section takes the place of the one before it, and the others stay where they are', (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-document-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const path = `${directory}/figures.md`
  writeFileSync(path, '# Old words\n\n## One\n\nold: $& $1\n\n## Two\n\nsecond\n')
  writeSection(path, '## One', '## One\n\nnew: $& $1')
  writeSection(path, '## Three', '## Three\n\nthird\n')
  const document = readFileSync(path, 'utf8')
  assert.match(document, /^# Benchmarks\n\nMedians; /)
  assert.equal(
    document.slice(document.indexOf('## ')),
    '## One\n\nnew: $& $1\n\n## Two\n\nsecond\n\n## Three\n\nthird\n',
  )
})

test('charts are written beside the document, and named in it from where it is', (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-document-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const lines = writeCharts(`${directory}/figures.md`, [{ ...CHART, points: LINE, hasLogX: true }])
  assert.equal(lines, '![A chart](figures/a.svg)')
  assert.equal(circlesOf(readFileSync(`${directory}/figures/a.svg`, 'utf8')), 6)
})
