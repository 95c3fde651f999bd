import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError, ERRORS } from '#base/errors.ts'
import type { ErrorCode } from '#base/errors.ts'
import { finish, follow, openServer, openWorld, REFERENCE, REQUEST } from '#lab/snapshot-world.ts'
import { makeManifest } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'

/** A lease that a slow machine does not lose: every capture here is of one server. */
const TIMES = { pollMs: 20, beatMs: 20, leaseMs: 30_000, retryMs: 5, againMs: 5 }

const PASSING: readonly ErrorCode[] = [
  'freeze_failed',
  'engine_unavailable',
  'registry_unavailable',
  'blob_missing',
  'reader_failed',
  'capture_lost',
]
const FINAL: readonly ErrorCode[] = [
  'registry_denied',
  'registry_refused',
  'tag_exists',
  'spool_full',
  'overlay_unsupported',
  'freeze_budget_exceeded',
  'container_gone',
]

forEachStore('a capture that failed', (open) => {
  for (const code of PASSING)
    test(`with ${code} is tried again, and saved`, async () => {
      const world = await openWorld(open)
      await using server = openServer(world, 'one', { times: TIMES })
      const { snapshotId } = await server.create(REQUEST)
      const ended = follow(server, snapshotId)
      for (let tries = 1; tries < 3; tries++) (await world.runtime.nextRun()).fail(new AppError(code, 'Not now.'))
      await finish(await world.runtime.nextRun(), world)
      const { last } = await ended
      assert.deepEqual([last.status, last.reasonCode], ['Saved', ''])
      assert.deepEqual(world.instances.told, ['dsw-1 Saving', 'dsw-1 Running', 'dsw-1 Saved run'])
    })

  test('three times is Failed, with the last reason, and its instance runs', async () => {
    const world = await openWorld(open)
    const logged: string[] = []
    await using server = openServer(world, 'one', { times: TIMES, log: (sentence) => logged.push(sentence) })
    const { snapshotId } = await server.create(REQUEST)
    for (const message of ['First.', 'Second.', 'Third.'])
      (await world.runtime.nextRun()).fail(new AppError('registry_unavailable', message))
    const { last } = await follow(server, snapshotId)
    assert.deepEqual([last.status, last.reasonCode, last.reasonMessage], ['Failed', 'RegistryUnavailable', 'Third.'])
    assert.equal(world.instances.status('dsw-1'), 'Running')
    assert.deepEqual(logged, ['A snapshot is tried again.', 'A snapshot is tried again.', 'A snapshot failed.'])
  })

  for (const code of FINAL)
    test(`with ${code} is Failed at once`, async () => {
      const world = await openWorld(open)
      await using server = openServer(world, 'one', { times: TIMES })
      const { snapshotId } = await server.create(REQUEST)
      ;(await world.runtime.nextRun()).fail(new AppError(code, 'Not ever.'))
      assert.equal((await follow(server, snapshotId)).last.status, 'Failed')
      assert.equal(world.runtime.runs.length, 1)
    })

  test('after its thaw stays Pushing, and its instance Running, while it is tried again', async () => {
    const world = await openWorld(open)
    await using server = openServer(world, 'one', { times: TIMES })
    const { snapshotId } = await server.create(REQUEST)
    const ended = follow(server, snapshotId)
    const first = await world.runtime.nextRun()
    first.tell({ type: 'thawed' })
    first.fail(new AppError('registry_unavailable', 'Away.'))
    const second = await world.runtime.nextRun()
    assert.equal((await server.get('dsw-1', snapshotId)).status, 'Pushing')
    assert.equal(world.instances.status('dsw-1'), 'Running')
    await finish(second, world)
    assert.equal((await ended).last.status, 'Saved')
    assert.deepEqual(world.instances.told, ['dsw-1 Saving', 'dsw-1 Running', 'dsw-1 Saved run'])
  })

  test('of a container that was made anew meanwhile is Failed: the new one has nothing of it', async () => {
    const world = await openWorld(open)
    await using server = openServer(world, 'one', { times: TIMES })
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    run.tell({ type: 'thawed' })
    const handle = { kind: 'docker', containerId: 'another', instanceId: 'dsw-1' } as const
    world.instances.add('dsw-1', { handle })
    run.fail(new AppError('registry_unavailable', 'Away.'))
    const { last } = await follow(server, snapshotId)
    assert.deepEqual([last.status, last.reasonCode, world.runtime.runs.length], ['Failed', 'ContainerGone', 1])
  })

  test('after its manifest was stored puts that manifest, without another capture', async () => {
    const world = await openWorld(open)
    await using server = openServer(world, 'one', { times: TIMES })
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const { digest, manifest, mediaType } = makeManifest('v1')
    run.tell({ type: 'thawed' })
    run.tell({ type: 'manifest', digest, manifest, mediaType })
    await run.confirmed
    run.fail(new AppError('registry_unavailable', 'The connection broke.'))
    assert.equal((await follow(server, snapshotId)).last.status, 'Saved')
    assert.deepEqual([world.registries.tags.get(REFERENCE), world.runtime.runs.length], [digest, 1])
  })

  test('whose blobs are gone meanwhile is captured again', async () => {
    const world = await openWorld(open)
    await using server = openServer(world, 'one', { times: TIMES })
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const { digest, manifest, mediaType } = makeManifest('lost')
    for (const { digest: blob } of [JSON.parse(manifest).config, ...JSON.parse(manifest).layers] as {
      digest: string
    }[])
      world.registries.lostBlobs.add(blob)
    run.tell({ type: 'manifest', digest, manifest, mediaType })
    await run.confirmed
    run.fail(new AppError('blob_missing', 'A blob is gone.'))
    const made = await finish(await world.runtime.nextRun(), world)
    assert.equal((await follow(server, snapshotId)).last.status, 'Saved')
    assert.equal(world.registries.tags.get(REFERENCE), made)
  })

  test('is not waited for by a cancel, or by the end of the server', async () => {
    const world = await openWorld(open)
    const times = { ...TIMES, againMs: 60_000 }
    const waiting = Promise.withResolvers<void>()
    const log = (sentence: string) => sentence.includes('tried again') && waiting.resolve()
    const server = openServer(world, 'one', { times, log })
    const { snapshotId } = await server.create(REQUEST)
    ;(await world.runtime.nextRun()).fail(new AppError('freeze_failed', 'Not now.'))
    await waiting.promise
    await server.cancel('dsw-1', snapshotId)
    const { last } = await follow(server, snapshotId)
    assert.deepEqual([last.status, last.reasonCode], ['Failed', 'Cancelled'])

    await server.create(REQUEST)
    ;(await world.runtime.nextRun()).fail(new AppError('freeze_failed', 'Not now.'))
    await server[Symbol.asyncDispose]()
    await using next = openServer(world, 'two', { times: TIMES })
    const [unfinished] = [await next.unfinishedOf('dsw-1')]
    await finish(await world.runtime.nextRun(), world)
    assert.equal((await follow(next, unfinished!.snapshotId)).last.status, 'Saved')
  })
})

test('only errors that say so are tried again', () => {
  for (const code of PASSING) assert.equal(ERRORS[code].retry, true, code)
})
