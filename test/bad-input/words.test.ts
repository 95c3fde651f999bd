import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { labEngine, type Engine } from '#lab/engine.ts'
import { openBench, type Bench } from './command.ts'

/** What is written wrongly: refused before anything is done, on whatever engine. */
let engine: Engine
let bench: Bench
before(async () => {
  engine = await labEngine('docker20')
  bench = await openBench(engine)
})
after(async () => {
  await bench[Symbol.asyncDispose]()
  await engine.stop()
})

const HEX = 'a'.repeat(64)
const REFERENCES: readonly (readonly [reason: string, reference: string, says: RegExp, code?: string])[] = [
  ['an empty reference', '', /needs REFERENCE, and an empty one was given/, 'usage_invalid'],
  ['upper case', 'reg.example/Team/box:v1', /"reg.example\/Team\/box:v1" .* must be in lower case/],
  ['a bad tag', 'reg.example/box:-v1', /the tag must be 1 to 128/],
  ['a digest', `reg.example/box@sha256:${HEX}`, /names a digest, .* name a tag instead/],
  ['a short digest', 'reg.example/box@sha256:12', /digest after "@" must be/],
  ['a URL', 'https://reg.example/box:v1', /is a URL: write REGISTRY\/REPOSITORY:TAG, without https:\/\//],
  ['a layout without directory', 'oci:', /the directory is missing/],
  ['a layout with two colons', 'oci:/a:b:c', /colon/],
]
for (const [reason, reference, says, code = 'reference_invalid'] of REFERENCES)
  test(`as a reference, ${reason} is refused`, () =>
    bench.refuses(['snapshot', bench.boxName, reference], { exitCode: 2, code, says }))

const OPTIONS: readonly (readonly [reason: string, options: readonly string[], says: RegExp, code?: string])[] = [
  [
    'an unknown option gets a suggestion',
    ['--compresion', 'zstd'],
    /no option "--compresion": did you mean --compression\?/,
  ],
  ['a level that no codec has', ['--level', '99'], /--level must be a whole number from 1 to 19, not "99"/],
  ['a level that gzip has not', ['--level', '12'], /--level 12 is not a level of gzip: use 1 to 9/],
  ['a freeze budget that is no number', ['--max-freeze-ms', 'abc'], /--max-freeze-ms must be a whole number .*"abc"/],
  ['a name that would clear the screen', ['--name', 'a\x1b[2Jb'], /--name must have no control characters/],
  ['an exclusion that is not absolute', ['--exclude', 'work'], /"work" must be an absolute path/, 'exclusion_invalid'],
  ['an exclusion with ..', ['--exclude', '/work/../etc'], /write the path out/, 'exclusion_invalid'],
]
for (const [reason, options, says, code = 'usage_invalid'] of OPTIONS)
  test(`${reason}: refused`, async () => {
    const target = bench.freshTarget()
    await bench.refuses(['snapshot', bench.boxName, target, ...options], { exitCode: 2, code, says })
    assert.ok(!existsSync(target.slice('oci:'.length, -':v1'.length)))
  })

const ENVIRONMENTS: readonly (readonly [reason: string, env: NodeJS.ProcessEnv, says: RegExp])[] = [
  ['an engine over TCP', { DOCKER_HOST: 'tcp://192.0.2.1:2375' }, /DOCKER_HOST must be unix:\/\/ .*engine's own host/],
  ['a home that is no absolute path', { TINTYPE_HOME: 'here' }, /TINTYPE_HOME must be an absolute path/],
  ['a spool size that is none', { TINTYPE_SPOOL_BYTES: 'much' }, /TINTYPE_SPOOL_BYTES must be a size such as 20GiB/],
]
for (const [reason, env, says] of ENVIRONMENTS)
  test(`${reason}: refused`, () =>
    bench.refuses(
      ['snapshot', bench.boxName, bench.freshTarget()],
      { exitCode: 2, code: 'config_invalid', says },
      { env },
    ))

/** These are found out after the container's lock has been taken: one command at a time. */
const HOMES: typeof ENVIRONMENTS = [
  ['a home below a file', { TINTYPE_HOME: '/etc/passwd/x' }, /\/etc\/passwd\/x cannot be made .*: set TINTYPE_HOME/],
  ['a home in /proc', { TINTYPE_HOME: '/proc/tintype' }, /\/proc\/tintype cannot be made .*: set TINTYPE_HOME/],
]
for (const [reason, env, says] of HOMES)
  test(`${reason}: refused`, () =>
    bench.refusesAlone(
      ['snapshot', bench.boxName, bench.freshTarget()],
      { exitCode: 2, code: 'config_invalid', says },
      { env },
    ))

test('directories that are no layout are refused, and left as they are', async () => {
  mkdirSync(`${bench.root}/full`)
  writeFileSync(`${bench.root}/full/thesis`, 'years of work')
  const refused = (directory: string, says: RegExp) =>
    bench.refuses(['snapshot', bench.boxName, `oci:${directory}:v1`], { exitCode: 6, code: 'layout_invalid', says })
  await refused(`${bench.root}/full`, /neither an OCI image layout nor empty: name another directory/)
  await refused(`${bench.root}/full/thesis`, /is not a directory/)
  assert.ok(!existsSync(`${bench.root}/full/blobs`))
})

test('a layout where nothing can be made is refused', () =>
  bench.refusesAlone(['snapshot', bench.boxName, 'oci:/proc/tintype:v1'], {
    exitCode: 6,
    code: 'layout_invalid',
    says: /\/proc\/tintype cannot be used .*: name another directory/,
  }))
