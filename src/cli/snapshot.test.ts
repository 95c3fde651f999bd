import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { readConfig } from '#config/config.ts'
import type { Repository } from '#registry/repository.ts'
import type { CaptureOptions, Captured } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import { runSnapshot } from './snapshot.ts'
import type { SnapshotParts } from './snapshot.ts'

const CAPTURED: Captured = {
  reference: 'reg.example/a:v1',
  digest: `sha256:${'a'.repeat(64)}`,
  baseReference: 'python:3',
  mode: 'full',
  modeReason: 'first snapshot',
  layers: [
    { digest: 'sha256:1', diffID: 'sha256:2', mediaType: 'm', sizeBytes: 10, rawBytes: 20, reused: false },
    { digest: 'sha256:3', diffID: 'sha256:4', mediaType: 'm', sizeBytes: 10, rawBytes: 20, reused: true },
  ],
  files: 130_000,
  rawBytes: 2.6e9,
  compressedBytes: 745e6,
  uploadedBytes: 745e6,
  passes: 2,
  frozenMs: 43,
  barrierMs: 12,
  freezeMethod: 'walk',
  totalMs: 8100,
  torn: [],
  skipped: [],
  unsavedMounts: [],
  warnings: [],
}

async function start(args: readonly string[], change: Partial<SnapshotParts> = {}, captured = CAPTURED, env = {}) {
  const seen = { out: '', err: '', steps: [] as string[], options: undefined as CaptureOptions | undefined }
  const parts: SnapshotParts = {
    terminal: {
      out: (text) => void (seen.out += text),
      err: (text) => void (seen.err += text),
      isInteractive: false,
      columns: () => 80,
    },
    clock: systemClock,
    config: await readConfig(env),
    thawLeftovers: async () => (seen.steps.push('thaw'), []),
    locate: async (container) => (seen.steps.push(`locate ${container}`), {} as Source),
    openTarget: async ({ text }) => (seen.steps.push(`open ${text}`), {} as Repository),
    repositoryOf: async () => ({}) as Repository,
    capture: async (_source, options) => {
      seen.steps.push('capture')
      seen.options = options
      return captured
    },
    ...change,
  }
  return { seen, exitCode: runSnapshot(args, parts, new AbortController().signal) }
}

test('leftovers are thawed first, then target, container and capture', async () => {
  const { seen, exitCode } = await start(['box', 'reg.example/a:v1'])
  assert.equal(await exitCode, 0)
  assert.deepEqual(seen.steps, ['thaw', 'open reg.example/a:v1', 'locate box', 'capture'])
})

test('without options the capture has the documented defaults', async () => {
  const { seen, exitCode } = await start(['box', 'reg.example/a'])
  await exitCode
  const { target: _t, repositoryOf: _r, signal: _s, onProgress: _p, ...plain } = seen.options!
  assert.deepEqual(plain, {
    reference: 'reg.example/a:latest',
    tag: 'latest',
    home: '/var/lib/tintype',
    zstdEverywhere: false,
    usesTracepoints: true,
    labels: {},
    exclusions: [],
    overwrite: false,
    compression: 'auto',
    full: false,
    singlePass: false,
    freeze: true,
  })
})

test('every option and the configuration reach the capture', async () => {
  const args = ['box', 'reg.example/a:v1', '--name', 'N', '--description', 'T', '--label', 'k=v=w', '--label', 'empty=']
  args.push('--exclude', '/a', '--exclude', '/b', '--overwrite', '--compression', 'zstd', '--level', '3')
  args.push('--full', '--single-pass', '--max-freeze-ms', '500', '--quiet')
  const env = {
    TINTYPE_HOME: '/srv',
    TINTYPE_ZSTD: 'auto',
    TINTYPE_TRACEPOINTS: 'never',
    TINTYPE_WORKERS: '2',
    TINTYPE_SPOOL_BYTES: '1GiB',
    TINTYPE_MAX_LAYER_BYTES: '2GiB',
  }
  const { seen, exitCode } = await start(args, {}, CAPTURED, env)
  await exitCode
  const { target: _t, repositoryOf: _r, signal: _s, onProgress: _p, ...plain } = seen.options!
  assert.deepEqual(plain, {
    reference: 'reg.example/a:v1',
    tag: 'v1',
    home: '/srv',
    zstdEverywhere: true,
    usesTracepoints: false,
    workers: 2,
    spoolBytes: 2 ** 30,
    maxLayerBytes: 2 ** 31,
    name: 'N',
    description: 'T',
    level: 3,
    maxFreezeMs: 500,
    labels: { k: 'v=w', empty: '' },
    exclusions: ['/a', '/b'],
    overwrite: true,
    compression: 'zstd',
    full: true,
    singlePass: true,
    freeze: true,
  })
})

test('SOURCE_DATE_EPOCH is the time of creation', async () => {
  const { seen, exitCode } = await start(['box', 'a'], { sourceDateEpoch: '1700000000' })
  await exitCode
  assert.equal(seen.options!.createdMs, 1_700_000_000_000)
})

for (const text of ['soon', '-1', '1.5', '999999999999']) {
  test(`SOURCE_DATE_EPOCH=${text} is refused before anything is done`, async () => {
    const { seen, exitCode } = await start(['box', 'a'], { sourceDateEpoch: text })
    await assert.rejects(exitCode, { code: 'usage_invalid', message: /SOURCE_DATE_EPOCH must be whole seconds/ })
    assert.deepEqual(seen.steps, [])
  })
}

test('--json prints exactly the result, and the text goes nowhere else', async () => {
  const { seen, exitCode } = await start(['box', 'reg.example/a:v1', '--json'])
  await exitCode
  assert.deepEqual(JSON.parse(seen.out), CAPTURED)
  assert.equal(seen.out.trimEnd().includes('\n'), false)
})

test('the summary says what, how long frozen and how large', async () => {
  const { seen, exitCode } = await start(['box', 'reg.example/a:v1'])
  await exitCode
  assert.equal(
    seen.out,
    `Saved reg.example/a:v1
  digest      sha256:${'a'.repeat(64)}
  base        python:3
  mode        full: first snapshot
  layers      1 new, 1 from earlier snapshots
  content     130 000 files, 2.60 GB
  compressed  745 MB, of which 745 MB were sent
  frozen      43 ms, the longest stop before it 12 ms (2 passes)
  time        8.1 s
`,
  )
})

test('the summary says when layers were merged, and why', async () => {
  const squashed = { layers: 33, reason: '33 layers would lie on the first base image, and 32 may' }
  const { seen, exitCode } = await start(['box', 'reg.example/a:v1'], {}, { ...CAPTURED, squashed })
  await exitCode
  assert.match(seen.out, /\n {2}squashed {4}33 layers of this and earlier snapshots: 33 layers would lie on the first/)
})

test('what is missing or torn is named, and no name can move the cursor', async () => {
  const losses: Captured = {
    ...CAPTURED,
    freezeMethod: 'none',
    torn: ['/log\x1b[2J', { base64: Buffer.of(0x2f, 0xff).toString('base64') }],
    skipped: Array.from({ length: 25 }, (_, i) => ({ path: `/s${i}`, reason: 'socket' })),
    unsavedMounts: ['/data'],
    warnings: ['The exclusion /x\nmatches nothing.'],
  }
  const { seen, exitCode } = await start(['box', 'reg.example/a:v1', '--no-freeze'], {}, losses)
  assert.equal(await exitCode, 7, 'saved, but torn')
  assert.match(seen.out, /frozen {6}not at all\n/)
  assert.match(seen.out, /may be torn:\n {2}\/log\\x1b\[2J\n {2}\/\\xff\n/)
  assert.match(seen.out, /\/s19 \(socket\)\n {2}… and 5 more: --json names them all\n/)
  assert.match(seen.out, /mounted there:\n {2}\/data\n/)
  assert.match(seen.out, /Warning: The exclusion \/x\\nmatches nothing\.\n/)
  assert.doesNotMatch(seen.out, /\x1b/)
})

test('torn files of a capture that froze are no partial success', async () => {
  const { exitCode } = await start(['box', 'reg.example/a:v1'], {}, { ...CAPTURED, torn: ['/a'] })
  assert.equal(await exitCode, 0)
})

test('what was thawed is said on stderr', async () => {
  const { seen, exitCode } = await start(['box', 'reg.example/a:v1'], {
    thawLeftovers: async () => ['Thawed \x1bone.'],
  })
  await exitCode
  assert.equal(seen.err, 'tintype: Thawed \\x1bone.\n')
})

const MISTAKES: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['no reference', ['box'], /needs REFERENCE/],
  ['a label without a value', ['box', 'a', '--label', 'k'], /--label must be KEY=VALUE, not "k"/],
  ['a label without a key', ['box', 'a', '--label', '=v'], /--label must be KEY=VALUE/],
  [
    'a name with an escape',
    ['box', 'a', '--name', 'a\x1b[2J'],
    /--name must have no control characters, and "a\\u001b\[2J"/,
  ],
  ['a name of two lines', ['box', 'a', '--name', 'a\nb'], /--name must have no control/],
  ['a description with a bell', ['box', 'a', '--description', 'a\x07'], /--description must have no control/],
  ['a label with an escape', ['box', 'a', '--label', 'k=\x9b'], /--label "k" must have no control/],
  ['a label whose name has one', ['box', 'a', '--label', 'k\n=v'], /the name of --label must have no control/],
  ['a label twice', ['box', 'a', '--label', 'k=1', '--label', 'k=2'], /--label "k" is given twice/],
  [
    'another compression',
    ['box', 'a', '--compression', 'xz'],
    /--compression must be auto, zstd, gzip or none, not "xz"/,
  ],
  ['a level out of range', ['box', 'a', '--level', '23'], /--level must be a whole number from 1 to 19/],
  ['a freeze of no time', ['box', 'a', '--max-freeze-ms', '0'], /--max-freeze-ms must be a whole number from 1/],
  ['--no-freeze with --single-pass', ['box', 'a', '--no-freeze', '--single-pass'], /exclude each other/],
  ['--no-freeze with --max-freeze-ms', ['box', 'a', '--no-freeze', '--max-freeze-ms', '5'], /exclude each other/],
  ['a digest as the target', ['box', `a@sha256:${'0'.repeat(64)}`], /names a digest/],
]
for (const [reason, args, pattern] of MISTAKES) {
  test(`${reason} is refused before anything is done`, async () => {
    const { seen, exitCode } = await start(args)
    await assert.rejects(
      exitCode,
      (error: unknown) => error instanceof AppError && error.kind === 'invalid' && pattern.test(error.message),
    )
    assert.deepEqual([seen.steps, seen.out, seen.err], [[], '', ''])
  })
}

test('a failure of the capture is passed on, and nothing is printed', async () => {
  const failure = new AppError('tag_exists', 'There.')
  const { seen, exitCode } = await start(['box', 'a'], { capture: () => Promise.reject(failure) })
  await assert.rejects(exitCode, failure)
  assert.equal(seen.out, '')
})
