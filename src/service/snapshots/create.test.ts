import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { openServer, openWorld, REFERENCE, REQUEST } from '#lab/snapshot-world.ts'
import { makeManifest, partsOf } from '#lab/snapshots.ts'
import type { PlayedWorld } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'
import type { CreateSnapshot } from './create.ts'
import { openSnapshots } from './snapshots.ts'

const prepared = (prepare: (world: PlayedWorld) => void) => prepare
const nothing = prepared(() => {})

const REFUSED: readonly (readonly [string, string, RegExp, Partial<CreateSnapshot>, (world: PlayedWorld) => void])[] = [
  ['a bad name', 'parameter_invalid', /^SnapshotName/, { name: 'A_b' }, nothing],
  [
    'a registry that is not allowed',
    'registry_not_allowed',
    /^ImageUrl/,
    { imageUrl: 'evil.example.com/a:b' },
    nothing,
  ],
  ['Docker Hub, which nobody allowed', 'registry_not_allowed', /^ImageUrl/, { imageUrl: 'python:3.12' }, nothing],
  ['an instance that is not there', 'instance_not_found', /dsw-9/, { instanceId: 'dsw-9' }, nothing],
  ['a tag that exists', 'tag_exists', /Overwrite/, {}, ({ registries }) => registries.tags.set(REFERENCE, makeManifest('x').digest)], // prettier-ignore
  ['a registry that leads elsewhere', 'registry_untrusted', /./, {}, ({ registries }) => (registries.failure = new AppError('registry_untrusted', 'x'))], // prettier-ignore
  ...['Creating', 'EnvPreparing', 'Starting', 'Stopping', 'Stopped', 'Failed', 'Updating', 'Deleting'].map(
    (status) =>
      [`an instance that is ${status}`, 'instance_not_running', new RegExp(status), {}, ({ instances }: PlayedWorld) => instances.add('dsw-1', { status })] as const, // prettier-ignore
  ),
]

forEachStore('a snapshot is refused', (open) => {
  test('for each reason, with a sentence that names it, and the store is unchanged', async () => {
    for (const [reason, code, message, change, prepare] of REFUSED) {
      const world = await openWorld(open)
      prepare(world)
      const status = world.instances.status('dsw-1')
      await using server = openServer(world)
      await assert.rejects(server.create({ ...REQUEST, ...change }), { code, message }, reason)
      assert.equal((await server.list('dsw-1', { descending: true, offset: 0, limit: 10 })).total, 0, reason)
      assert.equal(world.instances.status('dsw-1'), status, reason)
      assert.equal(world.runtime.runs.length, 0, reason)
    }
  })

  test('while another one of the instance is not finished', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { snapshotId } = await server.create(REQUEST)
    assert.equal((await server.unfinishedOf('dsw-1'))?.snapshotId, snapshotId)
    const again = server.create({ ...REQUEST, imageUrl: 'r.example.com/team/app:v2' })
    await assert.rejects(again, { code: 'snapshot_in_progress', message: /dsw-1/ })
    assert.equal((await server.list('dsw-1', { descending: true, offset: 0, limit: 10 })).total, 1)
  })

  test('of ten calls at once for one instance nine are', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const calls = await Promise.allSettled(Array.from({ length: 10 }, () => server.create(REQUEST)))
    const codes = calls.map((call) => (call.status === 'fulfilled' ? 'begun' : call.reason.code)).sort()
    assert.deepEqual(codes, ['begun', ...Array.from({ length: 9 }, () => 'snapshot_in_progress')])
  })

  test('when the instance stops between the look and the beginning, and nothing is left of it', async () => {
    const world = await openWorld(open)
    world.instances.setSaving = async () => {
      world.instances.add('dsw-1', { status: 'Stopping' })
      return false
    }
    const server = openSnapshots(partsOf(world, 'one'))
    await assert.rejects(server.create(REQUEST), { code: 'instance_not_running', message: /Stopping/ })
    assert.equal(await server.unfinishedOf('dsw-1'), undefined)
  })
})

forEachStore('a snapshot begins', (open) => {
  test('though the tag exists, with Overwrite', async () => {
    const world = await openWorld(open)
    world.registries.tags.set(REFERENCE, makeManifest('x').digest)
    await using server = openServer(world)
    const { overwrite, imageUrl } = await server.create({ ...REQUEST, overwrite: true })
    assert.deepEqual([overwrite, imageUrl], [true, REFERENCE])
  })

  test('though the registry is away or does not answer, after a short wait', async () => {
    for (const prepare of [
      (world: PlayedWorld) => (world.registries.isSilent = true),
      (world: PlayedWorld) => (world.registries.failure = new AppError('registry_unavailable', 'Away.')),
    ]) {
      const world = await openWorld(open)
      prepare(world)
      await using server = openServer(world)
      const startMs = performance.now()
      assert.equal((await server.create(REQUEST)).status, 'Committing')
      assert.ok(performance.now() - startMs < 10_000)
    }
  })

  test('with the tag from its name where the reference has none', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { imageUrl, name } = await server.create({ ...REQUEST, imageUrl: 'r.example.com/team/app', name: 'my-name' })
    assert.deepEqual([imageUrl, name], ['r.example.com/team/app:my-name', 'my-name'])
  })
})
