import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { ALICE, BOB, isStatus, openTestInstances, ROOT } from '#lab/instance-service.ts'
import { forEachStore } from '#lab/stores.ts'
import type { InstanceDraft, NewInstanceDraft } from './draft.ts'
import { eventsOf } from './history.ts'

interface Row {
  readonly what: string
  readonly first?: Partial<NewInstanceDraft>
  readonly change: Partial<InstanceDraft>
  /** What the container has of it afterwards. */
  readonly seen: object
}

const SIZE = { cpu: '1', memory: '2Gi', sharedMemory: '1Gi' }
/** In place of the named size. */
const REQUESTED = { ecsSpec: '', requested: SIZE }

const KEPT: readonly Row[] = [
  { what: 'a larger size', change: { ecsSpec: 'ecs.c6.large' }, seen: { cpuMilli: 2000, memoryBytes: 4 * 2 ** 30 } },
  {
    what: 'other cores and another memory',
    first: REQUESTED,
    change: { requested: { ...SIZE, cpu: '0.5', memory: '3Gi' } },
    seen: { cpuMilli: 500, memoryBytes: 3 * 2 ** 30 },
  },
  {
    what: 'a limit where there was none',
    first: { ecsSpec: '', requested: { cpu: '1' } },
    change: { requested: { cpu: '1', memory: '2Gi' } },
    seen: { memoryBytes: 2 * 2 ** 30 },
  },
  {
    what: 'one part of its size',
    first: REQUESTED,
    change: { requested: { cpu: '2' } },
    seen: { cpuMilli: 2000, memoryBytes: 2 * 2 ** 30, shmBytes: 2 ** 30 },
  },
  {
    what: 'other cores than its named size has',
    change: { requested: { cpu: '2' } },
    seen: { cpuMilli: 2000, memoryBytes: 2 * 2 ** 30 },
  },
  { what: 'a start command', change: { onStart: 'echo new' }, seen: { onStart: 'echo new' } },
  { what: 'no start command', first: { onStart: 'echo old' }, change: { onStart: '' }, seen: { onStart: '' } },
  { what: 'another login for the image', change: { imageAuth: btoa('ann:secret') }, seen: { cpuMilli: 1000 } },
]

const LOST: readonly Row[] = [
  { what: 'another image', change: { imageUrl: 'r.io/a/b:c' }, seen: { imageUrl: 'r.io/a/b:c' } },
  { what: 'another environment', change: { environment: { A: '2' } }, seen: { environment: { A: '2' } } },
  {
    what: 'another shared memory',
    first: REQUESTED,
    change: { requested: { ...SIZE, sharedMemory: '2Gi' } },
    seen: { shmBytes: 2 * 2 ** 30 },
  },
  { what: 'no limit any more', first: REQUESTED, change: { requested: { memory: '' } }, seen: { cpuMilli: 1000 } },
  {
    what: 'a GPU',
    first: REQUESTED,
    change: { requested: { ...SIZE, gpu: '1' } },
    seen: { gpus: { count: 1 } },
  },
]

forEachStore('an update of a stopped instance', (open) => {
  const rows = [...KEPT.map((row) => ({ ...row, isKept: true })), ...LOST.map((row) => ({ ...row, isKept: false }))]
  for (const { what, first = {}, change, seen, isKept } of rows)
    test(`to ${what} ${isKept ? 'keeps what its container holds' : 'makes a new container, and says so'}`, async () => {
      await using service = openTestInstances(await open())
      const { instances, runtime, until } = service
      const id = await service.running(first)
      await instances.stopOne(id, ALICE)
      await until(id, isStatus('Stopped'))
      const { containerId } = runtime.containers.get(id)!
      const update = { draft: { echo: {}, ...change }, removal: { echo: [] }, start: true }
      await instances.update(id, update, ALICE)
      await until(id, isStatus('Running'))
      const now = runtime.containers.get(id)!
      assert.equal(now.containerId === containerId, isKept)
      const named = Object.fromEntries(Object.keys(seen).map((key) => [key, now.spec[key as keyof typeof now.spec]]))
      assert.deepEqual(named, seen)
      if (what === 'no limit any more') assert.equal(now.spec.memoryBytes, undefined)
      const page = { offset: 0, limit: 50, order: 'asc', viewer: ALICE } as const
      const { events } = await eventsOf(instances.parts, id, page)
      assert.equal(
        events.some(({ level, text }) => level === 'Warning' && /lost/.test(text)),
        !isKept,
      )
    })

  test('to a size that the host has not got ends Failed, and the next one starts it again with its files', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    const id = await service.running()
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    const { containerId } = runtime.containers.get(id)!
    const { before } = runtime
    runtime.before = (call) => {
      if (call === 'update') throw new AppError('insufficient_resource', 'The host has 8 cores.')
    }
    const update = (ecsSpec: string) =>
      instances.update(id, { draft: { echo: {}, ecsSpec }, removal: { echo: [] }, start: true }, ALICE)
    await update('ecs.c6.large')
    const failed = await until(id, isStatus('Failed'))
    assert.equal(failed?.reasonCode, 'Resource.InsufficientResource')
    runtime.before = before
    await update('ecs.n4.small')
    await until(id, isStatus('Running'))
    assert.equal(runtime.containers.get(id)?.containerId, containerId)
  })

  const stopped = async (service: ReturnType<typeof openTestInstances>, first: Partial<NewInstanceDraft>) => {
    const id = await service.running(first)
    await service.instances.stopOne(id, ALICE)
    await service.until(id, isStatus('Stopped'))
    return id
  }
  const to = (draft: Partial<InstanceDraft>) => ({ draft: { echo: {}, ...draft }, removal: { echo: [] }, start: false })

  test('to an image of another registry leaves the login for the first one behind', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { instances } = service
    const login = { imageAuth: btoa('ann:secret'), imageUrl: 'r.io/a/b:c' }
    const id = await stopped(service, login)
    const sealed = async () => (await store.instances.find(id))?.imageAuthEncrypted
    await instances.update(id, to({ imageUrl: 'R.io/a/other:c' }), ALICE)
    assert.notEqual(await sealed(), null, 'the same registry')
    await instances.update(id, to({ imageUrl: 'evil.example/a/b:c' }), ALICE)
    assert.equal(await sealed(), null)
    await instances.update(id, to({ imageUrl: 'r.io/a/b:d', imageAuth: btoa('ann:other') }), ALICE)
    assert.notEqual(await sealed(), null)
  })

  test('of somebody else, that is public, changes nothing of what runs in it', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { instances } = service
    const id = await stopped(service, { accessibility: 'PUBLIC' })
    const seen = async () => {
      const { owner: _, leaseExpiresMs: _lease, ...record } = (await store.instances.find(id))!
      return record // who has stopped it may hold its lease still
    }
    const before = await seen()
    for (const draft of [
      { onStart: 'echo mine' },
      { environment: { A: 'mine' } },
      { imageUrl: 'evil.example/a:b' },
      { imageAuth: '' },
      { datasets: [] },
      { accessibility: 'PRIVATE' },
    ] as const)
      await assert.rejects(instances.update(id, to(draft), BOB), { code: 'not_permitted' }, Object.keys(draft)[0])
    const removal = { ...to({}), removal: { echo: [], environment: true } }
    await assert.rejects(instances.update(id, removal, BOB), { code: 'not_permitted' })
    assert.deepEqual(await seen(), before)
    await instances.update(id, to({ name: 'by_bob' }), BOB)
    await instances.update(id, to({ onStart: 'echo all' }), ROOT)
  })

  test('to another image waits for the snapshot that is on its way: another try needs the container', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { instances } = service
    const id = await stopped(service, {})
    const snapshot = {
      snapshotId: 'snp-1',
      instanceId: id,
      workspaceId: '1',
      userId: '100',
      name: 'v1',
      description: '',
    }
    const request = { imageUrl: 'r.io/a:v1', overwrite: false, excludePaths: [], labels: [], origin: 'api' } as const
    assert.ok(await store.snapshots.insert({ ...snapshot, ...request }, 1000))
    await assert.rejects(instances.update(id, to({ imageUrl: 'r.io/a/b:c' }), ALICE), { code: 'snapshot_in_progress' })
    await instances.update(id, to({ onStart: 'echo more' }), ALICE)
    await store.snapshots.remove('snp-1')
    await instances.update(id, to({ imageUrl: 'r.io/a/b:c' }), ALICE)
  })

  test('a dataset that leads elsewhere since the container was made keeps it from starting', async () => {
    const root = realpathSync(mkdtempSync(join(tmpdir(), 'tintype-datasets-')))
    after(() => rmSync(root, { recursive: true }))
    mkdirSync(`${root}/allowed/set`, { recursive: true })
    const store = await open()
    await using service = openTestInstances(store, { parts: { datasetPaths: [`${root}/allowed`] } })
    const datasets = [{ uri: `file://${root}/allowed/set`, mountPath: '/mnt/set' }]
    const id = await stopped(service, { datasets })
    rmdirSync(`${root}/allowed/set`)
    symlinkSync('/', `${root}/allowed/set`)
    await service.instances.startOne(id, ALICE)
    const failed = await service.until(id, isStatus('Failed'))
    assert.match(failed?.reasonMessage ?? '', /Datasets\.Uri/)
    assert.equal(service.runtime.containers.get(id)?.state.status, 'exited')
  })
})
