import assert from 'node:assert/strict'
import { test } from 'node:test'
import { finish, follow, openServer, openWorld, REFERENCE, REQUEST } from '#lab/snapshot-world.ts'
import { AppError } from '#base/errors.ts'
import { makeManifest } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'

const PAGE = { descending: true, offset: 0, limit: 10 }
const SIDES = [
  ['the server that makes it', 0],
  ['another server', 1],
] as const

forEachStore('a snapshot is cancelled', (open) => {
  for (const [side, index] of SIDES)
    for (const step of ['before the thaw', 'after the thaw', 'before the put'] as const)
      test(`${step}, by ${side}: Failed, Cancelled, no tag has moved, and its record stays`, async () => {
        const world = await openWorld(open)
        await using server = openServer(world)
        await using other = openServer(world, 'two', { maxSnapshots: 0 })
        const { snapshotId } = await server.create(REQUEST)
        const run = await world.runtime.nextRun()
        if (step !== 'before the thaw') run.tell({ type: 'thawed' })
        const { digest, manifest, mediaType } = makeManifest('v1')
        if (step === 'before the put') {
          run.tell({ type: 'manifest', digest, manifest, mediaType })
          await run.confirmed
        }
        await [server, other][index]!.cancel('dsw-1', snapshotId)
        const { last } = await follow(other, snapshotId)
        assert.deepEqual([last.status, last.reasonCode, run.isCancelled], ['Failed', 'Cancelled', true])
        assert.equal(world.registries.tags.size, 0)
        assert.equal(world.instances.status('dsw-1'), 'Running')
        await assert.rejects(server.cancel('dsw-1', snapshotId), { code: 'snapshot_finished' })
      })

  test('while it waits for its turn: at once, though all places are taken', async () => {
    const world = await openWorld(open)
    world.instances.add('dsw-2')
    await using server = openServer(world, 'one', { maxSnapshots: 1 })
    await server.create(REQUEST)
    await world.runtime.nextRun()
    const waiting = await server.create({ ...REQUEST, instanceId: 'dsw-2', overwrite: true })
    await server.cancel('dsw-2', waiting.snapshotId)
    const { last } = await follow(server, waiting.snapshotId, 'dsw-2')
    assert.deepEqual([last.status, last.reasonCode], ['Failed', 'Cancelled'])
    assert.equal(world.instances.status('dsw-2'), 'Running')
    assert.equal(world.runtime.runs.length, 1)
  })

  test('of another instance, or unknown: there is none', async () => {
    const world = await openWorld(open)
    world.instances.add('dsw-2')
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    const calls = [
      server.cancel,
      server.get,
      server.details,
      (instanceId: string, id: string) => server.delete(instanceId, id, { deleteImage: false }),
    ]
    for (const call of calls) {
      await assert.rejects(call('dsw-2', snapshotId), { code: 'snapshot_not_found' })
      await assert.rejects(call('dsw-1', 'snp-x'), { code: 'snapshot_not_found' })
    }
  })
})

forEachStore('a snapshot is deleted', (open) => {
  for (const [side, index] of SIDES)
    test(`while it is made, by ${side}: the capture ends, the instance runs, and the next may begin`, async () => {
      const world = await openWorld(open)
      await using server = openServer(world)
      await using other = openServer(world, 'two', { maxSnapshots: 0 })
      const { snapshotId } = await server.create(REQUEST)
      const run = await world.runtime.nextRun()
      await [server, other][index]!.delete('dsw-1', snapshotId, { deleteImage: true })
      await run.ended
      assert.equal(run.isCancelled, true)
      assert.deepEqual(await server.list('dsw-1', PAGE), { records: [], total: 0 })
      assert.deepEqual(world.instances.told, ['dsw-1 Saving', 'dsw-1 SaveFailed Cancelled', 'dsw-1 Running'])
      await assert.rejects(server.delete('dsw-1', snapshotId, { deleteImage: false }), { code: 'snapshot_not_found' })
      await server.create(REQUEST)
      await finish(await world.runtime.nextRun(), world)
    })

  for (const ends of ['saved', 'failed'] as const)
    test(`by another server, a moment before it would have ${ends}: the instance is not touched any more`, async () => {
      const world = await openWorld(open)
      await using server = openServer(world)
      const repository = 'r.example.com/team/app'
      const { snapshotId } = await server.saveToStop({ instanceId: 'dsw-1', userId: '7', repository })
      const run = await world.runtime.nextRun()
      const { digest, manifest, mediaType } = makeManifest(run.request.reference)
      run.tell({ type: 'manifest', digest, manifest, mediaType })
      await run.confirmed
      world.registries.tags.set(run.request.reference, digest)
      await world.store.snapshots.remove(snapshotId)
      if (ends === 'saved') run.succeed(digest)
      else run.fail(new AppError('spool_full', 'The disk is full.'))
      await server[Symbol.asyncDispose]()
      assert.deepEqual(world.instances.told, ['dsw-1 Saving'])
    })

  test('with its image, a moment after that was put: the tag goes, too', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const { digest, manifest, mediaType } = makeManifest(REFERENCE)
    run.tell({ type: 'thawed' })
    run.tell({ type: 'manifest', digest, manifest, mediaType })
    await run.confirmed
    world.registries.tags.set(REFERENCE, digest)
    await server.delete('dsw-1', snapshotId, { deleteImage: true })
    assert.equal(world.registries.tags.has(REFERENCE), false)
  })

  const saved = async (world: Awaited<ReturnType<typeof openWorld>>, server: ReturnType<typeof openServer>) => {
    const { snapshotId } = await server.create(REQUEST)
    await finish(await world.runtime.nextRun(), world)
    return (await follow(server, snapshotId)).last
  }

  test('after it was saved: the record goes, the image stays', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId, imageId } = await saved(world, server)
    await server.delete('dsw-1', snapshotId, { deleteImage: false })
    assert.equal(world.registries.tags.has(REFERENCE), true)
    assert.ok(await world.store.images.find(imageId))
  })
})

forEachStore('a snapshot is watched', (open) => {
  test('from any server: progress with a rate, then the end, and what is deleted ends it', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    await using other = openServer(world, 'two', { maxSnapshots: 0 })
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const seen: number[] = []
    const watching = (async () => {
      for await (const { progress } of other.watch('dsw-1', snapshotId, AbortSignal.timeout(60_000))) {
        seen.push(progress?.bytes ?? -1)
        if (progress?.bytes === 10) run.progress(50)
        if (progress?.bytes === 50) await server.delete('dsw-1', snapshotId, { deleteImage: false })
      }
    })()
    run.progress(10)
    await watching
    assert.deepEqual(seen.filter((bytes) => bytes >= 0), [10, 50]) // prettier-ignore
    assert.equal(world.runtime.runs.length, 1)
  })

  test('a watcher that goes away ends its watch', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    const leaving = new AbortController()
    await assert.rejects(
      async () => {
        for await (const _ of server.watch('dsw-1', snapshotId, leaving.signal)) leaving.abort()
      },
      { code: 'cancelled' },
    )
  })
})
