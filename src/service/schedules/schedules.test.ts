import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { finish, follow, openServer, openWorld } from '#lab/snapshot-world.ts'
import type { PlayedWorld } from '#lab/snapshots.ts'
import { forEachStore, TestClock } from '#lab/stores.ts'
import type { OpenTestStore } from '#lab/stores.ts'
import type { Snapshots } from '#service/snapshots/snapshots.ts'
import { firstTime, nextTime } from './cron.ts'
import { retainAll, tooMany } from './retention.ts'
import { openSchedules } from './schedules.ts'
import type { CreateSchedule } from './schedules.ts'

const DAY_MS = 86_400_000
const at = (text: string) => Date.parse(text)

const TIMES: readonly (readonly [string, string, string, string, string])[] = [
  ['every day at three', '0 3 * * *', 'UTC', '2026-11-20T03:00:00Z', '2026-11-21T03:00:00Z'],
  ['in a time zone', '0 3 * * *', 'Asia/Shanghai', '2026-11-20T03:00:00Z', '2026-11-20T19:00:00Z'],
  ['on working days', '30 18 * * 1-5', 'UTC', '2026-11-20T19:00:00Z', '2026-11-23T18:30:00Z'],
  ['every ten minutes', '*/10 * * * *', 'UTC', '2026-11-20T03:01:00Z', '2026-11-20T03:10:00Z'],
  ['in the hour that summer time leaves out: right after it', '30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-29T01:00:00Z'], // prettier-ignore
  ['on the last of February', '0 0 29 2 *', 'UTC', '2026-03-01T00:00:00Z', '2028-02-29T00:00:00Z'],
]
for (const [name, cron, timeZone, after, expected] of TIMES)
  test(`a schedule is due ${name}`, () => {
    assert.equal(new Date(nextTime(cron, timeZone, at(after)) ?? 0).toISOString().replace('.000', ''), expected)
  })

test('in the hour that comes twice it is due once', () => {
  const first = nextTime('30 2 * * *', 'Europe/Berlin', at('2026-10-24T12:00:00Z')) ?? 0
  const second = nextTime('30 2 * * *', 'Europe/Berlin', first) ?? 0
  assert.ok(second - first > 23 * 3_600_000)
})

const REFUSED: readonly (readonly [string, string, string, string])[] = [
  ['six fields', '0 0 3 * * *', 'UTC', 'Cron'],
  ['words', 'daily', 'UTC', 'Cron'],
  ['nothing', '', 'UTC', 'Cron'],
  ['minute 60', '60 * * * *', 'UTC', 'Cron'],
  ['a day that never comes', '0 0 30 2 *', 'UTC', 'Cron'],
  ['a zone that is none', '0 3 * * *', 'Mars/Olympus', 'TimeZone'],
]
for (const [name, cron, timeZone, field] of REFUSED)
  test(`no schedule: ${name}`, () => {
    const refusal = { code: 'parameter_invalid', message: new RegExp(`^${field}`) }
    assert.throws(() => firstTime(cron, timeZone, at('2026-11-20T00:00:00Z')), refusal)
  })

const KEPT: readonly (readonly [string, number | undefined, number | undefined, string])[] = [
  ['without a limit all', undefined, undefined, '0 1 2 3 4'],
  ['the last two', 2, undefined, '0 1'],
  ['those of two days', undefined, 2, '0 1 2'],
  ['the stricter of both', 4, 1, '0 1'],
  ['always the newest', undefined, 0, '0'],
  ['as many as there are', 9, undefined, '0 1 2 3 4'],
]
for (const [name, keepLast, keepDays, expected] of KEPT)
  test(`a schedule keeps ${name}`, () => {
    const nowMs = 100 * DAY_MS
    const saved = [0, 1, 2, 3, 4].map((n) => ({ instanceId: 'i', snapshotId: `${n}`, createdMs: nowMs - n * DAY_MS }))
    const gone = tooMany(saved, { keepLast, keepDays }, nowMs)
    assert.equal(saved.filter((one) => !gone.includes(one)).map(({ snapshotId }) => snapshotId).join(' '), expected) // prettier-ignore
  })

const NEW: CreateSchedule = {
  instanceId: 'dsw-1',
  userId: '7',
  cron: '0 3 * * *',
  timeZone: 'UTC',
  repository: 'r.example.com/team/app',
  excludePaths: ['/tmp'],
  enabled: true,
}

function openAll(world: PlayedWorld, snapshots: Snapshots, change: { owner?: string; mayPush?: boolean } = {}) {
  const clock = new TestClock(at('2026-11-20T00:00:00Z'))
  const logged: string[] = []
  const { owner = 'one', mayPush = true } = change
  const schedules = openSchedules({
    store: world.store,
    snapshots,
    findInstance: world.instances.find,
    checkRegistry: (host) => world.registries.accessTo(host),
    mayPush: async () => mayPush,
    clock,
    log: (sentence, details) => logged.push(`${sentence} ${details['message'] ?? ''}`),
    owner,
    times: { tickMs: 5, leaseMs: DAY_MS * 365 },
  })
  return { schedules, clock, logged }
}

async function setUp(open: OpenTestStore) {
  const world = await openWorld(open)
  const server = openServer(world)
  return { world, server, ...openAll(world, server) }
}

/** When something is so, looked at again and again. */
async function until(is: () => boolean | Promise<boolean>) {
  while (!(await is())) await new Promise((resolve) => setTimeout(resolve, 2))
}

forEachStore('schedules', (open) => {
  test('what came due is saved under a fresh tag, what was missed once', async () => {
    const { world, server, schedules, clock } = await setUp(open)
    const { scheduleId, nextMs } = await schedules.create(NEW)
    assert.equal(new Date(nextMs).toISOString(), '2026-11-20T03:00:00.000Z')
    clock.pass(10 * DAY_MS)
    schedules.start()
    const run = await world.runtime.nextRun()
    assert.match(run.request.reference, /^r\.example\.com\/team\/app:auto-\d{8}-\d{6}-[0-9a-f]{4}$/)
    await finish(run, world)
    await until(async () => (await schedules.get(scheduleId)).lastSnapshotId !== undefined)
    const found = await schedules.get(scheduleId)
    assert.equal(new Date(found.nextMs).toISOString(), '2026-11-30T03:00:00.000Z')
    const { last } = await follow(server, found.lastSnapshotId ?? '')
    assert.deepEqual([last.status, last.origin, last.scheduleId, last.userId], ['Saved', 'schedule', scheduleId, '7'])
    assert.equal(world.runtime.runs.length, 1)
    await schedules[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  test('one that is not finished is waited for, a stopped instance too; both are told', async () => {
    const { world, server, schedules, clock, logged } = await setUp(open)
    await schedules.create(NEW)
    schedules.start()
    clock.pass(DAY_MS)
    await world.runtime.nextRun()
    clock.pass(DAY_MS)
    await until(() => logged.length === 1)
    await server[Symbol.asyncDispose]()
    assert.match(logged[0] ?? '', /not finished/)
    assert.equal(world.runtime.runs.length, 1)
    await schedules[Symbol.asyncDispose]()
  })

  test('an owner who lost the right saves nothing; a schedule of an instance that is gone goes', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { schedules, clock, logged } = openAll(world, server, { mayPush: false })
    const { scheduleId } = await schedules.create(NEW)
    schedules.start()
    clock.pass(DAY_MS)
    await until(() => logged.length === 1)
    assert.match(logged[0] ?? '', /may no longer save/)
    world.instances.remove('dsw-1')
    clock.pass(DAY_MS)
    await until(() => logged.length === 2)
    await schedules[Symbol.asyncDispose]()
    await assert.rejects(schedules.get(scheduleId), { code: 'schedule_not_found' })
    assert.equal(world.runtime.runs.length, 0)
  })

  test('of two servers one runs them, and the other one when that has ended', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const one = openAll(world, server)
    const two = openAll(world, server, { owner: 'two' })
    await one.schedules.create(NEW)
    one.clock.pass(DAY_MS)
    two.clock.pass(DAY_MS)
    one.schedules.start()
    two.schedules.start()
    await finish(await world.runtime.nextRun(), world)
    const { records } = await server.list('dsw-1', { descending: true, offset: 0, limit: 10 })
    assert.equal(records.length, 1)
    await follow(server, records[0]!.snapshotId)
    await one.schedules[Symbol.asyncDispose]()
    two.clock.pass(2 * DAY_MS)
    await world.runtime.nextRun()
    await two.schedules[Symbol.asyncDispose]()
  })

  test('what is kept no longer goes with its images, what is needed stays, and what cannot be deleted is told', async () => {
    const { world, server, schedules, clock, logged } = await setUp(open)
    const { scheduleId } = await schedules.create({ ...NEW, keepLast: 1 })
    const tags: string[] = []
    for (let n = 0; n < 3; n++) {
      const name = `auto-${n}`
      const request = { instanceId: 'dsw-1', userId: '7', name, description: '', labels: [], excludePaths: [] }
      const imageUrl = `r.example.com/team/app:${name}`
      const made = await server.create({ ...request, imageUrl, overwrite: false, origin: 'schedule', scheduleId })
      await finish(await world.runtime.nextRun(), world, name)
      await follow(server, made.snapshotId)
      tags.push(imageUrl)
    }
    world.instances.imagesInUse.add(tags[0]!)
    const parts = { store: world.store, snapshots: server, clock, log: (text: string) => logged.push(text) }
    await retainAll(parts, AbortSignal.timeout(60_000))
    assert.deepEqual([...world.registries.tags.keys()], [tags[0], tags[2]])
    assert.deepEqual(logged, [])
    const total = async () => (await server.list('dsw-1', { descending: true, offset: 0, limit: 10 })).total
    assert.equal(await total(), 2)
    world.instances.imagesInUse.clear()
    world.registries.failure = new AppError('registry_refused', 'It does not delete.')
    await retainAll(parts, AbortSignal.timeout(60_000))
    assert.deepEqual([logged.length, await total()], [1, 2])
    world.registries.failure = undefined
    await retainAll(parts, AbortSignal.timeout(60_000))
    assert.deepEqual([[...world.registries.tags.keys()], await total()], [[tags[2]], 1])
    await server[Symbol.asyncDispose]()
  })

  test('what its owner decides to keep while others are deleted stays', async () => {
    const { world, server, schedules, clock } = await setUp(open)
    const { scheduleId } = await schedules.create({ ...NEW, keepLast: 1 })
    const deleted: string[] = []
    const saved = [4, 3, 2, 1].map((n) => ({ instanceId: 'dsw-1', snapshotId: `snp-${n}`, createdMs: n }))
    const store = { ...world.store, snapshots: { ...world.store.snapshots, savedBySchedule: async () => saved } }
    const snapshots = {
      ...server,
      delete: async (_: string, snapshotId: string) => {
        deleted.push(snapshotId)
        clock.pass(1)
        if (snapshotId === 'snp-3') await schedules.update(scheduleId, { keepLast: 9 })
      },
    }
    await retainAll({ store, snapshots, clock, log: () => {} }, AbortSignal.timeout(60_000))
    assert.deepEqual(deleted, ['snp-3'])
    await server[Symbol.asyncDispose]()
  })

  test('a schedule is changed: what is left out stays, a new time counts from now', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { schedules } = openAll(world, server)
    const made = await schedules.create({ ...NEW, keepLast: 3 })
    await schedules.update(made.scheduleId, { timeZone: 'Asia/Shanghai' })
    const moved = await schedules.get(made.scheduleId)
    assert.deepEqual([moved.cron, moved.keepLast, new Date(moved.nextMs).toISOString()], ['0 3 * * *', 3, '2026-11-20T19:00:00.000Z']) // prettier-ignore
    await schedules.update(made.scheduleId, { enabled: false, excludePaths: [], keepDays: 5, repository: 'r.example.com/b' }) // prettier-ignore
    const off = await schedules.get(made.scheduleId)
    assert.deepEqual([off.enabled, off.excludePaths, off.keepDays, off.keepLast, off.repository], [false, [], 5, 3, 'r.example.com/b']) // prettier-ignore
    await schedules.update(made.scheduleId, { keepDays: 0, keepLast: 0 })
    const all = await schedules.get(made.scheduleId)
    assert.deepEqual([all.keepDays, all.keepLast], [undefined, undefined], '0 keeps all')
    await schedules.delete(made.scheduleId)
    for (const call of [() => schedules.delete(made.scheduleId), () => schedules.update(made.scheduleId, {})])
      await assert.rejects(call, { code: 'schedule_not_found' })
  })

  const WRONG: readonly (readonly [string, Partial<CreateSchedule>, string, RegExp])[] = [
    ['a tag', { repository: 'r.example.com/a:v1' }, 'parameter_invalid', /^ImageUrl.*tag/],
    ['a registry that is not allowed', { repository: 'evil.example.com/a' }, 'registry_not_allowed', /^ImageUrl/],
    ['a relative path', { excludePaths: ['tmp'] }, 'parameter_invalid', /^ExcludePaths/],
    ['an instance that is not there', { instanceId: 'dsw-9' }, 'instance_not_found', /dsw-9/],
    ['a bad time', { cron: 'x' }, 'parameter_invalid', /^Cron/],
  ]
  test('a schedule is refused, and the store is unchanged', async () => {
    const world = await openWorld(open)
    await using server = openServer(world)
    const { schedules } = openAll(world, server)
    for (const [reason, change, code, message] of WRONG)
      await assert.rejects(schedules.create({ ...NEW, ...change }), { code, message }, reason)
    assert.equal((await schedules.list({ offset: 0, limit: 10 })).total, 0)
    const made = await schedules.create(NEW)
    await assert.rejects(schedules.update(made.scheduleId, { repository: 'evil.example.com/a' }), AppError)
    assert.deepEqual(await schedules.get(made.scheduleId), made)
  })
})
