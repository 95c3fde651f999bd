import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { startRegistry } from '#lab/registry.ts'
import { follow, openServer, openWorld, REQUEST } from '#lab/snapshot-world.ts'
import { killable, LEASE_MS } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'
import type { OpenTestStore } from '#lab/stores.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { parseReference } from '#oci/reference.ts'
import type { Repository } from '#registry/repository.ts'
import { openRegistries } from '#service/registries/registries.ts'

async function push(repository: Repository, bytes: Buffer, mediaType: string): Promise<Descriptor> {
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length }
  const open = async function* () {
    yield bytes
  }
  return repository.pushBlob({ descriptor: Promise.resolve(descriptor), open })
}

/** An image whose blobs are there and whose manifest is not yet. */
async function pushBlobs(repository: Repository) {
  const layer = await push(repository, randomBytes(1_000), MEDIA_TYPES.ociLayerGzip)
  const config = await push(repository, Buffer.from(JSON.stringify({ of: layer.digest })), MEDIA_TYPES.ociConfig)
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [layer] })
  return { manifest, digest: digestOf(manifest), mediaType: MEDIA_TYPES.ociManifest, layer }
}

/** The first server was killed after the manifest was stored; the registry is a real one. */
async function setUp(open: OpenTestStore, host: string) {
  const world = await openWorld(open)
  const { store } = world
  const registries = openRegistries({ table: store.registries, secrets: store.secrets, clock: systemClock })
  const real = { ...world, registries: registries as never }
  const imageUrl = `${host}/team/app:v1`
  const repository = await registries.open(parseReference(imageUrl))
  const image = await pushBlobs(repository)
  const first = killable(real)
  const server = openServer(first.world, 'first')
  const { snapshotId } = await server.create({ ...REQUEST, imageUrl })
  const run = await world.runtime.nextRun()
  run.tell({ type: 'thawed' })
  run.tell({ type: 'manifest', digest: image.digest, manifest: image.manifest, mediaType: image.mediaType })
  await run.confirmed
  first.kill()
  await server[Symbol.asyncDispose]()
  world.clock.pass(LEASE_MS)
  return { world: real, snapshotId, imageUrl, repository, image }
}

forEachStore('with a real registry', (open) => {
  test('what a killed server has stored is put, found by its digest, and deleted with its tag', async () => {
    await using registry = await startRegistry()
    const { world, snapshotId, imageUrl, repository, image } = await setUp(open, registry.host)
    assert.equal(await repository.resolve('v1'), undefined)
    await using second = openServer(world, 'second')
    const { last } = await follow(second, snapshotId)
    assert.deepEqual([last.status, last.reasonCode, last.reasonMessage], ['Saved', '', ''])
    assert.equal((await repository.resolve('v1'))?.digest, image.digest)
    const again = second.create({ ...REQUEST, imageUrl })
    await assert.rejects(again, { code: 'tag_exists', message: /Overwrite/ })
    world.instances.remove('dsw-1')
    await second.delete('dsw-1', snapshotId, { deleteImage: true })
    assert.equal(await repository.resolve('v1'), undefined)
    assert.equal(world.runtime.runs.length, 1)
  })

  test('a registry that lost a blob meanwhile: a new capture', async () => {
    await using registry = await startRegistry()
    const { world, image } = await setUp(open, registry.host)
    await registry.collectGarbage() // nothing names the blobs yet
    await registry.restart()
    await using _second = openServer(world, 'second')
    const run = await world.runtime.nextRun()
    assert.equal(run.isConfirmed, false)
    assert.equal((await world.store.snapshots.find(run.request.captureId))?.manifest, undefined)
    assert.ok(image.layer.size > 0)
  })
})
