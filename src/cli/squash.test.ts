import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { readConfig } from '#config/config.ts'
import type { Repository } from '#registry/repository.ts'
import type { Squashed, SquashOptions } from '#snapshot/squash/squash.ts'
import { runSquash } from './squash.ts'
import type { SquashParts } from './squash.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const SQUASHED: Squashed = {
  reference: 'reg.example/a:small',
  digest: DIGEST,
  sourceReference: 'reg.example/a:v1',
  sourceDigest: DIGEST,
  baseDigest: DIGEST,
  baseLayers: 2,
  squashedLayers: 40,
  layers: [{ digest: 'sha256:1', diffID: 'sha256:2', mediaType: 'm', sizeBytes: 10, rawBytes: 20, reused: false }],
  files: 130_000,
  rawBytes: 1e9,
  compressedBytes: 373e6,
  uploadedBytes: 373e6,
  totalMs: 8100,
  warnings: ['something\x1b'],
}

async function start(args: readonly string[], squashed: Squashed | Error = SQUASHED, env = {}) {
  const seen = { out: '', err: '', opened: [] as string[], options: undefined as SquashOptions | undefined }
  const parts: SquashParts = {
    terminal: {
      out: (text) => void (seen.out += text),
      err: (text) => void (seen.err += text),
      isInteractive: false,
      columns: () => 80,
    },
    clock: systemClock,
    config: await readConfig(env),
    openTarget: async ({ text }) => (seen.opened.push(text), { name: text } as Repository),
    openSource: async ({ text }) => (seen.opened.push(text), { name: text } as Repository),
    squash: async (options) => {
      seen.options = options
      if (squashed instanceof Error) throw squashed
      return squashed
    },
  }
  return { seen, exitCode: runSquash(args, parts, new AbortController().signal) }
}

test('a new tag needs nothing more; the defaults are the documented ones', async () => {
  const { seen, exitCode } = await start(['reg.example/a:v1', 'reg.example/a:small', '--quiet'])
  assert.equal(await exitCode, 0)
  const { image, target: _t, signal: _s, onProgress: _p, ...plain } = seen.options!
  assert.deepEqual([image.tagOrDigest, image.text], ['v1', 'reg.example/a:v1'])
  assert.deepEqual(plain, {
    tag: 'small',
    reference: 'reg.example/a:small',
    overwrite: false,
    isInPlace: false,
    home: '/var/lib/tintype',
    compression: 'auto',
    zstdEverywhere: false,
  })
})

test('every option and the configuration reach the squash', async () => {
  const args = [
    'oci:/images:v1',
    'oci:/images:small',
    '--onto',
    'oci:/images:base',
    '--overwrite',
    '--compression',
    'zstd',
    '--level',
    '3',
  ]
  const env = {
    TINTYPE_HOME: '/srv',
    TINTYPE_ZSTD: 'auto',
    TINTYPE_WORKERS: '2',
    TINTYPE_SPOOL_BYTES: '1GiB',
    TINTYPE_MAX_LAYER_BYTES: '2GiB',
  }
  const { seen, exitCode } = await start(args, SQUASHED, env)
  await exitCode
  const { image: _i, onto, target: _t, signal: _s, onProgress: _p, ...plain } = seen.options!
  assert.deepEqual([onto!.tagOrDigest, onto!.text], ['base', 'oci:/images:base'])
  assert.deepEqual(plain, {
    tag: 'small',
    reference: 'oci:/images:small',
    overwrite: true,
    isInPlace: false,
    home: '/srv',
    compression: 'zstd',
    level: 3,
    zstdEverywhere: true,
    workers: 2,
    spoolBytes: 2 ** 30,
    maxLayerBytes: 2 ** 31,
  })
})

test('without TARGET the tag itself moves; so it does when TARGET is the same', async () => {
  for (const args of [
    ['reg.example/a', '--overwrite'],
    ['reg.example/a:latest', 'reg.example/a', '--overwrite'],
  ]) {
    const { seen, exitCode } = await start(args)
    await exitCode
    assert.deepEqual([seen.options!.tag, seen.options!.isInPlace, seen.options!.overwrite], ['latest', true, true])
  }
})

test('an image may be named by its digest', async () => {
  const { seen, exitCode } = await start([
    `reg.example/a:v1@${DIGEST}`,
    'reg.example/a:small',
    '--onto',
    `python@${DIGEST}`,
  ])
  await exitCode
  assert.deepEqual([seen.options!.image.tagOrDigest, seen.options!.onto!.tagOrDigest], [DIGEST, DIGEST])
  assert.equal(seen.options!.onto!.text, `docker.io/library/python@${DIGEST}`)
})

const MISTAKES: readonly [string, readonly string[], string, RegExp][] = [
  ['nothing to squash', [], 'usage_invalid', /needs REFERENCE/],
  [
    'the tag would move, and nobody said so',
    ['reg.example/a:v1'],
    'usage_invalid',
    /add --overwrite, or name a TARGET/,
  ],
  ['also when it is named twice', ['reg.example/a:v1', 'reg.example/a:v1'], 'usage_invalid', /--overwrite/],
  ['a digest has no tag to move', [`reg.example/a@${DIGEST}`, '--overwrite'], 'usage_invalid', /needs TARGET/],
  ['a digest as TARGET', ['reg.example/a:v1', `reg.example/a@${DIGEST}`], 'reference_invalid', /names a digest/],
  ['an unknown compression', ['a:1', 'a:2', '--compression', 'xz'], 'usage_invalid', /auto, zstd, gzip or none/],
  ['an option of snapshot', ['a:1', 'a:2', '--label', 'k=v'], 'usage_invalid', /no option "--label"/],
]
for (const [reason, args, code, message] of MISTAKES)
  test(`refused before anything is opened: ${reason}`, async () => {
    const { seen, exitCode } = await start(args)
    await assert.rejects(exitCode, { code, message })
    assert.deepEqual(seen.opened, [])
  })

test('the result for people, without control characters', async () => {
  const { seen, exitCode } = await start(['reg.example/a:v1', 'reg.example/a:small'])
  await exitCode
  assert.match(seen.out, /^Squashed reg\.example\/a:small\n/)
  assert.match(seen.out, /40 became 1\n/)
  assert.match(seen.out, /2 layers of sha256:a+\n/)
  assert.match(seen.out, /Warning: something\\x1b\n$/)
})

test('--json prints the result as it is', async () => {
  const { seen, exitCode } = await start(['reg.example/a:v1', 'reg.example/a:small', '--json'])
  await exitCode
  assert.deepEqual(JSON.parse(seen.out), SQUASHED)
})

test('a failure stays what it is', async () => {
  const { exitCode } = await start(['a:1', 'a:2'], new AppError('tag_exists', 'It is there.'))
  await assert.rejects(exitCode, { code: 'tag_exists' })
})
