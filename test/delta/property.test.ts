/**
 * The delta is exact: random edits in a container, a snapshot after each batch of them, and each image is what the container
 * showed in the freeze, also where edits went on until then. What leaves no trace in timestamps is among the edits.
 */
import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { labEngine, testedEngines, whyNoEngine, type Engine } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import type { Captured, CaptureOptions } from '#snapshot/result.ts'
import { describeContainer } from '../fidelity/judges.ts'
import { startSilentWriter } from '../consistency/silent-writer.ts'
import { applyEdits, bases, edits } from '../snapshot/edits.ts'
import { operations, startEditor, type Editor, type Operation } from './editor.ts'
import { openDeltaLab, type DeltaLab } from './lab.ts'

const IS_LONG = process.env['TINTYPE_TEST_LONG'] === '1'
/** More than lie on a full one: so there is a second full one among them, and deltas on it. */
const SNAPSHOTS = 12
const FULL_AFTER = 8

/** As the command has them; a delta of as little as here walks then, and nothing is squashed. */
const STANDARD = {}
/** TINTYPE_TRACEPOINTS=auto where there are many files, and never. */
const TRACEPOINTS = { usesTracepoints: true, walkedRows: 0 }
const WALK = { usesTracepoints: false }
/** A snapshot or two of three has layers to squash. */
const SQUASHES = { squash: { layers: 2, supersededBytes: 2000 } }

const HOW: readonly (readonly [what: string, options: Partial<CaptureOptions>])[] = [
  ['by tracepoints', TRACEPOINTS],
  ['by walk', WALK],
  ['by tracepoints, and squashed where layers are more than two', { ...TRACEPOINTS, ...SQUASHES }],
  ['by walk, and squashed where layers are more than two', { ...WALK, ...SQUASHES }],
  ['as the command has it', STANDARD],
]
/** Of each of these: five histories, or sixty. */
const HISTORIES = IS_LONG ? 12 : 1

let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(() => registry.stop())

const batch = fc.record({
  edits,
  /** What is stored to a file through a mapping that was made before the first snapshot. */
  stored: fc.option(fc.constantFrom('a', 'b', 'c', 'd')),
  /** Edits that go on while the snapshot is taken, and after. */
  during: fc.option(operations, { freq: 2 }),
  squash: fc.constantFrom<'no' | 'in place' | 'beside'>('no', 'no', 'no', 'no', 'no', 'no', 'in place', 'beside'),
})
type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never

interface History {
  readonly base: readonly string[]
  readonly batches: readonly Batch[]
}
const history: fc.Arbitrary<History> = fc.record({
  base: bases,
  batches: fc.array(batch, { minLength: SNAPSHOTS, maxLength: SNAPSHOTS }),
})

/** Returns its snapshots. */
async function live(engine: Engine, { base, batches }: History, options: Partial<CaptureOptions>) {
  const fillBase = (work: string) => void applyEdits(base, work)
  await using lab = await openDeltaLab({ engine, registry, fillBase })
  const mapped = join(lab.work, 'mapped')
  writeFileSync(mapped, '-'.repeat(100_000))
  await using writer = startSilentWriter()
  await writer.tell(`map ${mapped}`)
  await using editor = await startEditor(lab.container, '/work')
  const saved: Captured[] = []
  for (const { edits, stored, during, squash } of batches) {
    applyEdits(edits, lab.work)
    if (stored !== null) await writer.tell(`store ${stored}`)
    const isPulled = saved.length + 1 === FULL_AFTER || saved.length + 1 === SNAPSHOTS
    saved.push(await saveRight(lab, editor, { during: during ?? [], squash, options, isPulled }))
  }
  return saved
}

interface Saving {
  readonly during: readonly Operation[]
  readonly squash: Batch['squash']
  readonly options: Partial<CaptureOptions>
  readonly isPulled: boolean
}

/** Returns when all images that it gives are right. */
async function saveRight(lab: DeltaLab, editor: Editor, { during, squash, options, isPulled }: Saving) {
  const log = () => statSync(join(lab.work, 'log')).size
  await editor.tell(during)
  const before = log()
  const captured = await lab.saveWhile(editor, options)
  const frozen = log()
  const seen = await describeContainer(lab.container)
  await lab.assertRight(captured, seen)
  if (squash !== 'no') await lab.assertRight(await lab.squash(captured, squash), seen)
  if (isPulled) await lab.assertPulled(captured, seen)
  editor.goOn()
  await editor.tell([])
  if (during.length > 0) assert.ok(before < frozen, 'edits have gone on until the freeze')
  return captured
}

const isLonger = ({ layers }: Captured) => layers.some(({ reused }) => !reused)

/** The first is full, and each that follows on as many as may lie on one. */
function expectedModes(saved: readonly Captured[]): readonly string[] {
  let length = FULL_AFTER
  return saved.map((each) => {
    const mode = length >= FULL_AFTER ? 'full' : 'delta'
    length = (mode === 'full' ? 0 : length) + Number(isLonger(each))
    return mode
  })
}

const engines = testedEngines().filter((name) => !whyNoEngine(name))

for (const [i, [what, options]] of HOW.entries()) {
  const name = engines[i % engines.length] ?? 'docker20'
  test(`${name}: ${SNAPSHOTS} snapshots of one container, ${what}`, { skip: whyNoEngine(name) }, async (t) => {
    await using engine = await labEngine(name)
    await fc.assert(
      fc.asyncProperty(history, async (each) => {
        const saved = await live(engine, each, options)
        const modes = saved.map(({ mode }) => mode)
        assert.deepEqual(modes, expectedModes(saved))
        const methods = new Set(saved.map(({ freezeMethod, freezeMethodReason }) => freezeMethodReason ?? freezeMethod))
        if (options !== STANDARD)
          assert.deepEqual([...methods], [options.usesTracepoints ? 'tracepoints' : 'TINTYPE_TRACEPOINTS is never'])
        const squashed = saved.filter((each) => each.squashed).length
        assert.equal(squashed > 0, 'squash' in options)
        t.diagnostic(`${modes.join(' ')}; ${squashed} squashed by themselves`)
      }),
      { numRuns: HISTORIES, endOnFailure: true }, // a history is too long to be made shorter by trying
    )
  })
}
