import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { finish, follow, openServer, openWorld, REFERENCE, REQUEST } from '#lab/snapshot-world.ts'
import { makeManifest, partsOf } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'
import { openSnapshots } from './snapshots.ts'

forEachStore('a snapshot', (open) => {
  test('is Committing until the instance is thawed, then Pushing, then Saved, and in the catalogue', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const begun = await server.create(REQUEST)
    assert.match(begun.snapshotId, /^snp-[a-z0-9]{18}$/)
    assert.deepEqual([begun.status, begun.imageId, begun.reasonCode], ['Committing', '', ''])
    assert.equal(world.instances.status('dsw-1'), 'Saving')
    const run = await world.runtime.nextRun()
    assert.deepEqual(run.request.exclusions, ['/tmp', '/mnt/workspace', '/mnt/data'])
    assert.deepEqual([run.request.reference, run.request.name, run.request.description], [REFERENCE, 'v1', 'the first'])
    assert.deepEqual(run.request.labels, { foo: 'bar' })
    assert.deepEqual(run.request.registries.others, [{ host: 'other.example.com' }])
    const followed = follow(server, begun.snapshotId)
    run.progress(10)
    await finish(run, world)
    const { states, last } = await followed
    // Who watches sees the last state, and of those before as many as last long enough, in this order.
    assert.match(states.join(' '), /^(Committing )?(Pushing )?Saved$/)
    assert.deepEqual(world.instances.told, ['dsw-1 Saving', 'dsw-1 Running', 'dsw-1 Saved run'])
    const image = await world.store.images.find(last.imageId)
    assert.deepEqual([image?.name, image?.uri, image?.userId, image?.accessibility, image?.fromSnapshot, image?.sourceId], ['v1', REFERENCE, '7', 'PRIVATE', true, begun.snapshotId]) // prettier-ignore
    assert.equal(image?.sizeBytes, 'config of v1'.length + 'layer of v1'.length)
    const labels = (await world.store.images.labelsOf([last.imageId])).get(last.imageId)
    assert.deepEqual(Object.fromEntries((labels ?? []).map(({ key, value }) => [key, value])), {
      foo: 'bar',
      'system.dsw.fromImageId': 'image-base',
      'system.dsw.fromInstanceId': 'dsw-1',
      'system.supported.dsw': 'true',
    })
    const details = await server.details('dsw-1', begun.snapshotId)
    assert.deepEqual([details.result?.digest, details.result?.frozenMs, details.progress?.bytes], [makeManifest('v1').digest, 3, 10]) // prettier-ignore
  })

  test('stores the manifest before it is put', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const { digest, manifest, mediaType } = makeManifest('v1')
    run.tell({ type: 'manifest', digest, manifest, mediaType })
    await run.confirmed
    const stored = await world.store.snapshots.find(snapshotId)
    assert.deepEqual([run.isConfirmed, stored?.manifestDigest, stored?.manifest], [true, digest, manifest])
  })

  const FAILURES: readonly (readonly [AppError, string])[] = [
    [new AppError('tag_exists', 'x'), 'TagExists'],
    [new AppError('registry_denied', 'The login is wrong.'), 'RegistryDenied'],
    [new AppError('spool_full', 'Full.'), 'SpoolFull'],
    [new AppError('freeze_budget_exceeded', 'x'), 'FreezeBudgetExceeded'],
    [new AppError('container_gone', 'Gone.'), 'ContainerGone'],
  ]
  for (const [error, code] of FAILURES)
    test(`that ends with ${error.code} is Failed with ${code}, its instance runs, and the next may begin`, async () => {
      const world = await openWorld(open)
      await using server = openServer(world)
      const { snapshotId } = await server.create(REQUEST)
      const run = await world.runtime.nextRun()
      run.fail(error)
      const { last } = await follow(server, snapshotId)
      assert.deepEqual([last.status, last.reasonCode, last.imageId], ['Failed', code, ''])
      assert.ok(last.reasonMessage.length > 3)
      assert.equal(world.instances.status('dsw-1'), 'Running')
      assert.equal(world.instances.told.at(-1), 'dsw-1 Running')
      assert.equal((await server.create(REQUEST)).status, 'Committing')
    })

  test('is Saved when the put went well and only its answer was lost', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const { digest, manifest, mediaType } = makeManifest('v1')
    run.tell({ type: 'manifest', digest, manifest, mediaType })
    await run.confirmed
    world.registries.tags.set(REFERENCE, digest)
    run.fail(new AppError('registry_unavailable', 'The connection broke.'))
    assert.equal((await follow(server, snapshotId)).last.status, 'Saved')
  })

  test('waits for another process that saves the same container', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    for (let tries = 0; tries < 3; tries++)
      (await world.runtime.nextRun()).fail(new AppError('capture_in_progress', 'Another process saves it.'))
    await finish(await world.runtime.nextRun(), world)
    assert.equal((await follow(server, snapshotId)).last.status, 'Saved')
  })

  test('of an instance that goes meanwhile fails, and its record stays', async () => {
    const world = await openWorld(open)
    const server = openSnapshots(partsOf(world, 'one'))
    const { snapshotId } = await server.create(REQUEST)
    world.instances.remove('dsw-1')
    server.start()
    const { last } = await follow(server, snapshotId)
    assert.deepEqual([last.status, last.reasonCode], ['Failed', 'ContainerGone'])
    await server[Symbol.asyncDispose]()
    assert.equal((await server.list('dsw-1', { descending: true, offset: 0, limit: 10 })).total, 1)
  })

  test('that saves before a stop keeps the instance in Saving until the end, then has it stopped', async () => {
    const world = await openWorld(open)
    await using server = openServer(world, 'one', { defaultRepository: 'r.example.com/saved' })
    const repository = await server.stopRepository('dsw-1', '7')
    const begun = await server.saveToStop({ instanceId: 'dsw-1', userId: '7', repository })
    assert.match(begun.imageUrl, /^r\.example\.com\/saved:stop-\d{8}-\d{6}-[0-9a-f]{4}$/)
    await finish(await world.runtime.nextRun(), world)
    assert.equal((await follow(server, begun.snapshotId)).last.status, 'Saved')
    assert.deepEqual(world.instances.told, ['dsw-1 Saving', 'dsw-1 Saved stop', 'dsw-1 Stopping'])
    assert.equal(await server.stopRepository('dsw-1', '7'), 'r.example.com/saved')
    world.instances.add('dsw-1')
    const theirs = await server.create({ ...REQUEST, userId: '8', imageUrl: 'r.example.com/loot:v1' })
    await finish(await world.runtime.nextRun(), world)
    await follow(server, theirs.snapshotId)
    assert.equal(
      await server.stopRepository('dsw-1', '7'),
      'r.example.com/saved',
      'not where somebody else has saved it',
    )
    assert.equal(await server.stopRepository('dsw-1', '8'), 'r.example.com/loot')
  })

  test('before a stop has nowhere to go without a default and without an earlier one', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    await assert.rejects(server.stopRepository('dsw-1', '7'), {
      code: 'parameter_invalid',
      message: /^SaveImage.*TINTYPE_DEFAULT_REPOSITORY/,
    })
    assert.equal(world.instances.status('dsw-1'), 'Running')
  })

  test('previews: one of an instance at a time, and as many as there may be snapshots', async () => {
    const world = await openWorld(open)
    for (const id of ['dsw-2', 'dsw-3']) world.instances.add(id)
    await using server = openServer(world, 'one', { maxSnapshots: 2 })
    const gate = Promise.withResolvers<never>()
    world.runtime.preview = () => gate.promise
    const signal = AbortSignal.timeout(60_000)
    const running = ['dsw-1', 'dsw-2'].map((id) => server.preview(id, [], signal))
    await Promise.resolve()
    const busy = (message: RegExp) => ({ code: 'rate_exceeded', message })
    await assert.rejects(server.preview('dsw-1', [], signal), busy(/^A preview of dsw-1 is being made/))
    await assert.rejects(server.preview('dsw-3', [], signal), busy(/^Previews of other instances are being made/))
    gate.reject(new AppError('container_gone', 'Over.'))
    for (const each of running) await assert.rejects(each, { code: 'container_gone' })
    await assert.rejects(server.preview('dsw-3', [], signal), { code: 'container_gone' }, 'there is room again')
  })
})
