/** `tintype snapshot` is killed, or cancelled, at any moment: the container runs, the tag is whole, the next run succeeds. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { snapshot, startTintype, type RunningCommand } from '../support/command.ts'
import { assertEnded, familyOf, startSubject, type Subject } from './subject.ts'

const KILLS = process.env['TINTYPE_TEST_LONG'] === '1' ? 50 : 6
const CANCELS = process.env['TINTYPE_TEST_LONG'] === '1' ? 12 : 3
/** TINTYPE_TEST_SEED repeats the moments of an earlier run. */
const SEED = Number(process.env['TINTYPE_TEST_SEED'] ?? randomInt(2 ** 31))
/** A container is frozen within this time after its freeze was recorded, or thawed already. */
const AROUND_FREEZE_MS = 60
const RUNS_AGAIN_MS = 1000
/** Far from how long it may hang without an answer: the machine does other things, too. */
const CANCELLED_MS = 20_000

for (const name of testedEngines())
  test(`${name}: killed and cancelled at random moments`, { skip: whyNoEngine(name) }, async (t) => {
    t.diagnostic(`TINTYPE_TEST_SEED=${SEED}`)
    const random = seeded(SEED)
    await using engine = await labEngine(name)
    await using registry = await startRegistry()
    await using subject = await startSubject(engine)
    await snapshot([subject.container.id, `${registry.host}/box:first`], subject.options)
    const { startedNs, endedNs } = await snapshot(
      [subject.container.id, `${registry.host}/box:second`],
      subject.options,
    )
    const usualMs = Number(endedNs - startedNs) / 1e6
    t.diagnostic(`a run takes ${Math.round(usualMs)} ms`)
    const lab = { subject, registry }

    for (const moment of moments(KILLS, random, usualMs))
      await t.test(`kill -9 of the whole process group ${moment.text}`, (each) => killed(each, lab, moment))
    await t.test('the last image pulls', () => assertPullsOrAbsent(subject, registry, 'killed'))
    for (const moment of moments(CANCELS, random, usualMs))
      await t.test(`Ctrl-C ${moment.text}`, () => cancelled(lab, moment))
  })

interface Lab {
  readonly subject: Subject
  readonly registry: Registry
}

interface Moment {
  readonly text: string
  /** Returns at the moment, or when the command has ended before it. */
  readonly comes: (running: RunningCommand, subject: Subject) => Promise<void>
}

/** Half of them spread over the whole run, one in each part of it; the others around a barrier or the freeze. */
function* moments(count: number, random: () => number, usualMs: number): Generator<Moment> {
  for (let i = 0; i < count; i++) {
    const delayMs = i % 2 === 0 ? ((i + 2 * random()) / count) * usualMs : random() * AROUND_FREEZE_MS
    const freeze = 1 + Math.floor(random() * 2)
    if (i % 2 === 0) yield { text: `after ${Math.round(delayMs)} ms`, comes: () => wait(delayMs) }
    else
      yield {
        text: `${Math.round(delayMs)} ms after freeze ${freeze} was recorded`,
        comes: (running, subject) => afterFreeze(freeze, delayMs, { running, subject }),
      }
  }
}

async function afterFreeze(
  freeze: number,
  delayMs: number,
  { running, subject }: { running: RunningCommand; subject: Subject },
): Promise<void> {
  const over = new AbortController()
  void running.ended.then(() => over.abort())
  for (let number = 0; number < freeze; number++) {
    await subject.freezeRecorded(over.signal)
    // A record is written, renamed and removed: the next freeze is what comes after that.
    if (number + 1 < freeze) await wait(AROUND_FREEZE_MS)
  }
  await wait(delayMs)
}

/** The tag is there from the round before, and must pull whatever happens in this one. */
async function killed(t: TestContext, { subject, registry }: Lab, moment: Moment): Promise<void> {
  const { container, options } = subject
  const reference = `${registry.host}/box:killed`
  const running = startTintype(['snapshot', container.id, reference, '--overwrite', '--quiet'], options)
  await moment.comes(running, subject)
  const family = familyOf(running.pid)
  signalGroup(running, 'SIGKILL')
  const { code, err } = await running.ended
  t.diagnostic(code === null ? 'killed' : 'ended before')
  assert.ok(code === null || code === 0, `exit code ${code} before it was killed: ${err}`)
  await wait(RUNS_AGAIN_MS)
  await subject.assertRuns()
  await assertPullsOrAbsent(subject, registry, 'killed')
  await assertEnded(family, options.home)
  await snapshot([container.id, reference, '--overwrite'], options)
  subject.assertTidy()
  await subject.assertRuns()
}

async function cancelled({ subject, registry }: Lab, moment: Moment): Promise<void> {
  const { container, options } = subject
  const tag = `cancelled-${moment.text.replaceAll(' ', '-')}`
  const running = startTintype(['snapshot', container.id, `${registry.host}/box:${tag}`, '--json'], options)
  await moment.comes(running, subject)
  const family = familyOf(running.pid)
  const signalled = performance.now()
  signalGroup(running, 'SIGINT')
  const { code, out, err } = await running.ended
  const tookMs = performance.now() - signalled
  // It may have been too early for a handler, or too late: the end of a process is an answer too.
  assert.ok(code === 130 || code === null || code === 0, `exit code ${code}: ${out}${err}`)
  assert.ok(tookMs < CANCELLED_MS, `it took ${Math.round(tookMs)} ms to end`)
  await subject.assertRuns()
  await assertEnded(family, options.home)
  if (code === 130) {
    assert.equal(JSON.parse(out).error.code, 'cancelled')
    assert.equal(await statusOf(registry, tag), 404)
  }
  subject.assertTidy()
}

function signalGroup(running: RunningCommand, name: NodeJS.Signals): void {
  try {
    running.signal(name)
  } catch {
    // It has ended before the moment came.
  }
}

async function statusOf({ host }: Registry, tag: string): Promise<number> {
  const headers = { accept: 'application/vnd.oci.image.manifest.v1+json' }
  return (await fetch(`http://${host}/v2/box/manifests/${tag}`, { method: 'HEAD', headers })).status
}

async function assertPullsOrAbsent({ engine }: Subject, registry: Registry, tag: string): Promise<void> {
  const status = await statusOf(registry, tag)
  if (status === 404) return
  assert.equal(status, 200)
  const reference = `${registry.host}/box:${tag}`
  await engine.docker(['pull', '--quiet', reference])
  await engine.docker(['rmi', reference])
}

/** Mulberry32: the same numbers from 0 to 1 for the same seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
