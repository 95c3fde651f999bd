import { AppError } from '#base/errors.ts'
import { FakeRuntime } from '#lab/fake-runtime.ts'
import type { TestStore } from '#lab/stores.ts'
import type { NewInstanceDraft } from '#service/instances/draft.ts'
import { openInstances, type Instances } from '#service/instances/instances.ts'
import type { InstanceParts, Viewer } from '#service/instances/parts.ts'
import type { InstanceRecord } from '#store/instance-record.ts'

export const ALICE: Viewer = { userId: '100', seesAll: false }
export const BOB: Viewer = { userId: '200', seesAll: false }
export const ROOT: Viewer = { userId: '1', seesAll: true }

/** The least that makes an instance. */
export const DRAFT: NewInstanceDraft = {
  imageUrl: 'registry.local/lab/base:v1',
  ecsSpec: 'ecs.n4.small',
  labels: new Map(),
  tags: new Map(),
  echo: {},
}

/** Short enough that a test does not wait for them. */
const TIMES = { pollMs: 20, beatMs: 20, retryMs: 10, maxRetryMs: 40, sweepMs: 50, timerMs: 20, readingMs: 20 }

export interface TestInstances {
  readonly instances: Instances
  readonly runtime: FakeRuntime
  readonly store: TestStore
  readonly saves: string[]
  readonly logged: string[]
  /** The instance once it is as `test` says; fails after a minute. */
  until(instanceId: string, test: (record: InstanceRecord | undefined) => boolean): Promise<InstanceRecord | undefined>
  /** Made, and running; Alice's if nobody else's. */
  running(draft?: Partial<NewInstanceDraft>, owner?: Viewer): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}

let servers = 0

/** A service on a store and a fake engine; another one on the same two is another server. */
export function openTestInstances(
  store: TestStore,
  options: { readonly runtime?: FakeRuntime; readonly parts?: Partial<InstanceParts> } = {},
): TestInstances {
  const runtime = options.runtime ?? new FakeRuntime()
  runtime.nowMs = () => store.clock.wallMs()
  runtime.notFound = ({ containerId }) => new AppError('container_not_found', `There is no ${containerId}.`)
  const saves: string[] = []
  const logged: string[] = []
  const instances = openInstances({
    store,
    runtime,
    snapshots: { saveThenStop: async ({ instanceId }) => void saves.push(instanceId) },
    images: {
      find: async (imageId) =>
        imageId === 'image-1' ? { uri: 'registry.local/lab/saved:v2', name: 'saved' } : undefined,
    },
    clock: store.clock,
    log: (sentence) => logged.push(sentence),
    datasetPaths: [],
    owner: `server-${++servers}`,
    ...options.parts,
    times: { ...TIMES, leaseMs: 60_000, savingMs: 60_000, ...options.parts?.times },
  })
  instances.start()
  const until: TestInstances['until'] = async (instanceId, test) => {
    const deadline = performance.now() + 60_000
    for (;;) {
      const record = await store.instances.find(instanceId)
      if (test(record)) return record
      if (performance.now() > deadline)
        throw new Error(`${instanceId} stays ${record?.status} (wanted ${record?.wanted}): ${logged.join(' ')}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  return {
    instances,
    runtime,
    store,
    saves,
    logged,
    until,
    async running(draft = {}, owner = ALICE) {
      const instanceId = await instances.create({ ...DRAFT, ...draft }, owner)
      await until(instanceId, (record) => record?.status === 'Running')
      return instanceId
    },
    [Symbol.asyncDispose]: () => instances[Symbol.asyncDispose](),
  }
}

export const isStatus = (status: InstanceRecord['status']) => (record: InstanceRecord | undefined) =>
  record?.status === status && record.wanted === ''
