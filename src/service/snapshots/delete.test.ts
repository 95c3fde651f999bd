/** `DeleteImage=true`: the tag that should go goes, and no other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { finish, follow, openServer, openWorld, REFERENCE, REQUEST } from '#lab/snapshot-world.ts'
import { makeManifest, type PlayedWorld } from '#lab/snapshots.ts'
import { forEachStore, type OpenTestStore } from '#lab/stores.ts'
import type { CreateSnapshot } from './create.ts'
import type { Snapshots } from './snapshots.ts'

const WITH_IMAGE = { deleteImage: true }
const NEWER = 'r.example.com/team/app:v2'

async function save(world: PlayedWorld, server: Snapshots, change: Partial<CreateSnapshot> = {}) {
  world.clock.pass(1_000)
  const { snapshotId, instanceId, imageUrl } = await server.create({ ...REQUEST, ...change })
  await finish(await world.runtime.nextRun(), world, imageUrl)
  return (await follow(server, snapshotId, instanceId)).last
}

/** A snapshot of `dsw-1`, and whatever `more` does. */
async function setUp(open: OpenTestStore) {
  const world = await openWorld(open)
  const server = openServer(world)
  const first = await save(world, server)
  return {
    world,
    server,
    first,
    deleteFirst: () => server.delete('dsw-1', first.snapshotId, WITH_IMAGE),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

forEachStore('a snapshot is deleted with its image', (open) => {
  test('the tag goes, and the image of the catalogue, and nothing else', async () => {
    await using all = await setUp(open)
    const { world, server, first, deleteFirst } = all
    const second = await save(world, server, { imageUrl: NEWER })
    await deleteFirst()
    assert.deepEqual([...world.registries.tags.keys()], [NEWER])
    assert.equal(await world.store.images.find(first.imageId), undefined)
    assert.ok(await world.store.images.find(second.imageId))
  })

  test('the instance is gone: its last one may go, too', async () => {
    await using all = await setUp(open)
    all.world.instances.remove('dsw-1')
    await all.deleteFirst()
    assert.deepEqual([...all.world.registries.tags.keys()], [])
  })

  const LATER: readonly (readonly [string, Partial<CreateSnapshot> | undefined])[] = [
    ['it is the only one', undefined],
    ['the later one is of another instance', { instanceId: 'dsw-2' }],
    ['the later one has left out other paths, and is a chain of its own', { excludePaths: ['/tmp', '/data'] }],
  ]
  for (const [why, later] of LATER)
    test(`the next snapshot adds to it, because ${why}: refused`, async () => {
      await using all = await setUp(open)
      const { world, server, first, deleteFirst } = all
      world.instances.add('dsw-2')
      if (later) await save(world, server, { imageUrl: NEWER, ...later })
      const message = `The next snapshot of dsw-1 adds to ${REFERENCE}, so that it is not deleted: save the instance once more with the same ExcludePaths, or delete it first, or leave DeleteImage out.`
      await assert.rejects(deleteFirst(), { code: 'image_in_use', kind: 'conflict', message })
      assert.equal(world.registries.tags.has(REFERENCE), true)
      assert.ok(await world.store.images.find(first.imageId))
      assert.equal((await server.get('dsw-1', first.snapshotId)).status, 'Saved')
      await server.delete('dsw-1', first.snapshotId, { deleteImage: false })
      assert.equal(world.registries.tags.has(REFERENCE), true, 'the record may go, without the image')
    })

  test('a failed one is no later one', async () => {
    await using all = await setUp(open)
    const { world, server, deleteFirst } = all
    world.clock.pass(1_000)
    const { snapshotId } = await server.create({ ...REQUEST, imageUrl: NEWER })
    const run = await world.runtime.nextRun()
    run.fail(new AppError('registry_denied', 'No.'))
    await follow(server, snapshotId)
    await assert.rejects(deleteFirst(), { code: 'image_in_use', message: /adds to/ })
  })

  test('paths in another order, and those that are never saved, are the same chain', async () => {
    await using all = await setUp(open)
    const { world, server, deleteFirst } = all
    await save(world, server, { imageUrl: NEWER, excludePaths: ['/mnt/data/', '/tmp/', '/mnt/workspace'] })
    await deleteFirst()
    assert.deepEqual([...world.registries.tags.keys()], [NEWER])
  })

  for (const [how, use] of [
    ['its reference', REFERENCE],
    ['its digest', makeManifest(REFERENCE).digest],
  ] as const)
    test(`an instance was made from it, by ${how}: refused`, async () => {
      await using all = await setUp(open)
      const { world, server, deleteFirst } = all
      await save(world, server, { imageUrl: NEWER })
      world.instances.imagesInUse.add(use)
      await assert.rejects(deleteFirst(), { code: 'image_in_use', message: /^An instance was made from/ })
      assert.equal(world.registries.tags.has(REFERENCE), true)
      world.instances.imagesInUse.clear()
      await deleteFirst()
      assert.equal(world.registries.tags.has(REFERENCE), false)
    })

  test('the registry refuses: nothing is removed', async () => {
    await using all = await setUp(open)
    const { world, server, first, deleteFirst } = all
    await save(world, server, { imageUrl: NEWER })
    world.registries.failure = new AppError('registry_refused', 'It does not delete.')
    await assert.rejects(deleteFirst(), { code: 'registry_refused' })
    assert.equal((await server.get('dsw-1', first.snapshotId)).status, 'Saved')
    assert.ok(await world.store.images.find(first.imageId))
  })

  test('somebody has moved the tag: it stays', async () => {
    await using all = await setUp(open)
    const { world, server, deleteFirst } = all
    await save(world, server, { imageUrl: NEWER })
    world.registries.tags.set(REFERENCE, makeManifest('theirs').digest)
    await deleteFirst()
    assert.equal(world.registries.tags.get(REFERENCE), makeManifest('theirs').digest)
  })

  test('a later snapshot has the tag, with the same image: it stays, also for an instance that was made from it', async () => {
    await using all = await setUp(open)
    const { world, server, first, deleteFirst } = all
    const second = await save(world, server, { overwrite: true })
    assert.equal(second.manifestDigest, first.manifestDigest)
    world.instances.imagesInUse.add(REFERENCE)
    await deleteFirst()
    assert.equal(world.registries.tags.get(REFERENCE), second.manifestDigest)
    assert.equal(await world.store.images.find(first.imageId), undefined)
    assert.ok(await world.store.images.find(second.imageId))
  })

  for (const isOurs of [true, false])
    test(`one that ${isOurs ? 'this' : 'another'} server works on: its tag goes also when it comes to be while it is cancelled`, async () => {
      await using all = await setUp(open)
      const { world, server } = all
      await using replica = openServer(world, 'two')
      world.clock.pass(1_000)
      const { snapshotId } = await server.create({ ...REQUEST, imageUrl: NEWER })
      const run = await world.runtime.nextRun()
      const manifest = makeManifest('newer')
      run.tell({ type: 'manifest', ...manifest })
      await run.confirmed
      const cancel = run.cancel.bind(run)
      run.cancel = () => {
        setTimeout(() => {
          world.registries.tags.set(NEWER, manifest.digest)
          cancel()
        }, 100)
      }
      const deleting = (isOurs ? server : replica).delete('dsw-1', snapshotId, WITH_IMAGE)
      if (isOurs) await deleting
      else await assert.rejects(deleting, { code: 'image_in_use' }) // it is saved, and the only one of its chain
      assert.equal(world.registries.tags.has(NEWER), !isOurs)
      assert.equal((await world.store.snapshots.findRecord(snapshotId)) === undefined, isOurs)
      assert.equal(world.instances.status('dsw-1'), 'Running')
    })

  test('another one is being saved under its tag: refused, until that has ended', async () => {
    await using all = await setUp(open)
    const { world, server, first, deleteFirst } = all
    world.instances.add('dsw-2')
    world.clock.pass(1_000)
    const { snapshotId } = await server.create({ ...REQUEST, instanceId: 'dsw-2', overwrite: true })
    await assert.rejects(deleteFirst(), { code: 'image_in_use', message: /^Another snapshot is being saved as/ })
    const digest = await finish(await world.runtime.nextRun(), world, 'of dsw-2')
    await follow(server, snapshotId, 'dsw-2')
    await deleteFirst()
    assert.equal(world.registries.tags.get(REFERENCE), digest)
    assert.notEqual(digest, first.manifestDigest)
  })
})
