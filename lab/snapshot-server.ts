/** The real HTTP server with the real services of instances and snapshots, on a played engine and a registry in memory. */
import { ACCOUNT_ID, openApiServer, ROOT_KEY, USER_KEY } from '#lab/api-server.ts'
import { openTestInstances } from '#lab/instance-service.ts'
import { AheadClock, partsOf, PlayedInstances, PlayedRegistries, PlayedRuntime } from '#lab/snapshots.ts'
import { signedClient } from '#lab/signed-client.ts'
import type { TestStore } from '#lab/stores.ts'
import { dswRoutes } from '#http/dsw/dsw.ts'
import { snapshotRoutes } from '#http/dsw/snapshots.ts'
import { registryRoutes } from '#http/extensions/registries.ts'
import { scheduleRoutes } from '#http/extensions/schedules.ts'
import { snapshotExtensionRoutes } from '#http/extensions/snapshots.ts'
import { imageRoutes } from '#http/images/images.ts'
import { openImages } from '#service/images/images.ts'
import type { SaveThenStop } from '#service/instances/parts.ts'
import { openRegistries } from '#service/registries/registries.ts'
import { openSchedules } from '#service/schedules/schedules.ts'
import { openSnapshots } from '#service/snapshots/snapshots.ts'

export const SNAPSHOT_ARN = `acs:paidsw:local:${ACCOUNT_ID}:workspace/*/dswinstance/*/snapshot/*`

/** The statements are the policy of the user; the account needs none. */
export async function openSnapshotServer(store: TestStore, statements: readonly object[] = []) {
  const registries = new PlayedRegistries()
  const runtime = new PlayedRuntime()
  const world = { store, instances: new PlayedInstances(), registries, runtime, clock: new AheadClock() }
  const saveThenStop = async (request: SaveThenStop) => void (await snapshots.saveToStop(request))
  const test = openTestInstances(store, { parts: { snapshots: { saveThenStop } } })
  const { instances } = test
  const snapshots = openSnapshots({
    ...partsOf(world, 'server', {
      defaultRepository: 'r.example.com/saved',
    }),
    instances: instances.saving,
  })
  const images = openImages({ images: store.images, clock: store.clock })
  const schedules = openSchedules({
    store,
    snapshots,
    findInstance: instances.saving.find,
    checkRegistry: (host) => registries.accessTo(host),
    mayPush: async () => true,
    clock: store.clock,
    log: () => {},
    owner: 'server',
  })
  snapshots.start()
  const known = openRegistries({ table: store.registries, secrets: store.secrets, clock: store.clock })
  const parts = { instances, snapshots, schedules, registries: known, images, region: 'local' }
  const server = await openApiServer({
    routes: [
      ...dswRoutes(parts),
      ...snapshotRoutes(parts),
      ...snapshotExtensionRoutes(parts),
      ...scheduleRoutes(parts),
      ...registryRoutes(parts),
      ...imageRoutes(images),
    ],
    ...(statements.length > 0 && { policy: { Version: '1', Statement: statements } }),
  })
  return {
    ...test,
    runtime,
    registries,
    snapshots,
    logged: server.logged,
    account: signedClient(server.url, ROOT_KEY),
    user: signedClient(server.url, USER_KEY),
    session: server.session,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await schedules[Symbol.asyncDispose]()
      await snapshots[Symbol.asyncDispose]()
      await instances[Symbol.asyncDispose]()
    },
  }
}
