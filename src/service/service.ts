import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { Config } from '#config/config.ts'
import { openDockerRuntime } from '#runtime/docker/docker-runtime.ts'
import type { Runtime } from '#runtime/runtime.ts'
import { openStore } from '#store/open-store.ts'
import type { Store } from '#store/open-store.ts'
import { keepHouse } from './housekeeping.ts'
import { openIdentities } from './identities/identities.ts'
import type { Identities } from './identities/identities.ts'
import { openImages } from './images/images.ts'
import type { Images } from './images/images.ts'
import type { ImageCatalogue } from './instances/image-choice.ts'
import { openInstances } from './instances/instances.ts'
import type { Instances } from './instances/instances.ts'
import { openRegistries } from './registries/registries.ts'
import type { Registries } from './registries/registries.ts'
import { mayPush } from './schedules/permission.ts'
import { openSchedules } from './schedules/schedules.ts'
import type { Schedules } from './schedules/schedules.ts'
import { openSnapshots } from './snapshots/snapshots.ts'
import type { Snapshots } from './snapshots/snapshots.ts'

/** A sentence for the log, and what it is about. Never a secret. */
export type Log = (sentence: string, details: Readonly<Record<string, string | number>>) => void

/** Everything that the server can do, without a word of HTTP. */
export interface Service extends AsyncDisposable {
  readonly store: Store
  readonly runtime: Runtime
  readonly identities: Identities
  readonly registries: Registries
  readonly instances: Instances
  readonly snapshots: Snapshots
  readonly images: Images
  readonly schedules: Schedules
  /** Take up the work that goes on behind the calls; before, calls are answered and their work waits. */
  start(): void
  /** Throws `store_unavailable` when the database does not answer. */
  ready(): Promise<void>
}

/** Each capture has worker threads for all cores: more at once would share them, and freeze each instance for longer. */
const MAX_SNAPSHOTS = Math.min(4, Math.max(2, availableParallelism()))

export interface ServiceOptions {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
}

/**
 * Open the store, and put the areas together. Disposing brings all work to rest: captures come to a safe end or are
 * handed back, nothing stays frozen, rows are free for the next server. Throws as `openStore` and `openIdentities`.
 */
export async function openService({ config, clock, log }: ServiceOptions): Promise<Service> {
  if (config.runtime !== 'docker')
    throw new AppError('config_invalid', 'TINTYPE_RUNTIME must be docker: this version runs instances nowhere else.')
  await using opened = new AsyncDisposableStack()
  const store = opened.use(await openStore({ database: config.database, home: config.home, clock }))
  const runtime = openDockerRuntime({ ...config, socketPath: config.dockerSocketPath })
  const identities = await openIdentities({ ...config, store })
  const registries = openRegistries({
    table: store.registries,
    secrets: store.secrets,
    clock,
    trustedHosts: config.trustedHosts,
    ...(config.proxies && { proxies: config.proxies }),
    ...(config.registries && { configured: config.registries }),
  })
  const areas = openAreas({ config, clock, log, store, runtime, identities, registries }, opened)
  const ending = new AbortController()
  const running: Promise<void>[] = []
  opened.defer(async () => {
    ending.abort()
    await Promise.all(running)
  })
  const parts = opened.move()
  return {
    store,
    runtime,
    identities,
    registries,
    ...areas,
    start() {
      for (const area of [areas.instances, areas.snapshots, areas.schedules]) area.start()
      running.push(keepHouse({ home: config.home, store, clock, log }, ending.signal))
    },
    ready: () => store.ping(),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

type Ground = ServiceOptions & Pick<Service, 'store' | 'runtime' | 'identities' | 'registries'>

/** What stands on the store and the engine; each is put on `closing` before what it needs. */
function openAreas(ground: Ground, closing: AsyncDisposableStack) {
  const { config, clock, log, store, runtime, identities, registries } = ground
  const owner = randomUUID()
  const instances = closing.use(
    openInstances({
      store,
      runtime,
      clock,
      log,
      owner,
      datasetPaths: config.datasetPaths,
      images: catalogueIn(store, identities.accountId),
      snapshots: {
        saveThenStop: async (request) => void (await snapshots.saveToStop(request)),
      },
    }),
  )
  const snapshots = closing.use(
    openSnapshots({
      store,
      runtime,
      clock,
      log,
      owner,
      registries,
      instances: instances.saving,
      maxSnapshots: config.maxSnapshots ?? MAX_SNAPSHOTS,
      ...(config.defaultRepository !== undefined && { defaultRepository: config.defaultRepository }),
    }),
  )
  const images = openImages({ images: store.images, clock })
  const schedules = closing.use(
    openSchedules({
      store,
      snapshots,
      clock,
      log,
      owner,
      findInstance: instances.saving.find,
      checkRegistry: registries.accessTo,
      mayPush: (question) => mayPush(question, { store, identities, region: config.region, clock }),
    }),
  )
  return { instances, snapshots, images, schedules }
}

/** An image may be used by whoever may see it. */
function catalogueIn({ images }: Store, accountId: string): ImageCatalogue {
  return {
    async find(imageId, userId) {
      const image = await images.find(imageId)
      const isSeen = image?.accessibility === 'PUBLIC' || userId === image?.userId || userId === accountId
      return isSeen ? image : undefined
    },
  }
}
