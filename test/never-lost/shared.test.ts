/** Two servers share a PostgreSQL, an engine and the work; one is killed, and the other does the rest. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { labEngine } from '#lab/engine.ts'
import { startPostgres } from '#lab/postgres.ts'
import { startRegistry } from '#lab/registry.ts'
import { startServer } from '#lab/server.ts'
import { upperdirOf } from '#lab/container.ts'
import { familyOf } from '../freeze/subject.ts'
import {
  assertRuns,
  assertTidy,
  callerOf,
  createInstances,
  ended,
  manifestsOf,
  mountRootsOf,
  ok,
  putsOf,
  seeded,
  until,
  type Instance,
} from './world.ts'

const SNAPSHOTS = 20
const FILES = 100
const AT_ONCE = '3'
const ENDS_MS = 240_000
/** TINTYPE_TEST_SEED repeats the moment of an earlier run. */
const SEED = Number(process.env['TINTYPE_TEST_SEED'] ?? randomInt(2 ** 31))

test('two servers share 20 snapshots, and one is killed', async (t) => {
  t.diagnostic(`TINTYPE_TEST_SEED=${SEED}`)
  await using cluster = await startPostgres()
  await using engine = await labEngine('docker20')
  await using registry = await startRegistry()
  const env = { TINTYPE_RATE_LIMIT: '0', TINTYPE_MAX_SNAPSHOTS: AT_ONCE }
  const database = await cluster.createDatabase()
  await using server = await startServer({ engine, database, env })
  await using other = await startServer({ engine, besides: server, env })
  const world = { engine, registry, server }
  const names = Array.from({ length: SNAPSHOTS }, (_, i) => `small_${i}`)
  const instances = await createInstances(world, names, FILES)
  const watched = new AbortController()
  const watching = watchReaders(instances, watched.signal)
  for (const [i, { instanceId }] of instances.entries()) {
    const body = { SnapshotName: `s${i}`, ImageUrl: `${registry.host}/shared` }
    await ok(callerOf(i % 2 === 0 ? server : other), `POST /api/v2/instances/${instanceId}/snapshots`, { body })
  }
  const claimed = () => cluster.query(database, `select count(*) from snapshots where status <> 'Committing'`)
  await until(claimed, (count) => Number(count) >= AT_ONCE.length + seeded(SEED)() * 8, ENDS_MS)
  const owners = () => cluster.query(database, 'select count(distinct owner) from snapshots where owner is not null')
  await until(owners, (count) => count === '2', ENDS_MS) // both work
  const family = familyOf(other.pid())
  await other.kill()
  t.diagnostic(`killed when ${await claimed()} were thawed`)

  for (const instance of instances) {
    const [snapshot, ...more] = await ended(callerOf(server), instance, ENDS_MS)
    assert.deepEqual([snapshot?.status, snapshot?.reasonMessage, more], ['Saved', '', []])
  }
  watched.abort()
  const { captures, together } = await watching
  assert.deepEqual(together, [], 'no instance is captured twice at the same time')
  assert.ok(captures > SNAPSHOTS / 2, 'captures were seen')
  for (const [i, instance] of instances.entries()) {
    await assertRuns(world, instance)
    assert.equal(manifestsOf(registry, 'shared', `s${i}`).length, 1, `s${i} has stood for one image`)
    // The one that was killed may have put its manifest without hearing of it: the same is then put once more at most.
    assert.ok(putsOf(registry, 'shared', `s${i}`) >= 1)
  }
  const again = await cluster.query(database, 'select count(*) from snapshots where attempts > 1')
  t.diagnostic(`${again} were taken over`)
  assert.ok(Number(again) <= Number(AT_ONCE), 'only what the dead one had is taken over')
  await assertTidy(world, instances, family)
})

/** Until the signal fires: how many captures there were, and whenever one instance had two of them at once. */
async function watchReaders(instances: readonly Instance[], signal: AbortSignal) {
  // The root of a mount is its path in its own file system, which may begin somewhere below ours.
  const upperdirs = instances.map(({ pid }) => upperdirOf(pid).replace(/^.*(?=\/overlay2\/)/, ''))
  const seen = new Set<number>()
  const together: string[] = []
  while (!signal.aborted) {
    const readers = readersNow()
    for (const upperdir of upperdirs) {
      const its = readers.filter(({ roots }) => roots.some((root) => root.endsWith(upperdir)))
      for (const { pid } of its) seen.add(pid)
      if (its.length > 1) together.push(`${upperdir}: ${its.map(({ pid }) => pid).join(' and ')}`)
    }
    await wait(30)
  }
  return { captures: seen.size, together }
}

/** The jailed readers of all captures on this machine: each has the upperdir mounted in a namespace of its own. */
function readersNow() {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    if (!Number.isInteger(pid) || !/\/spool\/capture-.*\/reader-worker\.mjs/s.test(commandOf(pid))) return []
    return [{ pid, roots: mountRootsOf(pid) }]
  })
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}
