/** `tintype serve` is killed at any moment of its snapshots: after the next start each of them ends, and nothing is left. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { watch } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { systemCode } from '#base/errors.ts'
import { RECORD_HOME } from '#freezer/record.ts'
import { labEngine, whyNoEngine, type Engine, type EngineName } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { startServer, type TestServer } from '#lab/server.ts'
import { familyOf } from '../freeze/subject.ts'
import {
  assertNoTag,
  assertRuns,
  assertSaved,
  assertTidy,
  callerOf,
  change,
  createInstances,
  ended,
  ok,
  seeded,
  type Instance,
  type World,
} from './world.ts'

const IS_LONG = process.env['TINTYPE_TEST_LONG'] === '1'
const ENGINES: readonly EngineName[] = IS_LONG ? ['docker20', 'docker28'] : ['docker20']
/** Of each of the three ways to be killed. */
const KILLS = IS_LONG ? 10 : 1
/** TINTYPE_TEST_SEED repeats the moments of an earlier run. */
const SEED = Number(process.env['TINTYPE_TEST_SEED'] ?? randomInt(2 ** 31))
const INSTANCES = ['one', 'two']
const FILES = 300
/** A container is frozen within this time after its freeze was recorded, or thawed already. */
const AROUND_FREEZE_MS = 60
/** The lease of a server that was killed, and the snapshots themselves, on a machine that does other things too. */
const ENDS_MS = 240_000

/** A member of a family may end by itself once another of it is gone. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error
  }
}

/** What goes with the server. A capture is in a group of its own, so that only the last kind reaches it. */
const KINDS = {
  'the server alone': (server: TestServer) => process.kill(server.pid(), 'SIGKILL'),
  'its process group': (server: TestServer) => process.kill(-server.pid(), 'SIGKILL'),
  'all that it has started, the watchdog too, as the end of a container does': (server: TestServer) => {
    for (const { pid } of familyOf(server.pid())) killIfThere(pid)
  },
} as const

for (const name of ENGINES)
  test(`${name}: kill -9 during snapshots`, { skip: whyNoEngine(name), concurrency: 3 }, async (t) => {
    t.diagnostic(`TINTYPE_TEST_SEED=${SEED}`)
    await using engine = await labEngine(name)
    await using registry = await startRegistry()
    // Most of a round is the wait for a lease to run out: the three ways wait together.
    await Promise.all(
      Object.entries(KINDS).map(([what, kill], lane) =>
        t.test(`of ${what}`, (each) => killedOften(each, { engine, registry, lane, kill })),
      ),
    )
  })

interface Lane {
  readonly engine: Engine
  readonly registry: Registry
  /** A number of its own. */
  readonly lane: number
  readonly kill: (server: TestServer) => void
}

async function killedOften(t: TestContext, { engine, registry, lane, kill }: Lane): Promise<void> {
  await using server = await startServer({ engine, env: { TINTYPE_RATE_LIMIT: '0' } })
  const world = { engine, registry, server }
  const random = seeded(SEED + lane)
  const instances = await createInstances(world, INSTANCES, FILES)
  const snapshots = new Snapshots(world, `lane${lane}`, instances)
  await Promise.all((await snapshots.begin('whole')).begun)
  const startedMs = performance.now()
  for (const instance of instances) await ended(callerOf(server), instance, ENDS_MS)
  const usualMs = Math.round(performance.now() - startedMs)
  t.diagnostic(`snapshots take ${usualMs} ms`)
  const outcomes: string[] = []
  for (let round = 0; round < KILLS; round++) {
    const moment = momentOf(round + lane, random, usualMs)
    const { begun } = await snapshots.begin(`round-${round}`)
    await moment.comes(instances)
    const family = familyOf(server.pid())
    kill(server)
    await server.kill()
    // The server's own word: what it has answered is never forgotten.
    const promised = (await Promise.allSettled(begun)).flatMap((call) =>
      call.status === 'fulfilled' ? [call.value] : [],
    )
    await server.restart()
    const saved = await snapshots.assertEnd(`round-${round}`, promised)
    await assertTidy(world, instances, family)
    outcomes.push(`${moment.text}: ${saved}`)
  }
  for (const outcome of outcomes) t.diagnostic(outcome)
}

interface Moment {
  readonly text: string
  readonly comes: (instances: readonly Instance[]) => Promise<void>
}

/** In turn: anywhere in the time that snapshots take, and around one of their barriers or freezes. */
function momentOf(round: number, random: () => number, usualMs: number): Moment {
  const delayMs = random() * (round % 2 === 0 ? usualMs : AROUND_FREEZE_MS)
  const freeze = 1 + Math.floor(random() * 4)
  if (round % 2 === 0) return { text: `${Math.round(delayMs)} ms after they began`, comes: () => wait(delayMs) }
  return {
    text: `${Math.round(delayMs)} ms after freeze ${freeze}`,
    comes: async (instances) => {
      await freezeRecorded(instances, freeze, usualMs)
      await wait(delayMs)
    },
  }
}

/** Resolves when freezes of the instances were recorded so many times, or when so many were not to come. */
async function freezeRecorded(instances: readonly Instance[], count: number, limitMs: number): Promise<void> {
  const watcher = watch(RECORD_HOME, { signal: AbortSignal.timeout(limitMs) })
  let seen = 0
  await new Promise<void>((resolve) => {
    watcher.on('change', (_, name) => {
      // A record is written beside its place, and renamed: that is one of the changes of its name.
      const isRecord = String(name).endsWith('.json') && instances.some((i) => String(name).startsWith(i.recordName))
      if (isRecord && ++seen >= count) resolve()
    })
    watcher.on('close', () => resolve())
  })
  watcher.close()
}

/** The snapshots of one server, a tag of its own for each instance and round. */
class Snapshots {
  readonly #world: World
  readonly #repository: string
  readonly #instances: readonly Instance[]
  readonly #contents = new Map<Instance, string>()

  constructor(world: World, repository: string, instances: readonly Instance[]) {
    this.#world = world
    this.#repository = repository
    this.#instances = instances
  }

  /** Change each instance and save it; the ids as the server answers them. */
  async begin(tag: string) {
    const { engine, registry, server } = this.#world
    for (const instance of this.#instances) this.#contents.set(instance, await change(engine, instance))
    const call = callerOf(server)
    const begun = this.#instances.map(async ({ instanceId }, i) => {
      const body = { SnapshotName: `${tag}-${i}`, ImageUrl: `${registry.host}/${this.#repository}` }
      const { SnapshotId } = await ok(call, `POST /api/v2/instances/${instanceId}/snapshots`, { body })
      return String(SnapshotId)
    })
    for (const call of begun) call.catch(() => {}) // the server may be killed before it answers
    return { begun }
  }

  /** Wait for the end of all of this round, and judge each; what became of them. */
  async assertEnd(tag: string, promised: readonly string[] = []): Promise<string> {
    const call = callerOf(this.#world.server)
    const statuses: string[] = []
    const kept: string[] = []
    for (const [i, instance] of this.#instances.entries()) {
      const all = await ended(call, instance, ENDS_MS)
      kept.push(...all.map(({ snapshotId }) => snapshotId))
      const snapshot = all.find(({ imageUrl }) => imageUrl.endsWith(`:${tag}-${i}`))
      await assertRuns(this.#world, instance)
      if (snapshot?.status === 'Saved') await assertSaved(this.#world, snapshot, this.#contents.get(instance)!)
      else if (snapshot) await assertNoTag(snapshot)
      statuses.push(snapshot ? `${snapshot.status} ${snapshot.reasonCode}`.trim() : 'not begun')
    }
    assert.deepEqual(
      promised.filter((id) => !kept.includes(id)),
      [],
      'no snapshot is forgotten',
    )
    return statuses.join(', ')
  }
}
