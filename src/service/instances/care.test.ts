import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALICE, BOB, isStatus, openTestInstances, ROOT } from '#lab/instance-service.ts'
import { forEachStore, TestClock } from '#lab/stores.ts'
import { digestOf } from '#oci/digest.ts'
import { metricsOf } from './metrics.ts'
import {
  createCuller,
  createTimer,
  deleteCuller,
  deleteTimer,
  getCuller,
  getTimer,
  shutdownPolicies,
} from './shutdown.ts'

const PAGE = { order: 'asc', offset: 0, limit: 100 } as const
const MINUTE = 60_000

/** Until `test` holds; fails after a minute. */
async function eventually(test: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!(await test())) {
    assert.ok(performance.now() < deadline, 'it never came')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

forEachStore('instances that are looked after', (open) => {
  test('readings are taken while it runs, and averaged on request', async () => {
    const clock = new TestClock()
    const store = await open({ clock })
    await using service = openTestInstances(store)
    const id = await service.running()
    const request = { type: 'CpuCoreUsage' } as const
    const points = () => metricsOf(service.instances.parts, id, { request, viewer: ALICE })
    clock.pass(1000)
    await eventually(async () => (await points()).length > 0)
    assert.equal((await points())[0]?.value, 50)
    const memory = { type: 'MemoryUsage', fromMs: clock.wallMs() - MINUTE, toMs: clock.wallMs(), stepMs: 1000 } as const
    const [point] = await metricsOf(service.instances.parts, id, { request: memory, viewer: ALICE })
    assert.equal(point?.value, 25)
    const gpu = { type: 'GpuCoreUsage' } as const
    assert.deepEqual(await metricsOf(service.instances.parts, id, { request: gpu, viewer: ALICE }), [])
    const turned = { type: 'MemoryUsage', fromMs: 2, toMs: 1 } as const
    await assert.rejects(metricsOf(service.instances.parts, id, { request: turned, viewer: ALICE }), /StartTime/)
    await assert.rejects(metricsOf(service.instances.parts, id, { request, viewer: BOB }), {
      code: 'instance_not_found',
    })
  })

  /** An instance that runs, and is stopped after ten idle minutes. */
  async function culled() {
    const clock = new TestClock()
    const store = await open({ clock })
    const service = openTestInstances(store)
    const id = await service.running()
    await createCuller(service.instances.parts, { instanceId: id, cpuPct: 5, gpuPct: 5, maxIdleMinutes: 10 }, ALICE)
    return { clock, store, service, id }
  }

  test('an idle instance is stopped, a busy one is not', async () => {
    const { clock, store, service: opened, id } = await culled()
    await using service = opened
    const { runtime, instances } = service
    runtime.cpuPercent = 4.9
    clock.pass(1000)
    const idleSince = async () => (await store.cullers.of([id]))[0]?.idleSinceMs
    await eventually(async () => typeof (await idleSince()) === 'number')
    clock.pass(9 * MINUTE)
    assert.equal((await getCuller(instances.parts, id, ALICE)).idleMinutes, 9)
    runtime.cpuPercent = 5
    clock.pass(1000)
    await eventually(async () => (await idleSince()) === null)
    assert.equal((await store.instances.find(id))?.status, 'Running')
    runtime.cpuPercent = 0
    clock.pass(1000)
    await eventually(async () => typeof (await idleSince()) === 'number')
    clock.pass(10 * MINUTE)
    const stopped = await service.until(id, isStatus('Stopped'))
    assert.equal(stopped?.reasonCode, 'Idle')
    assert.equal(stopped?.accumulatedMs, 19 * MINUTE + 3000)
  })

  test('an instance that has got GPUs since its culler was made is not culled: nobody knows how busy those are', async () => {
    const { clock, store, service: opened, id } = await culled()
    await using service = opened
    const { runtime } = service
    const { version } = (await store.instances.find(id))!
    assert.ok(await store.instances.update({ instanceId: id, version }, { gpuCount: 1 }))
    runtime.cpuPercent = 0
    const readings = async () => runtime.calls.filter((call) => call === `stats ${id}`).length
    for (let minutes = 0; minutes < 30; minutes += 6) {
      const before = await readings()
      clock.pass(6 * MINUTE)
      await eventually(async () => (await readings()) > before)
    }
    assert.equal((await store.instances.find(id))?.status, 'Running')
  })

  test('what was idle before a stop, or while no server measured, does not count', async () => {
    const clock = new TestClock()
    const store = await open({ clock })
    const first = openTestInstances(store)
    const { runtime, instances } = first
    runtime.cpuPercent = 0
    const id = await first.running()
    await createCuller(instances.parts, { instanceId: id, cpuPct: 5, gpuPct: 5, maxIdleMinutes: 10 }, ALICE)
    const idleSince = async () => (await store.cullers.of([id]))[0]?.idleSinceMs
    clock.pass(1000)
    await eventually(async () => typeof (await idleSince()) === 'number')
    clock.pass(9 * MINUTE)
    await instances.stopOne(id, ALICE)
    await first.until(id, isStatus('Stopped'))
    assert.equal((await getCuller(instances.parts, id, ALICE)).idleMinutes, 0)
    clock.pass(60 * MINUTE)
    await instances.startOne(id, ALICE)
    await first.until(id, isStatus('Running'))
    const startedMs = clock.wallMs()
    for (const readings of [1, 2]) {
      clock.pass(1000)
      const request = { type: 'MemoryUsage', fromMs: startedMs, toMs: clock.wallMs(), stepMs: 1 } as const
      const taken = async () => (await metricsOf(instances.parts, id, { request, viewer: ALICE })).length
      await eventually(async () => (await taken()) >= readings)
    }
    assert.equal((await store.instances.find(id))?.status, 'Running')
    await first[Symbol.asyncDispose]()

    clock.pass(60 * MINUTE)
    await using second = openTestInstances(store, { runtime })
    await eventually(async () => (await idleSince()) === clock.wallMs())
    assert.equal((await store.instances.find(id))?.status, 'Running')
    clock.pass(10 * MINUTE)
    assert.equal((await second.until(id, isStatus('Stopped')))?.reasonCode, 'Idle')
  })

  test('an instance that cannot be measured is not idle', async () => {
    const clock = new TestClock()
    const store = await open({ clock })
    await using service = openTestInstances(store)
    const id = await service.running()
    await createCuller(service.instances.parts, { instanceId: id, cpuPct: 5, gpuPct: 5, maxIdleMinutes: 1 }, ALICE)
    service.runtime.before = (call) => {
      if (call === 'stats') throw new Error('no answer')
    }
    clock.pass(5 * MINUTE)
    await eventually(async () => service.logged.some((line) => line.includes('measured')))
    assert.equal((await store.cullers.of([id]))[0]?.idleSinceMs, null)
    assert.equal((await store.instances.find(id))?.status, 'Running')
  })

  test('one that the engine says nothing about keeps nobody waiting', async () => {
    const store = await open()
    await using service = openTestInstances(store, { parts: { times: { statsMs: 20 } } })
    const [stuck, other] = [await service.running(), await service.running()]
    service.runtime.before = (call, id, signal) => {
      if (call !== 'stats' || id !== stuck) return undefined
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    const readings = (id: string) => service.runtime.calls.filter((call) => call === `stats ${id}`).length
    const before = readings(other)
    await eventually(async () => readings(other) > before + 3)
    assert.ok(service.logged.some((line) => line.includes('measured')))
  })

  test('a timer stops an instance once it is due', async () => {
    const clock = new TestClock()
    const store = await open({ clock })
    await using service = openTestInstances(store)
    const { parts } = service.instances
    const id = await service.running()
    await createTimer(parts, { instanceId: id, remainingMs: 5000 }, ALICE)
    await createTimer(parts, { instanceId: id, dueMs: clock.wallMs() + MINUTE }, ALICE)
    assert.equal((await getTimer(parts, id, ALICE)).remainingMs, MINUTE)
    assert.deepEqual(
      (await shutdownPolicies(parts, [id, 'dsw-x'])).map(({ instanceId, timer }) => [instanceId, timer?.dueMs]),
      [[id, clock.wallMs() + MINUTE]],
    )
    clock.pass(MINUTE)
    assert.equal((await service.until(id, isStatus('Stopped')))?.reasonCode, 'ShutdownTimer')
    await eventually(async () => (await store.timers.of([id])).length === 0)
    assert.deepEqual(await shutdownPolicies(parts, [id]), [])
  })

  test('a timer that is due while an image is saved waits for it', async () => {
    const clock = new TestClock()
    const store = await open({ clock })
    await using service = openTestInstances(store, { parts: { times: { savingMs: 1_000_000_000 } } })
    const id = await service.running()
    await service.instances.saving.setSaving(id, 'snp-1')
    await createTimer(service.instances.parts, { instanceId: id, remainingMs: 1 }, ALICE)
    clock.pass(1000)
    const { events } = await store.instanceEvents.list(id, PAGE)
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal((await store.instances.find(id))?.status, 'Saving')
    assert.equal((await store.instanceEvents.list(id, PAGE)).total, events.length)
    await service.instances.saving.endCommitting(id, 'snp-1')
    await service.until(id, isStatus('Stopped'))
  })

  test('what a timer and a culler must be', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { parts } = service.instances
    const id = await service.running()
    const timers = [
      [{}, 'neither time'],
      [{ dueMs: Date.now() + MINUTE, remainingMs: 5 }, 'both times'],
      [{ dueMs: Date.now() - 1 }, 'a time that is past'],
      [{ remainingMs: 400 * 86_400_000 }, 'more than a year'],
    ] as const
    for (const [draft, reason] of timers)
      await assert.rejects(
        createTimer(parts, { instanceId: id, ...draft }, ALICE),
        { code: 'parameter_invalid' },
        reason,
      )
    const culler = { instanceId: id, cpuPct: 5, gpuPct: 5, maxIdleMinutes: 10 }
    for (const patch of [{ cpuPct: 0 }, { cpuPct: 101 }, { gpuPct: 0.5 }, { maxIdleMinutes: 0 }])
      await assert.rejects(createCuller(parts, { ...culler, ...patch }, ALICE), { code: 'parameter_invalid' })
    for (const call of [getTimer, deleteTimer, getCuller, deleteCuller]) {
      await assert.rejects(call(parts, id, ALICE), { code: 'instance_resource_not_found' })
      await assert.rejects(call(parts, id, BOB), { code: 'instance_not_found' })
    }
    await createCuller(parts, culler, ALICE)
    await assert.rejects(createCuller(parts, culler, ROOT), { code: 'instance_resource_exists', kind: 'conflict' })
    await deleteCuller(parts, id, ALICE)
    await createCuller(parts, culler, ALICE)
  })
})

forEachStore('instances that are saved', (open) => {
  const saved = { outcome: 'Saved', reasonCode: '', reasonMessage: '', then: 'run' } as const

  test('a save makes it Saving, then Running again, and stands in the lifecycle', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { saving } = service.instances
    const id = await service.running()
    assert.deepEqual([await saving.setSaving(id, 'snp-1'), await saving.setSaving(id, 'snp-1')], [true, true])
    assert.equal((await saving.find(id))?.status, 'Saving')
    await saving.endCommitting(id, 'snp-1')
    await saving.endCommitting(id, 'snp-1')
    assert.equal((await saving.find(id))?.status, 'Running')
    await store.transaction((tables) => saving.endSaving(tables, id, 'snp-1', saved))
    const { sessions } = await store.lifecycle.sessions(id, PAGE)
    assert.equal(
      sessions[0]
        ?.map(({ status }) => status)
        .slice(3)
        .join(' '),
      'Running Saving Running Saved',
    )
    await service.instances.stopOne(id, ALICE)
    await service.until(id, isStatus('Stopped'))
    assert.equal(await saving.setSaving(id, 'snp-2'), false)
    for (const call of [() => saving.setSaving('dsw-x', 'snp-1'), () => saving.find('dsw-x')])
      assert.ok(!(await call()))
    await saving.endCommitting('dsw-x', 'snp-1')
    await store.transaction((tables) => saving.endSaving(tables, 'dsw-x', 'snp-1', saved))
  })

  test('a save before a stop ends in a stop; one that fails leaves it running', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { saving } = service.instances
    const id = await service.running()
    await service.instances.stopOne(id, ALICE, 'r.example.com/a')
    assert.deepEqual(service.saves, [id])
    await saving.setSaving(id, 'snp-1')
    const failed = { outcome: 'SaveFailed', reasonCode: 'SpoolFull', reasonMessage: 'No space.', then: 'stop' } as const
    await store.transaction((tables) => saving.endSaving(tables, id, 'snp-1', failed))
    assert.deepEqual(
      [(await store.instances.find(id))?.status, (await store.instances.find(id))?.wanted],
      ['Running', ''],
    )
    await saving.setSaving(id, 'snp-2')
    await store.transaction((tables) => saving.endSaving(tables, id, 'snp-2', { ...saved, then: 'stop' }))
    await service.until(id, isStatus('Stopped'))
  })

  test('one that is Saving without a snapshot is Running again after a while', async () => {
    const store = await open()
    await using service = openTestInstances(store, { parts: { times: { savingMs: 200 } } })
    const id = await service.running()
    await service.instances.saving.setSaving(id, 'snp-lost')
    await service.until(id, isStatus('Running'))
  })

  test('what is mounted is told, and whether an image is in use', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { saving } = service.instances
    const id = await service.running({ imageUrl: '', imageId: 'image-1' })
    const facts = await saving.find(id)
    assert.deepEqual([facts?.imageId, facts?.mountPaths, facts?.userId], ['image-1', ['/mnt/workspace'], '100'])
    assert.equal(facts?.handle?.instanceId, id)
    const image = { uri: 'registry.local/lab/saved:v2', digest: digestOf('v2'), imageId: 'image-2' }
    assert.equal(await saving.usesImage(image), true)
    assert.equal(await saving.usesImage({ ...image, uri: 'r/x:v1', imageId: 'image-1' }), true)
    assert.equal(await saving.usesImage({ ...image, uri: 'r/x:v1' }), false)
  })
})
