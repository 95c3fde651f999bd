import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anInstance } from '#lab/instances.ts'
import { forEachStore } from '#lab/stores.ts'
import type { InstanceFilter, InstancePage } from './instance-list.ts'

const PAGE: InstancePage = { sortBy: 'createdMs', order: 'asc', offset: 0, limit: 100 }

forEachStore('instances', (open) => {
  test('an instance comes back as it was put in', async () => {
    const { instances } = await open()
    const made = anInstance({
      handle: { kind: 'docker', containerId: 'c1' },
      spec: { datasets: [], echo: { Driver: '5' } },
    })
    await instances.insert(made)
    const found = await instances.find('dsw-a')
    assert.deepEqual(found, { ...made, version: 1, owner: null, leaseExpiresMs: 0, fence: 0 })
    assert.equal(await instances.find('dsw-b'), undefined)
    const owner = { workspaceId: made.workspaceId, userId: made.userId, accessibility: made.accessibility }
    assert.deepEqual(await instances.findOwner('dsw-a'), owner)
    assert.equal(await instances.findOwner('dsw-b'), undefined)
  })

  test('a name is free again once its instance is gone, and in another workspace', async () => {
    const { instances } = await open()
    await instances.insert(anInstance({ name: 'mine' }))
    await instances.insert(anInstance({ instanceId: 'dsw-b', name: 'mine', workspaceId: '2' }))
    const again = anInstance({ instanceId: 'dsw-c', name: 'mine' })
    await assert.rejects(instances.insert(again), { code: 'name_taken', details: { field: 'InstanceName' } })
    assert.equal(await instances.remove({ instanceId: 'dsw-a', version: 1 }), true)
    await instances.insert(again)
  })

  test('a rename is refused like an insert, but not to the own name', async () => {
    const { instances } = await open()
    await instances.insert(anInstance({ name: 'one' }))
    await instances.insert(anInstance({ instanceId: 'dsw-b', name: 'two' }))
    const guard = { instanceId: 'dsw-b', version: 1 }
    await assert.rejects(instances.update(guard, { name: 'one' }), { code: 'name_taken' })
    assert.equal(await instances.update(guard, { name: 'two' }), true)
  })

  test('of two who read the same version one writes', async () => {
    const { instances } = await open()
    await instances.insert(anInstance())
    const guard = { instanceId: 'dsw-a', version: 1 }
    assert.equal(await instances.update(guard, { status: 'Starting', handle: { containerId: 'c' } }), true)
    assert.equal(await instances.update(guard, { status: 'Deleting' }), false)
    assert.equal(await instances.remove(guard), false)
    const found = await instances.find('dsw-a')
    assert.deepEqual([found?.status, found?.version, found?.handle], ['Starting', 2, { containerId: 'c' }])
    assert.equal(await instances.update({ ...guard, version: 2 }, { handle: undefined }), true)
    assert.equal((await instances.find('dsw-a'))?.handle, undefined)
  })

  test('work is claimed once, until the lease ends', async () => {
    const { instances } = await open()
    await instances.insert(anInstance({ wanted: 'run' }))
    const lease = { owner: 'first', nowMs: 1000, expiresMs: 2000 }
    assert.deepEqual(await instances.claimable(1000, { limit: 10, onlyEnds: false }), [
      { instanceId: 'dsw-a', fence: 0 },
    ])
    const claimed = await instances.claim('dsw-a', 0, lease)
    assert.deepEqual([claimed?.owner, claimed?.fence], ['first', 1])
    assert.equal(await instances.claim('dsw-a', 0, { ...lease, owner: 'second' }), undefined)
    assert.deepEqual(await instances.claimable(1999, { limit: 10, onlyEnds: false }), [])
    assert.equal(await instances.renew('dsw-a', 1, 3000), true)
    assert.deepEqual(await instances.claimable(2999, { limit: 10, onlyEnds: false }), [])
    assert.deepEqual(await instances.claimable(3000, { limit: 10, onlyEnds: false }), [
      { instanceId: 'dsw-a', fence: 1 },
    ])
  })

  test('who has lost the lease neither writes, nor keeps it, nor removes', async () => {
    const { instances } = await open()
    await instances.insert(anInstance({ wanted: 'run' }))
    await instances.claim('dsw-a', 0, { owner: 'first', nowMs: 1000, expiresMs: 2000 })
    await instances.claim('dsw-a', 1, { owner: 'second', nowMs: 2000, expiresMs: 3000 })
    const guard = { instanceId: 'dsw-a', version: 1 }
    assert.equal(await instances.update({ ...guard, fence: 1 }, { status: 'Running' }), false)
    assert.equal(await instances.renew('dsw-a', 1, 9000), false)
    assert.equal(await instances.remove({ ...guard, fence: 1 }), false)
    assert.equal(await instances.update({ ...guard, fence: 2 }, { status: 'Running' }), true)
  })

  test('a lease that was given back can be taken at once', async () => {
    const { instances } = await open()
    await instances.insert(anInstance({ wanted: 'stop' }))
    await instances.claim('dsw-a', 0, { owner: 'first', nowMs: 1000, expiresMs: 9000 })
    await instances.renew('dsw-a', 1, 0)
    assert.equal((await instances.claim('dsw-a', 1, { owner: 'second', nowMs: 1001, expiresMs: 9000 }))?.fence, 2)
  })

  for (const [patch, reason] of [
    [{ wanted: '' }, 'nothing is left to do'],
    [{ wanted: 'stop', status: 'Saving' }, 'it is being saved'],
    [{ wanted: 'run', retryMs: 2000 }, 'it waits after a failure'],
  ] as const)
    test(`what no worker takes: ${reason}`, async () => {
      const { instances } = await open()
      await instances.insert(anInstance(patch))
      assert.deepEqual(await instances.claimable(1000, { limit: 10, onlyEnds: false }), [])
    })

  test('an instance takes along what belongs to it alone', async () => {
    const store = await open()
    await store.instances.insert(anInstance())
    await store.instanceLabels.put('dsw-a', 'label', new Map([['k', 'v']]))
    await store.cullers.insert({ instanceId: 'dsw-a', cpuPct: 1, gpuPct: 1, maxIdleMinutes: 5 })
    await store.instances.remove({ instanceId: 'dsw-a', version: 1 })
    assert.deepEqual(await store.instanceLabels.of(['dsw-a']), [])
    assert.deepEqual(await store.cullers.of(['dsw-a']), [])
  })

  const GIB = 2 ** 30
  const rows: readonly (readonly [InstanceFilter, string, string])[] = [
    [{}, 'abcd', 'without a filter all'],
    [{ workspaceId: '2' }, 'd', 'by workspace'],
    [{ visibleTo: '100' }, 'abc', 'public ones and the own'],
    [{ visibleTo: '100', workspaceId: '2' }, '', "not another's private one"],
    [{ userId: '200' }, 'bd', 'by owner'],
    [{ instanceIds: ['dsw-a', 'dsw-d', 'dsw-x'] }, 'ad', 'by ids'],
    [{ nameContains: 'RAIN' }, 'ab', 'by a part of the name in any case'],
    [{ nameContains: 'n_b' }, 'b', 'an underscore is itself'],
    [{ nameContains: '%' }, '', 'a percent sign is itself'],
    [{ nameContains: '\\' }, '', 'a backslash is itself'],
    [{ imageNameContains: 'torch' }, 'c', 'by a part of the image name'],
    [{ status: 'Running' }, 'b', 'by status'],
    [{ accessibility: 'PUBLIC' }, 'b', 'by accessibility'],
    [{ acceleratorType: 'GPU' }, 'c', 'by accelerator'],
    [{ gpuType: 'a100' }, 'c', 'by a part of the GPU type in any case'],
    [{ paymentType: 'Subscription' }, 'd', 'by payment'],
    [{ resourceId: 'rg-1' }, 'd', 'by resource group'],
    [{ oversoldType: 'AcceptQuotaOverSold' }, 'd', 'by oversold type'],
    [{ cpuMilli: { min: 2000 } }, 'c', 'from so many CPUs'],
    [{ cpuMilli: { max: 1000 } }, 'abd', 'up to so many CPUs'],
    [{ memoryBytes: { min: 4 * GIB, max: 4 * GIB } }, 'c', 'memory, both ends belong to it'],
    [{ gpuCount: { min: 1 } }, 'c', 'from so many GPUs'],
    [{ gpuMemoryBytes: { min: 40 * GIB } }, 'c', 'by memory of the GPUs'],
    [{ createdMs: { min: 2, max: 3 } }, 'bc', 'by creation, both ends belong to it'],
    [{ labels: new Map([['team', 'x']]) }, 'ab', 'by a label'],
    [{ labels: new Map(Object.entries({ team: 'x', env: 'dev' })) }, 'a', 'by all of several labels'],
    [{ tags: new Map([['team', 'x']]) }, 'd', 'a tag is no label'],
    [{ labels: new Map([['team', 'x']]), userId: '200', status: 'Running' }, 'b', 'by everything at once'],
  ]
  test('lists and counts what the filter leaves', async (t) => {
    const store = await open()
    const { instances, instanceLabels } = store
    await instances.insert(anInstance({ instanceId: 'dsw-a', name: 'train_a', createdMs: 1 }))
    const b = { userId: '200', name: 'train_b', createdMs: 2, accessibility: 'PUBLIC', status: 'Running' } as const
    await instances.insert(anInstance({ instanceId: 'dsw-b', ...b }))
    const gpu = { acceleratorType: 'GPU', gpuCount: 1, gpuType: 'NVIDIA A100', gpuMemoryBytes: 40 * GIB } as const
    const c = { createdMs: 3, imageName: 'pytorch:2', cpuMilli: 8000, memoryBytes: 4 * GIB, ...gpu }
    await instances.insert(anInstance({ instanceId: 'dsw-c', ...c }))
    const sold = { paymentType: 'Subscription', resourceId: 'rg-1', oversoldType: 'AcceptQuotaOverSold' } as const
    await instances.insert(anInstance({ instanceId: 'dsw-d', createdMs: 4, userId: '200', workspaceId: '2', ...sold }))
    await instanceLabels.put('dsw-a', 'label', new Map(Object.entries({ team: 'x', env: 'dev' })))
    await instanceLabels.put('dsw-b', 'label', new Map([['team', 'x']]))
    await instanceLabels.put('dsw-d', 'tag', new Map([['team', 'x']]))
    for (const [filter, expected, reason] of rows)
      await t.test(reason, async () => {
        const { instances: found, total } = await instances.list(filter, PAGE)
        assert.equal(found.map(({ instanceId }) => instanceId.slice(4)).join(''), expected)
        assert.equal(total, expected.length)
      })
  })

  test('pages follow each other without gaps, in both orders and by every column', async () => {
    const { instances } = await open()
    for (const [index, id] of ['dsw-a', 'dsw-b', 'dsw-c', 'dsw-d', 'dsw-e'].entries())
      await instances.insert(anInstance({ instanceId: id, createdMs: 5, modifiedMs: 9 - index, priority: index % 2 }))
    for (const [sortBy, expected] of [
      ['createdMs', 'abcde'],
      ['modifiedMs', 'edcba'],
      ['priority', 'acebd'],
    ] as const)
      for (const order of ['asc', 'desc'] as const) {
        const seen: string[] = []
        for (let offset = 0; offset < 6; offset += 2) {
          const { instances: found, total } = await instances.list({}, { sortBy, order, offset, limit: 2 })
          seen.push(...found.map(({ instanceId }) => instanceId.slice(4)))
          assert.equal(total, 5)
        }
        const forward = order === 'asc' ? seen : seen.toReversed()
        assert.equal(forward.join(''), expected)
      }
  })

  test('the total follows inserts, deletions and changes of what it is counted by', async () => {
    const { instances } = await open()
    const total = async (filter: InstanceFilter) => (await instances.list(filter, PAGE)).total
    await instances.insert(anInstance())
    await instances.insert(anInstance({ instanceId: 'dsw-b', userId: '200' }))
    assert.equal(await total({ visibleTo: '100' }), 1)
    await instances.update({ instanceId: 'dsw-b', version: 1 }, { accessibility: 'PUBLIC' })
    assert.equal(await total({ visibleTo: '100' }), 2)
    await instances.remove({ instanceId: 'dsw-a', version: 1 })
    assert.deepEqual([await total({ visibleTo: '100' }), await total({ workspaceId: '9' })], [1, 0])
  })

  test('what is used and what there is, by status and workspace', async () => {
    const { instances } = await open()
    await instances.insert(anInstance({ status: 'Running', cpuMilli: 500, gpuCount: 1 }))
    await instances.insert(anInstance({ instanceId: 'dsw-b', status: 'Starting', cpuMilli: null, memoryBytes: null }))
    await instances.insert(anInstance({ instanceId: 'dsw-c', userId: '200' }))
    assert.deepEqual(await instances.used(), { cpuMilli: 500, memoryBytes: 2 ** 31, gpuCount: 1 })
    for (let i = 0; i < 9; i++)
      await instances.insert(anInstance({ instanceId: `dsw-big-${i}`, status: 'Starting', memoryBytes: 2 ** 50 }))
    assert.equal((await instances.used()).memoryBytes, 9 * 2 ** 50 + 2 ** 31, 'more than 2^53')
    for (let i = 0; i < 9; i++) await instances.remove({ instanceId: `dsw-big-${i}`, version: 1 })
    const byStatus = async (visibleTo?: string) =>
      Object.fromEntries(
        (await instances.statistics(['1', '2'], visibleTo)).map((row) => [row.status, Number(row.total)]),
      )
    assert.deepEqual(await byStatus(), { Running: 1, Starting: 1, Stopped: 1 })
    assert.deepEqual(await byStatus('100'), { Running: 1, Starting: 1 })
    assert.deepEqual(Object.fromEntries(await instances.countByStatus()), { Running: 1, Starting: 1, Stopped: 1 })
    const running = await instances.inStatus(['Running', 'Saving'])
    assert.deepEqual(
      running.map(({ instanceId }) => instanceId),
      ['dsw-a'],
    )
  })
})
