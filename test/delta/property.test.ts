/**
 * The delta is exact: random edits in a container, a snapshot after each batch of them, and each image is what the container
 * shows. What leaves no trace in timestamps is among the edits.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { labEngine, testedEngines, whyNoEngine, type Engine } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { startSilentWriter } from '../consistency/silent-writer.ts'
import { applyEdits, edits } from '../snapshot/edits.ts'
import { openDeltaLab } from './lab.ts'

const IS_LONG = process.env['TINTYPE_TEST_LONG'] === '1'
/** Of all engines together; with one of twelve snapshots on each engine they are five. */
const HISTORIES = IS_LONG ? 60 : 3
/** One more than lie on a full one, and some: so a full one is among them, and deltas on it. */
const SNAPSHOTS = 12
const FULL_AFTER = 8

let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(() => registry.stop())

const batch = fc.record({
  edits,
  /** What is stored to a file through a mapping that was made before the first snapshot. */
  stored: fc.option(fc.constantFrom('a', 'b', 'c', 'd')),
})
type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never

interface History {
  readonly base: readonly string[]
  readonly batches: readonly Batch[]
}
const history = (snapshots: { minLength: number; maxLength: number }): fc.Arbitrary<History> =>
  fc.record({ base: edits, batches: fc.array(batch, snapshots) })

interface Saved {
  readonly mode: string
  /** It has put a layer on those before. */
  readonly isLonger: boolean
}

/** Returns what became of its snapshots. */
async function live(engine: Engine, { base, batches }: History): Promise<readonly Saved[]> {
  const fillBase = (work: string) => applyEdits(base, work)
  await using lab = await openDeltaLab({ engine, registry, fillBase })
  const mapped = join(lab.work, 'mapped')
  writeFileSync(mapped, '-'.repeat(100_000))
  await using writer = startSilentWriter()
  await writer.tell(`map ${mapped}`)
  const saved: Saved[] = []
  for (const { edits, stored } of batches) {
    applyEdits(edits, lab.work)
    if (stored !== null) await writer.tell(`store ${stored}`)
    const captured = await lab.save()
    saved.push({ mode: captured.mode, isLonger: captured.layers.some(({ reused }) => !reused) })
    await lab.assertRight(captured)
  }
  await lab.assertRuns()
  return saved
}

/** The first is full, and each that follows on as many as may lie on one. */
function expectedModes(saved: readonly Saved[]): readonly string[] {
  let length = FULL_AFTER
  return saved.map(({ isLonger }) => {
    const mode = length >= FULL_AFTER ? 'full' : 'delta'
    length = (mode === 'full' ? 0 : length) + Number(isLonger)
    return mode
  })
}

const engines = testedEngines().filter((name) => !whyNoEngine(name))
const shared = { endOnFailure: true } // a history is too long to be made shorter by trying

for (const name of testedEngines())
  test(
    `${name}: ${SNAPSHOTS} snapshots of one container, a full one among them`,
    { skip: whyNoEngine(name) },
    async () => {
      await using engine = await labEngine(name)
      const whole = history({ minLength: SNAPSHOTS, maxLength: SNAPSHOTS })
      await fc.assert(
        fc.asyncProperty(whole, async (each) => {
          const saved = await live(engine, each)
          assert.deepEqual(
            saved.map(({ mode }) => mode),
            expectedModes(saved),
          )
        }),
        { ...shared, numRuns: IS_LONG ? 5 : 1 },
      )
    },
  )

test(`${HISTORIES} short histories, each of a container and a base of its own`, async (t) => {
  const taken = { next: 0 }
  await fc.assert(
    fc.asyncProperty(history({ minLength: 2, maxLength: 3 }), async (each) => {
      await using engine = await labEngine(engines[taken.next++ % engines.length]!)
      const [first, ...others] = (await live(engine, each)).map(({ mode }) => mode)
      assert.deepEqual([first, ...new Set(others)], ['full', 'delta'])
    }),
    { ...shared, numRuns: HISTORIES },
  )
  t.diagnostic(`on ${engines.join(', ')}`)
})
