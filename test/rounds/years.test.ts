/** Years of saves (design.md §4.9): change, save, stop, start from what was saved, and again. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { labEngine, type Engine } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import type { SquashLimits } from '#snapshot/chain/choose-squash.ts'
import type { Progress } from '#snapshot/result.ts'
import type { Squashed } from '#snapshot/squash/squash.ts'
import { describeContainer } from '../fidelity/judges.ts'
import { runTintype } from '../support/command.ts'
import { openRounds, type Rounds } from './lab.ts'

const IS_LONG = process.env['TINTYPE_TEST_LONG'] === '1'
const MB = 2 ** 20
/** Those of the product, or such that a few rounds meet them. */
const LIMITS: SquashLimits = IS_LONG
  ? { layers: 32, supersededBytes: 256 * MB }
  : { layers: 4, supersededBytes: 256 * MB }
const ROUNDS = IS_LONG ? 200 : 12

let engine: Engine
let registry: Registry
before(async () => {
  engine = await labEngine('docker20')
  registry = await startRegistry()
})
after(async () => {
  await registry.stop()
  await engine.stop()
})

/** One a round, from whatever the one before has left: what A7 of the engines' limits and §4.9 are about. */
const CHANGES = [
  'rm -rf /base/dir /own; mkdir -p /own/d; echo 1 > /own/d/f; ln /own/d/f /own/d/g',
  'mkdir /base/dir; echo new > /base/dir/new; rm /own/d/f', // nothing that the base had in it comes back
  'rm -rf /own/d; echo file > /own/d; rm -rf /base/file; mkdir /base/file; echo x > /base/file/x',
  'rm /own/d; mkdir /own/d; echo again > /own/d/h; chmod 700 /base/dir; rm -rf /base/file; echo file > /base/file',
  'rm -rf /base/dir; echo file > /base/dir; ln /own/d/h /own/hard; mkfifo /own/d/p',
  'rm /base/dir; mkdir -p /base/dir/sub; touch /base/dir/sub/x; rm -rf /own/d; mkdir /own/d',
]

test(`${ROUNDS} rounds: each image is right, and none has more layers than may be`, async () => {
  await using rounds = await openRounds(engine, registry)
  const times: number[] = []
  let squashes = 0
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = IS_LONG ? 12 * MB : 20_000
    const fresh = `mkdir -p /data; head -c ${bytes} /dev/urandom > /data/latest; echo ${round} > /data/round`
    await rounds.change(`${CHANGES[round % CHANGES.length]}; ${fresh}`)
    let tag = `r${round}`
    const saved = await rounds.save(tag, { squash: LIMITS })
    assert.equal(saved.mode, 'full', saved.modeReason)
    assert.deepEqual(saved.warnings, [])
    times.push(saved.totalMs)
    if (saved.squashed) {
      squashes++
      tag = await saveAgain(rounds, tag)
    }
    const sizes = (await rounds.layerSizes(tag)) ?? []
    assert.ok(sizes.length - 1 <= LIMITS.layers, `${tag} has ${sizes.length - 1} layers above the base`)
    if (IS_LONG && round % 10 === 9) await assertSmall(rounds, tag, LIMITS)
    await rounds.restart(tag)
  }
  assert.ok(squashes >= (IS_LONG ? 3 : 2), `it squashed ${squashes} times`)
  if (IS_LONG) assertNoTrend(times)
})

/** In the container whose layers were merged just now, the next capture appends to what they became. */
async function saveAgain(rounds: Rounds, tag: string): Promise<string> {
  await rounds.change('echo more > /own/more; rm -rf /base/other')
  const next = await rounds.save(`${tag}-more`, { squash: LIMITS })
  assert.equal(next.mode, 'delta', next.modeReason)
  assert.deepEqual(
    next.layers.map(({ reused }) => reused),
    [true, false],
  )
  assert.equal((await rounds.layerSizes(`${tag}-more`))?.length, 3, 'the first base, what was merged, what is new')
  return `${tag}-more`
}

/** At most twice the squashed image and the limit. */
async function assertSmall(rounds: Rounds, tag: string, { supersededBytes }: SquashLimits): Promise<void> {
  const { code, out, err } = await runTintype(
    ['squash', rounds.referenceOf(tag), rounds.referenceOf(`${tag}-small`), '--json', '--quiet'],
    { home: rounds.home, socketPath: engine.socketPath },
  )
  assert.equal(code, 0, err + out)
  const squashed = JSON.parse(out) as Squashed
  const [base = 0, ...ours] = (await rounds.layerSizes(tag)) ?? []
  const size = base + ours.reduce((sum, each) => sum + each, 0)
  assert.ok(size <= 2 * (base + squashed.compressedBytes) + supersededBytes, `${tag}: ${size} bytes`)
}

/** The slope of the regression line makes less of the whole than the times differ from it. */
function assertNoTrend(times: readonly number[]): void {
  const n = times.length
  const mean = times.reduce((sum, each) => sum + each, 0) / n
  const middle = (n - 1) / 2
  const spread = times.reduce((sum, _, i) => sum + (i - middle) ** 2, 0)
  const slope = times.reduce((sum, each, i) => sum + (i - middle) * (each - mean), 0) / spread
  const rest = times.reduce((sum, each, i) => sum + (each - mean - slope * (i - middle)) ** 2, 0)
  const error = Math.sqrt(rest / (n - 2) / spread)
  console.log(`save: ${mean.toFixed(0)} ms, slope ${slope.toFixed(3)} ± ${error.toFixed(3)} ms a round`)
  assert.ok(slope < 3 * error || slope * n < mean / 4, `each round takes ${slope} ms more than the one before`)
}

test('what is replaced again and again does not stay in the image', async () => {
  const limits = { layers: 32, supersededBytes: MB }
  await using rounds = await openRounds(engine, registry)
  const reasons: string[] = []
  for (let round = 0; round < 3; round++) {
    await rounds.change('head -c 700000 /dev/urandom > /latest')
    const { squashed } = await rounds.save(`r${round}`, { squash: limits })
    if (squashed) reasons.push(squashed.reason)
    if (round > 0) await assertSmall(rounds, `r${round}`, limits)
    await rounds.restart(`r${round}`)
  }
  assert.equal(reasons.length, 1, 'the third')
  for (const reason of reasons) assert.match(reason, /^\d+ MiB of the \d+ MiB in our layers are no longer there$/)
})

test('a squash that is cancelled, or has no room, leaves the tag unmoved; then it succeeds', async () => {
  await using rounds = await openRounds(engine, registry)
  await rounds.change('head -c 3000000 /dev/urandom > /large')
  await rounds.save('first')
  await rounds.restart('first')
  await rounds.change('echo small > /small')
  const squash = { layers: 1, supersededBytes: MB }
  await assert.rejects(rounds.save('second', { squash, spoolBytes: 2_000_000 }), { code: 'spool_full' })
  assert.equal(await rounds.layerSizes('second'), undefined)

  const stop = new AbortController()
  const seen: Progress[] = []
  const onProgress = (progress: Progress) => {
    const isMerging = progress.phase === 'reading' && seen.some(({ phase }) => phase === 'uploading')
    seen.push(progress)
    if (isMerging && progress.bytes > 0) stop.abort()
  }
  await assert.rejects(rounds.save('second', { squash, signal: stop.signal, onProgress }), { code: 'cancelled' })
  assert.equal(await rounds.layerSizes('second'), undefined)

  const before = await describeContainer(rounds.container)
  const saved = await rounds.save('second', { squash })
  assert.deepEqual(saved.squashed, { layers: 2, reason: '2 layers would lie on the first base image, and 1 may' })
  assert.equal((await rounds.layerSizes('second'))?.length, 2)
  await rounds.restart('second')
  assert.ok(before.has('small') && before.has('large'))
})
