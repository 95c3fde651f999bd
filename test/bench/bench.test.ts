import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { runProgram } from '#base/process.ts'
import { rowsOf } from '../../bench/figures.ts'
import { parseOptions } from '../../bench/options.ts'
import type { Row } from '../../bench/row.ts'
import { Samples } from '../../bench/samples.ts'
import { median, medianRatio } from '../../bench/statistics.ts'

const FIGURES = [
  'full snapshot, default codec, pushed',
  'full snapshot to `oci:`',
  'full snapshot, zstd level 1, pushed',
  'full snapshot, cold cache, pushed',
  'second snapshot, 100 files of 10 MB changed',
  'its freeze seen inside',
  'freeze seen inside, 20 MB/s written, W',
  'freeze seen inside, 20 MB/s written, 10 000 files',
  'peak memory of all processes',
  'image size, gzip',
  'image size, zstd level 1',
  'preview',
]

const NOT_ASKED_FOR = ['largeMemoryBytes', 'podmanMs']
const METHODS = /(walk|tracepoints)GapMs$/i

test('a hundredth of the reference work gives every row a number, in JSON and in the document', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-bench-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const files = ['--json', `${directory}/bench.json`, '--write', `${directory}/benchmarks.md`]
  const args = ['bench/bench.ts', '--scale', '0.01', '--runs', '1', ...files]
  const { exitCode, stdout, stderr } = await runProgram(process.execPath, args, { timeoutMs: 550_000 })
  assert.equal(exitCode, 0, stderr)

  const { engines } = JSON.parse(readFileSync(`${directory}/bench.json`, 'utf8'))
  const [{ engine, rows, samples, memory }] = engines
  assert.equal(engine, 'docker20')
  assert.deepEqual(
    // Whether there is more than one way to find the changes is the machine's affair.
    [...new Set(rows.map((row: Row) => row.figure.replace(/, by (walk|tracepoints)$/, '')))],
    FIGURES,
  )
  for (const row of rows as readonly Row[]) {
    assert.match(row.measured, /^\d[\d.]* (s|ms|MB)$/, row.figure)
    assert.match(row.ratio, /^(\d[\d.]* × .+|—)$/, row.figure)
    assert.match(row.spread, /^\d[\d.]*–\d[\d.]* (s|ms|MB)$/, row.figure)
  }
  for (const [name, values] of Object.entries<readonly number[]>(samples))
    assert.ok(
      NOT_ASKED_FOR.includes(name) || METHODS.test(name) || (values.length === 1 && values[0]! >= 0),
      `${name}: ${values}`,
    )
  // The freeze that a process inside sees holds the one that we report, but for the parts before and after it.
  assert.ok(samples.walkGapMs.concat(samples.tracepointsGapMs)[0] > 0 && samples.frozenMs[0] > 0)
  const names = memory.processes.map(({ name }: { name: string }) => name)
  for (const name of ['tintype', 'reader', 'watchdog', 'the registry']) assert.ok(names.includes(name), String(names))

  const document = readFileSync(`${directory}/benchmarks.md`, 'utf8')
  const made = /Made by `npm run bench -- --scale 0\.01 .+` on \d{4}-\d\d-\d\d: \d+ cores, .+Node 26.+; load average \d/
  assert.match(document, made)
  assert.match(stdout.toString(), /The promises are for scale 1; this is scale 0\.01\./)
  const line = (row: Row) => document.split('\n').find((text) => text.startsWith(`| ${row.figure} `))
  for (const row of rows as readonly Row[]) assert.ok(line(row), row.figure)
})

const WITHIN = { pushedMs: 8_000, commitMs: 120_000, tarMs: 7_000, walkGapMs: 399, memoryBytes: 449e6, gzipBytes: 116 }
const VERDICTS: readonly (readonly [string, Partial<Record<keyof typeof WITHIN, number>>, readonly string[]])[] = [
  ['all within their limits', {}, ['reached', 'reached', 'reached', 'reached', 'reached']],
  [
    'eleven times as fast as commit and push',
    { commitMs: 88_000 },
    ['missed', 'reached', 'reached', 'reached', 'reached'],
  ],
  ['slower than tar', { tarMs: 6_900 }, ['reached', 'missed', 'reached', 'reached', 'reached']],
  ['frozen too long', { walkGapMs: 401 }, ['reached', 'reached', 'missed', 'reached', 'reached']],
  ['too much memory', { memoryBytes: 451e6 }, ['reached', 'reached', 'reached', 'missed', 'reached']],
  ['too large an image', { gzipBytes: 117 }, ['reached', 'reached', 'reached', 'reached', 'missed']],
]
for (const [reason, changed, verdicts] of VERDICTS) {
  test(`verdicts: ${reason}`, () => {
    const samples = new Samples()
    samples.add({ dockerBytes: 100, ...WITHIN, ...changed })
    assert.deepEqual(
      rowsOf(samples, 'docker20').map(({ verdict }) => verdict),
      verdicts,
    )
  })
}

const AIMS: readonly (readonly [string, Partial<Record<keyof typeof WITHIN, number>>, readonly string[]])[] = [
  ['half as fast again', { pushedMs: 15_000 }, ['≥ 16 ×: 50 % short', '≤ 0.9 ×: 138 % over']],
  ['all of them', { pushedMs: 6_000 }, ['≥ 16 ×: reached', '≤ 0.9 ×: reached']],
]
for (const [reason, changed, aims] of AIMS) {
  test(`aims: ${reason}`, () => {
    const samples = new Samples()
    samples.add({ ...WITHIN, ...changed })
    const rows = rowsOf(samples, 'docker20')
    assert.deepEqual(
      rows.slice(0, 2).map(({ aim }) => aim),
      aims,
    )
  })
}

test('each way of finding the changes has a limit of its own', () => {
  const samples = new Samples()
  samples.add({ walkGapMs: 250, tracepointsGapMs: 250 })
  assert.deepEqual(
    rowsOf(samples, 'docker20').map(({ mustReach, verdict }) => [mustReach, verdict]),
    [
      ['≤ 400 ms', 'reached'],
      ['≤ 100 ms', 'missed'],
    ],
  )
})

test('Docker 28 compresses faster: eight times as fast is enough there', () => {
  const samples = new Samples()
  samples.add({ ...WITHIN, commitMs: 64_000 })
  assert.equal(rowsOf(samples, 'docker28')[0]!.verdict, 'reached')
  assert.equal(rowsOf(samples, 'docker20')[0]!.verdict, 'missed')
})

test('what nothing was promised for has no verdict, and what was not measured no row', () => {
  const samples = new Samples()
  samples.add({ zstdMs: 6_000, tarMs: 6_000 })
  const [row, ...others] = rowsOf(samples, 'docker20')
  assert.deepEqual([row!.figure, row!.measured, row!.verdict, others.length], [FIGURES[2], '6.00 s', '—', 0])
})

const MEDIANS: readonly (readonly [string, readonly number[], number])[] = [
  ['one', [7], 7],
  ['an odd count, unsorted, compared as numbers', [10, 9, 100], 10],
  ['an even count', [4, 1, 3, 2], 2.5],
]
for (const [reason, values, expected] of MEDIANS)
  test(`median: ${reason}`, () => assert.equal(median(values), expected))

test('a ratio pairs what was measured together, and takes medians where the counts differ', () => {
  assert.equal(medianRatio([2, 30, 8], [1, 10, 2]), 3)
  assert.equal(medianRatio([120], [8, 10, 12]), 12)
})

const REFUSED: readonly (readonly [string, readonly string[]])[] = [
  ['an engine that is not measured', ['--engine', 'podman']],
  ['a cold run and a half', ['--cold-runs', '1.5']],
  ['a scale of nothing', ['--scale', '0']],
  ['a scale that is no number', ['--scale', 'big']],
  ['no runs', ['--runs', '0']],
  ['half a run', ['--commit-runs', '0.5']],
  ['an option that is not there', ['--fast']],
  ['words', ['all']],
]
for (const [reason, args] of REFUSED)
  test(`options: ${reason} is refused`, () => assert.throws(() => parseOptions(args), { code: 'usage_invalid' }))

test('options: the defaults, and both engines', () => {
  assert.deepEqual(parseOptions([]), {
    scale: 1,
    engines: ['docker20'],
    runs: 3,
    commitRuns: 1,
    coldRuns: 1,
    hasPeers: false,
    isLarge: false,
  })
  const given = ['--engine', 'both', '--large', '--peers', '--cold-runs', '0', '--json', 'a']
  assert.deepEqual(parseOptions(given), {
    scale: 1,
    engines: ['docker20', 'docker28'],
    runs: 3,
    commitRuns: 1,
    coldRuns: 0,
    hasPeers: true,
    isLarge: true,
    jsonPath: 'a',
  })
})
