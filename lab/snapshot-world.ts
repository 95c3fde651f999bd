/** Servers that make snapshots in a played world, for the tests of the service. */
import assert from 'node:assert/strict'
import { AheadClock, makeManifest, partsOf, PlayedInstances, PlayedRegistries, PlayedRuntime } from '#lab/snapshots.ts'
import type { PlayedRun, PlayedWorld } from '#lab/snapshots.ts'
import type { OpenTestStore } from '#lab/stores.ts'
import type { CreateSnapshot } from '#service/snapshots/create.ts'
import type { SnapshotParts } from '#service/snapshots/parts.ts'
import { openSnapshots } from '#service/snapshots/snapshots.ts'
import type { Snapshots } from '#service/snapshots/snapshots.ts'

export const REFERENCE = 'r.example.com/team/app:v1'
export const REQUEST: CreateSnapshot = {
  instanceId: 'dsw-1',
  userId: '7',
  name: 'v1',
  imageUrl: REFERENCE,
  description: 'the first',
  labels: [{ key: 'foo', value: 'bar' }],
  excludePaths: ['/tmp'],
  overwrite: false,
  origin: 'api',
}

/** One running instance, `dsw-1`, and a registry with nothing in it. */
export async function openWorld(open: OpenTestStore): Promise<PlayedWorld> {
  const world = {
    store: await open(),
    instances: new PlayedInstances(),
    registries: new PlayedRegistries(),
    runtime: new PlayedRuntime(),
    clock: new AheadClock(),
  }
  world.instances.add('dsw-1')
  return world
}

/** A server of this world, at work. */
export function openServer(world: PlayedWorld, owner = 'one', change: Partial<SnapshotParts> = {}): Snapshots {
  const server = openSnapshots(partsOf(world, owner, change))
  server.start()
  return server
}

/** Its states until it is finished, each once. */
export async function follow(server: Snapshots, snapshotId: string, instanceId = 'dsw-1') {
  const states: string[] = []
  let last
  for await (const { snapshot } of server.watch(instanceId, snapshotId, AbortSignal.timeout(60_000))) {
    if (states.at(-1) !== snapshot.status) states.push(snapshot.status)
    last = snapshot
  }
  assert.ok(last)
  return { states, last }
}

/** The rest of a capture that goes well. */
export async function finish(run: PlayedRun, { registries }: PlayedWorld, name = 'v1') {
  const { digest, manifest, mediaType } = makeManifest(name)
  run.tell({ type: 'thawed' })
  run.tell({ type: 'manifest', digest, manifest, mediaType })
  await run.confirmed
  registries.tags.set(run.request.reference, digest)
  run.succeed(digest)
  return digest
}
