import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { finish, follow, openServer, openWorld, REFERENCE, REQUEST } from '#lab/snapshot-world.ts'
import { goesWell, killable, LEASE_MS, makeManifest, partsOf } from '#lab/snapshots.ts'
import type { PlayedWorld } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'
import type { OpenTestStore } from '#lab/stores.ts'
import { openSnapshots } from './snapshots.ts'

/** A snapshot that the first server has brought as far as `steps`, and then that server was killed. */
async function abandoned(open: OpenTestStore, steps: readonly ('thawed' | 'manifest' | 'put')[], overwrite = false) {
  const world = await openWorld(open)
  const first = killable(world)
  const server = openServer(first.world, 'first')
  const { snapshotId } = await server.create({ ...REQUEST, overwrite })
  const run = await world.runtime.nextRun()
  const { digest, manifest, mediaType } = makeManifest('first')
  const isAt = async (what: (found: { status: string; manifest: string | undefined }) => boolean) => {
    for (;;) {
      const found = await world.store.snapshots.find(snapshotId)
      if (found && what(found)) return
    }
  }
  if (steps.includes('thawed')) {
    run.tell({ type: 'thawed' })
    await isAt(({ status }) => status === 'Pushing')
  }
  if (steps.includes('manifest')) {
    run.tell({ type: 'manifest', digest, manifest, mediaType })
    await run.confirmed
  }
  if (steps.includes('put')) world.registries.tags.set(REFERENCE, digest)
  first.kill()
  await server[Symbol.asyncDispose]()
  world.clock.pass(LEASE_MS)
  return { world, snapshotId, digest }
}

async function taken({ world, snapshotId }: { world: PlayedWorld; snapshotId: string }) {
  await using second = openServer(world, 'second')
  const { states, last } = await follow(second, snapshotId)
  assert.equal(await second.unfinishedOf('dsw-1'), undefined)
  assert.equal(world.instances.status('dsw-1'), 'Running', 'and never stuck in Saving')
  return { states, last }
}

forEachStore('a server is killed, and another takes over', (open) => {
  test('before the thaw: the capture begins from the start', async () => {
    const lost = await abandoned(open, [])
    lost.world.runtime.script = (run) => goesWell(lost.world.registries, run)
    const { last } = await taken(lost)
    assert.deepEqual([last.status, last.attempts, lost.world.runtime.runs.length], ['Saved', 2, 2])
  })

  test('while it pushes: a new capture, and the status never goes back', async () => {
    const lost = await abandoned(open, ['thawed'])
    lost.world.runtime.script = (run) => goesWell(lost.world.registries, run)
    const { states, last } = await taken(lost)
    assert.equal(last.status, 'Saved')
    assert.equal(states.includes('Committing'), false)
  })

  test('while it pushes, and the instance was started anew since: Failed, whatever container it has now', async () => {
    const lost = await abandoned(open, ['thawed'])
    lost.world.instances.add('dsw-1', { startedMs: lost.world.clock.wallMs() })
    const { last } = await taken(lost)
    assert.deepEqual([last.status, last.reasonCode, lost.world.runtime.runs.length], ['Failed', 'ContainerGone', 1])
  })

  test('between the manifest and the put: it is put without a new capture', async () => {
    const lost = await abandoned(open, ['thawed', 'manifest'])
    const { last } = await taken(lost)
    assert.deepEqual([last.status, lost.world.runtime.runs.length], ['Saved', 1])
    assert.equal(lost.world.registries.tags.get(REFERENCE), lost.digest)
  })

  test('between the manifest and the put, and a blob is gone: a new capture', async () => {
    const lost = await abandoned(open, ['thawed', 'manifest'])
    lost.world.registries.lostBlobs.add(JSON.parse(makeManifest('first').manifest).layers[0].digest)
    lost.world.runtime.script = (run) => goesWell(lost.world.registries, run)
    const { last } = await taken(lost)
    assert.deepEqual([last.status, lost.world.runtime.runs.length], ['Saved', 2])
    assert.notEqual(lost.world.registries.tags.get(REFERENCE), lost.digest)
  })

  test('between the put and the record: a tag with our digest is success', async () => {
    const lost = await abandoned(open, ['thawed', 'manifest', 'put'])
    const { last } = await taken(lost)
    assert.deepEqual([last.status, lost.world.runtime.runs.length], ['Saved', 1])
    assert.equal((await lost.world.store.images.find(last.imageId))?.uri, REFERENCE)
  })

  test('between the manifest and the put, and somebody else took the tag', async () => {
    const lost = await abandoned(open, ['thawed', 'manifest'])
    lost.world.registries.tags.set(REFERENCE, makeManifest('foreign').digest)
    const { last } = await taken(lost)
    assert.deepEqual([last.status, last.reasonCode], ['Failed', 'TagExists'])
    assert.equal(lost.world.registries.tags.get(REFERENCE), makeManifest('foreign').digest)
  })

  test('the same with Overwrite: the tag moves', async () => {
    const lost = await abandoned(open, ['thawed', 'manifest'], true)
    lost.world.registries.tags.set(REFERENCE, makeManifest('foreign').digest)
    assert.equal((await taken(lost)).last.status, 'Saved')
    assert.equal(lost.world.registries.tags.get(REFERENCE), lost.digest)
  })

  test('again and again: the sixth time it fails, with a reason', async () => {
    const lost = await abandoned(open, [])
    for (let attempt = 2; attempt <= 5; attempt++) {
      const next = killable(lost.world)
      const server = openServer(next.world, `server-${attempt}`)
      await lost.world.runtime.nextRun()
      next.kill()
      await server[Symbol.asyncDispose]()
      lost.world.clock.pass(LEASE_MS)
    }
    const { last } = await taken(lost)
    assert.deepEqual([last.status, last.reasonCode, last.attempts], ['Failed', 'SnapshotInterrupted', 6])
  })

  test('a server that has lost a snapshot to itself, by a suspend, ends what it had begun before it begins anew', async () => {
    const world = await openWorld(open)
    const times = { pollMs: 20, beatMs: 1_000_000, leaseMs: LEASE_MS, retryMs: 5, againMs: 5 }
    await using server = openServer(world, 'first', { times })
    const { snapshotId } = await server.create(REQUEST)
    const first = await world.runtime.nextRun()
    world.clock.pass(LEASE_MS + 1)
    const second = await world.runtime.nextRun()
    assert.equal(first.isCancelled, true)
    goesWell(world.registries, second)
    assert.equal((await follow(server, snapshotId)).last.status, 'Saved')
    assert.deepEqual(
      world.instances.told.filter((what) => what.includes('SaveFailed')),
      [],
    )
  })
})

forEachStore('servers share the work', (open) => {
  test('two of them, 20 snapshots, one is killed: all are saved, none twice at a time', async () => {
    const world = await openWorld(open)
    const first = killable({ ...world })
    const times = { pollMs: 20, beatMs: 20, leaseMs: 2000, retryMs: 5, againMs: 5 }
    const servers = [openServer(first.world, 'first', { times }), openServer(world, 'second', { times })] as const
    let isKilled = false
    world.runtime.script = (run) => {
      if (!isKilled && world.runtime.runs.length === 5) {
        isKilled = true
        first.kill() // whichever of the two has this one
      }
      goesWell(world.registries, run)
    }
    const ids: string[] = []
    for (let n = 0; n < 20; n++) {
      world.instances.add(`dsw-${n}`)
      const request = {
        ...REQUEST,
        instanceId: `dsw-${n}`,
        imageUrl: `r.example.com/team/app:v${n % 19}`,
        overwrite: true,
      }
      ids.push((await servers[1].create(request)).snapshotId)
    }
    const ends = await Promise.all(ids.map((id, n) => follow(servers[1], id, `dsw-${n}`)))
    assert.deepEqual(
      ends.map(({ last }) => `${last.status}${last.reasonCode}`),
      ids.map(() => 'Saved'),
    )
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
  })

  test('no more at once than the configuration says, and never two to one reference', async () => {
    const world = await openWorld(open)
    await using server = openServer(world, 'one', { maxSnapshots: 2 })
    for (let n = 2; n <= 4; n++) world.instances.add(`dsw-${n}`)
    const create = async (n: number, tag: string) => {
      world.clock.pass(1) // the order is that of their times
      return server.create({
        ...REQUEST,
        instanceId: `dsw-${n}`,
        imageUrl: `r.example.com/team/app:${tag}`,
        overwrite: true,
      })
    }
    const begun = [await create(1, 'same'), await create(2, 'same'), await create(3, 'other'), await create(4, 'more')]
    const [one, three] = [await world.runtime.nextRun(), await world.runtime.nextRun()]
    assert.deepEqual([one.request.captureId, three.request.captureId], [begun[0]!.snapshotId, begun[2]!.snapshotId])
    assert.equal(world.runtime.runs.length, 2)
    await finish(one, world)
    assert.equal((await world.runtime.nextRun()).request.captureId, begun[1]!.snapshotId, 'the oldest that may run')
    assert.equal(world.runtime.runs.length, 3)
  })

  test('one that ends gives its work back at once: thawed, not lost, and this was no attempt', async () => {
    const world = await openWorld(open)
    const server = openServer(world, 'one')
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    await server[Symbol.asyncDispose]()
    assert.equal(run.isCancelled, true)
    await using next = openServer(world, 'two')
    await finish(await world.runtime.nextRun(), world)
    const { last } = await follow(next, snapshotId)
    assert.deepEqual([last.status, last.attempts], ['Saved', 1])
  })

  test('one whose lease was taken away stops at once and changes nothing', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const later = { owner: 'thief', nowMs: world.clock.wallMs() + LEASE_MS + 1, leaseMs: LEASE_MS }
    assert.equal((await world.store.snapshotQueue.claimNext(later))?.snapshotId, snapshotId)
    await run.ended
    assert.equal(run.isCancelled, true)
    const found = await world.store.snapshots.find(snapshotId)
    assert.deepEqual([found?.status, found?.owner], ['Committing', 'thief'])
    assert.deepEqual(world.instances.told, ['dsw-1 Saving'])
  })

  test('one whose lease was taken away does not have its manifest put', async () => {
    const world = await openWorld(open)
    await using server = openServer(world, 'one', { times: { beatMs: 60_000, pollMs: 60_000 } })
    await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    await world.store.snapshotQueue.claimNext({
      owner: 'thief',
      nowMs: world.clock.wallMs() + LEASE_MS + 1,
      leaseMs: LEASE_MS,
    })
    const { digest, manifest, mediaType } = makeManifest('v1')
    run.tell({ type: 'manifest', digest, manifest, mediaType })
    await run.ended
    assert.deepEqual([run.isConfirmed, run.isCancelled], [false, true])
  })

  test('one whose store is away for longer than its lease stops', async () => {
    const world = await openWorld(open)
    const first = killable(world)
    const server = openServer(first.world, 'first', { times: { beatMs: 10, leaseMs: 100, pollMs: 10 } })
    await server.create(REQUEST)
    const run = await world.runtime.nextRun()
    const cancelled = run.cancel.bind(run)
    let isKilled = false
    run.cancel = () => isKilled && cancelled() // the kill itself does not end it here
    first.kill()
    isKilled = true
    await run.ended
    await server[Symbol.asyncDispose]()
    assert.equal(run.isCancelled, true)
  })

  test('an error of the store is not the end of a server', async () => {
    const world = await openWorld(open)
    let failures = 3
    const snapshotQueue = {
      ...world.store.snapshotQueue,
      claimNext: async (options: { owner: string; nowMs: number; leaseMs: number }) => {
        if (failures-- > 0) throw new AppError('store_unavailable', 'Away for a moment.')
        return world.store.snapshotQueue.claimNext(options)
      },
    }
    const logged: string[] = []
    const parts = partsOf({ ...world, store: { ...world.store, snapshotQueue } }, 'one', {
      log: (text) => logged.push(text),
    })
    await using server = openSnapshots(parts)
    server.start()
    const { snapshotId } = await server.create(REQUEST)
    await finish(await world.runtime.nextRun(), world)
    assert.equal((await follow(server, snapshotId)).last.status, 'Saved')
    assert.equal(logged.length, 3)
  })
})
