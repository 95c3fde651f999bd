import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { runProgram } from '#base/process.ts'
import type { Chart } from '../../bench/plot.ts'
import type { Row } from '../../bench/row.ts'
import { Collected, countOf } from '../../bench/series.ts'
import { parseSeriesOptions } from '../../bench/series-options.ts'
import { circlesOf, requireWellFormed } from './svg.ts'

interface Expected {
  readonly script: string
  readonly heading: string
  readonly charts: readonly string[]
  /** At least: each way of finding the changes has rows of its own. */
  readonly rows: number
  readonly scale: number
}

const SERIES: readonly Expected[] = [
  {
    script: 'delta',
    heading: '## Second snapshots',
    charts: ['time-by-change', 'time-by-entries'],
    rows: 4 + 1 + 3,
    scale: 0.01,
  },
  {
    script: 'freeze',
    heading: '## The freeze',
    charts: ['freeze-by-write-rate', 'freeze-by-files'],
    rows: 3 + 2,
    scale: 0.002,
  },
  {
    script: 'memory-growth',
    heading: '## Memory',
    charts: ['memory-by-size', 'memory-by-files'],
    rows: 4 + 4,
    scale: 0.002,
  },
  { script: 'scale', heading: '## Growth', charts: ['time-by-size', 'cpu-by-size'], rows: 5 + 4 + 5 + 2, scale: 0.002 },
]
// The frame is the same for all: the long suite runs each of them.
const tested = process.env['TINTYPE_TEST_LONG'] === '1' ? SERIES : SERIES.slice(0, 1)
for (const { script, heading, charts, rows, scale } of tested) {
  test(`${script}: scale ${scale} gives every row a number, and every sample a dot`, async (t) => {
    const directory = mkdtempSync(`${tmpdir()}/tintype-${script}-`)
    t.after(() => rmSync(directory, { recursive: true }))
    const [json, document] = [`${directory}/figures.json`, `${directory}/figures.md`]
    const args = [`bench/${script}.ts`, '--scale', String(scale), '--runs', '1', '--json', json, '--write', document]
    const { exitCode, stdout, stderr } = await runProgram(process.execPath, args, { timeoutMs: 550_000 })
    assert.equal(exitCode, 0, stderr)

    const written = JSON.parse(readFileSync(json, 'utf8'))
    assert.ok(written.rows.length >= rows, JSON.stringify(written.rows))
    for (const row of written.rows as readonly Row[]) {
      assert.match(row.measured, /^-?\d[\d.]* (s|ms|MB|s\/GB)$/, row.figure)
      assert.match(row.ratio, /^(-?\d[\d.]* × .+|—)$/, row.figure)
      assert.ok(stdout.includes(`| ${row.figure} `), row.figure)
    }
    const section = readFileSync(document, 'utf8')
    assert.ok(section.includes(`\n${heading}\n`))
    const drawn = charts.map((name) => readFileSync(`${directory}/figures/${name}.svg`, 'utf8'))
    await requireWellFormed(drawn)
    for (const [number, { name, points }] of (written.charts as readonly Chart[]).entries()) {
      assert.equal(name, charts[number])
      assert.ok(section.includes(`](figures/${name}.svg)`))
      const samples = points.reduce((sum, { values }) => sum + values.length, 0)
      assert.ok(samples > 0)
      assert.equal(circlesOf(drawn[number]!), samples, name)
    }
  })
}

test('numbers are kept by series and place, in the order in which they came', () => {
  const collected = new Collected()
  collected.add('one', 10, 1)
  collected.add('two', 10, 2)
  collected.add('one', 10, 3)
  assert.deepEqual(collected.values('one', 10), [1, 3])
  assert.deepEqual(collected.values('one', 11), [])
  assert.deepEqual(
    collected.points((series) => series === 'one', 10),
    [{ series: 'one', x: 10, values: [10, 30] }],
  )
})

test('counts are written in groups of three', () => assert.equal(countOf(1_300_000.4), '1 300 000'))

const REFUSED: readonly (readonly [string, readonly string[]])[] = [
  ['both engines: a growth is of one', ['--engine', 'both']],
  ['no runs', ['--runs', '0']],
  ['a scale of nothing', ['--scale', '0']],
  ['an option that is not there', ['--peers']],
]
for (const [reason, args] of REFUSED)
  test(`options: ${reason} is refused`, () =>
    assert.throws(() => parseSeriesOptions(args, 3), { code: 'usage_invalid' }))

test('options: the defaults, and all of them', () => {
  assert.deepEqual(parseSeriesOptions([], 3), { scale: 1, engine: 'docker20', runs: 3 })
  const args = ['--engine', 'docker28', '--scale', '0.5', '--runs', '2', '--json', 'a', '--write', 'b']
  const expected = { scale: 0.5, engine: 'docker28', runs: 2, jsonPath: 'a', writePath: 'b' }
  assert.deepEqual(parseSeriesOptions(args, 1), expected)
})
