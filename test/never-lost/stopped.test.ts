/** SIGTERM with snapshots under way: the server ends in time, nothing stays frozen, and the next start goes on at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { labEngine, whyNoEngine } from '#lab/engine.ts'
import { startPostgres } from '#lab/postgres.ts'
import { startRegistry } from '#lab/registry.ts'
import { startServer } from '#lab/server.ts'
import { startTimeOf } from '#lab/workspace.ts'
import { familyOf } from '../freeze/subject.ts'
import {
  assertRuns,
  assertSaved,
  assertTidy,
  callerOf,
  change,
  createInstances,
  ended,
  ok,
  snapshotsOf,
  until,
} from './world.ts'

const FILES = 500
/** What orchestrators wait between SIGTERM and SIGKILL. */
const STOPS_WITHIN_MS = 30_000
const ENDS_MS = 240_000

test('a stopped server hands its snapshots back', { skip: whyNoEngine('docker20') }, async (t) => {
  await using cluster = await startPostgres()
  await using engine = await labEngine('docker20')
  await using registry = await startRegistry()
  const database = await cluster.createDatabase()
  const env = { TINTYPE_RATE_LIMIT: '0', TINTYPE_MAX_SNAPSHOTS: '2' }
  await using server = await startServer({ engine, database, env })
  const world = { engine, registry, server }
  const instances = await createInstances(world, ['one', 'two', 'three', 'four', 'five'], FILES)
  const contents = await Promise.all(instances.map((instance) => change(engine, instance)))
  for (const [i, { instanceId }] of instances.entries()) {
    const body = { SnapshotName: `s${i}`, ImageUrl: `${registry.host}/stopped` }
    await ok(callerOf(server), `POST /api/v2/instances/${instanceId}/snapshots`, { body })
  }
  // Two are worked on, of which one has just been thawed; the others wait.
  const asked = () => Promise.all(instances.map((instance) => snapshotsOf(callerOf(server), instance)))
  await until(asked, (all) => all.flat().some(({ status }) => status !== 'Committing'), ENDS_MS)
  const family = familyOf(server.pid())
  const [{ startTime }] = family as [(typeof family)[0]]
  process.kill(server.pid(), 'SIGTERM')
  const signalledMs = performance.now()
  const isGone = async () => startTimeOf(server.pid()) !== startTime
  await until(isGone, Boolean, STOPS_WITHIN_MS)
  t.diagnostic(`it ended after ${Math.round(performance.now() - signalledMs)} ms`)

  const rows = await cluster.query(
    database,
    'select count(*), count(owner), coalesce(max(lease_expires_ms), 0), coalesce(max(attempts), 0) from snapshots where unfinished_of is not null',
  )
  assert.match(rows, /^[1-5]\|0\|0\|0$/, 'what is not finished is nobody’s, and nobody has failed at it')
  for (const { containerId } of instances)
    assert.equal(await engine.docker(['inspect', '--format', '{{.State.Status}}', containerId]), 'running')

  await server.restart()
  for (const [i, instance] of instances.entries()) {
    const [snapshot, ...more] = await ended(callerOf(server), instance, ENDS_MS)
    assert.deepEqual([snapshot?.status, snapshot?.reasonMessage, more], ['Saved', '', []])
    await assertRuns(world, instance)
    await assertSaved(world, snapshot!, contents[i]!)
  }
  await assertTidy(world, instances, family)
})
