import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachStore } from '#lab/stores.ts'
import type { NewSchedule } from './schedules.ts'

const NEW: NewSchedule = {
  scheduleId: 'sch-1',
  instanceId: 'dsw-1',
  userId: '7',
  cron: '0 3 * * *',
  timeZone: 'Europe/Berlin',
  repository: 'r.example.com/a',
  excludePaths: ['/tmp'],
  keepLast: 3,
  keepDays: undefined,
  enabled: true,
  nextMs: 5_000,
}
const ALL = { offset: 0, limit: 10 }

forEachStore('schedules', (open) => {
  test('a schedule is made, found, changed and removed', async () => {
    const { schedules } = await open()
    await schedules.insert(NEW, 1_000)
    const expected = { ...NEW, lastSnapshotId: undefined, createdMs: 1_000, modifiedMs: 1_000 }
    assert.deepEqual(await schedules.find('sch-1'), expected)
    const change = { keepLast: undefined, keepDays: 7, enabled: false, excludePaths: [], timeZone: 'UTC' }
    assert.equal(await schedules.update('sch-1', change, 2_000), true)
    await schedules.setLast('sch-1', 'snp-1')
    assert.deepEqual(await schedules.find('sch-1'), {
      ...expected,
      ...change,
      modifiedMs: 2_000,
      lastSnapshotId: 'snp-1',
    })
    assert.equal(await schedules.update('sch-1', { cron: '1 1 * * *' }, 3_000), true)
    assert.deepEqual((await schedules.find('sch-1'))?.keepDays, 7, 'what is not named stays')
    assert.equal(await schedules.update('sch-2', change, 2_000), false)
    assert.equal(await schedules.remove('sch-1'), true)
    assert.equal(await schedules.remove('sch-1'), false)
  })

  test('those that are due, the longest overdue first; each moves on once', async () => {
    const store = await open()
    const replica = await open({ sameAs: store })
    const { schedules } = store
    await schedules.insert(NEW, 1_000)
    await schedules.insert({ ...NEW, scheduleId: 'sch-2', nextMs: 4_000 }, 1_000)
    await schedules.insert({ ...NEW, scheduleId: 'sch-3', enabled: false, nextMs: 1 }, 1_000)
    const due = async (nowMs: number) => (await schedules.due(nowMs, 10)).map(({ scheduleId }) => scheduleId).join()
    assert.equal(await due(3_999), '')
    assert.equal(await due(5_000), 'sch-2,sch-1')
    const read = { scheduleId: 'sch-2', nextMs: 4_000, modifiedMs: 1_000 }
    const moved = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? store : replica).schedules.advance(read, 9_000)),
    )
    assert.equal(moved.filter(Boolean).length, 1)
    assert.equal(await due(5_000), 'sch-1')
    const [one] = await schedules.due(5_000, 10)
    await schedules.update('sch-1', { repository: 'r.example.com/other' }, 2_000)
    assert.equal(await schedules.advance(one!, 9_000), false, 'it is not what was read any more')
    const [again] = await schedules.due(5_000, 10)
    await schedules.update('sch-1', { enabled: false }, 2_000)
    assert.equal(await schedules.advance(again!, 9_000), false, 'it is off')
    await schedules.update('sch-1', { enabled: true }, 2_000)
    assert.equal(await schedules.advance(again!, undefined), true)
    assert.equal((await schedules.find('sch-1'))?.enabled, false, 'there is no next time')
  })

  test('lists are of one instance, of one user or of all', async () => {
    const { schedules } = await open()
    await schedules.insert(NEW, 1_000)
    await schedules.insert({ ...NEW, scheduleId: 'sch-2', instanceId: 'dsw-2' }, 1_000)
    await schedules.insert({ ...NEW, scheduleId: 'sch-3', userId: '8', keepLast: undefined }, 1_000)
    const list = async (filter: { instanceId?: string; userId?: string; limit?: number; offset?: number }) => {
      const { schedules: found, total } = await schedules.list({ ...ALL, ...filter })
      return `${found.map(({ scheduleId }) => scheduleId).join()} of ${total}`
    }
    assert.equal(await list({}), 'sch-1,sch-2,sch-3 of 3')
    assert.equal(await list({ offset: 1, limit: 1 }), 'sch-2 of 3')
    assert.equal(await list({ instanceId: 'dsw-1' }), 'sch-1,sch-3 of 2')
    assert.equal(await list({ userId: '7', instanceId: 'dsw-1' }), 'sch-1 of 1')
    assert.deepEqual((await schedules.withRetention('', 10)).map(({ scheduleId }) => scheduleId).join(), 'sch-1,sch-2')
    assert.deepEqual((await schedules.withRetention('sch-1', 10)).length, 1)
  })
})

forEachStore('registries', (open) => {
  test('a registry is made, found, changed and removed', async () => {
    const { registries } = await open()
    const registry = { host: 'r.example.com:5000', plainHttp: true, userNameEncrypted: 'x', passwordEncrypted: null }
    assert.equal(await registries.insert(registry, 1_000), true)
    assert.equal(await registries.insert(registry, 1_000), false)
    assert.deepEqual(await registries.find(registry.host), { ...registry, createdMs: 1_000, modifiedMs: 1_000 })
    assert.equal(await registries.update(registry.host, { passwordEncrypted: 'y' }, 2_000), true)
    assert.equal(await registries.update('other', { plainHttp: true }, 2_000), false)
    assert.equal(await registries.update(registry.host, { plainHttp: false }, 3_000), true)
    const [found] = await registries.list()
    assert.deepEqual([found?.plainHttp, found?.passwordEncrypted, found?.modifiedMs], [false, 'y', 3_000])
    assert.equal(await registries.remove(registry.host), true)
    assert.equal(await registries.remove(registry.host), false)
    assert.deepEqual(await registries.list(), [])
  })
})
