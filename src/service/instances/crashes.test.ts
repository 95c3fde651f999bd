import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeRuntime } from '#lab/fake-runtime.ts'
import { ALICE, DRAFT, isStatus, openTestInstances, type TestInstances } from '#lab/instance-service.ts'
import { AheadClock, LEASE_MS } from '#lab/snapshots.ts'
import { forEachStore, type OpenTestStore } from '#lab/stores.ts'

/** What a server does until it is gone: it asks the engine, and then never comes back to write what it knows. */
type When = 'before' | 'after'

/** A server that hangs at the first call of this name, until the test is over: it writes nothing and renews nothing. */
function hangAt({ runtime, over }: Servers, call: string, when: When) {
  const hangs = Promise.withResolvers<void>()
  let isFirst = true
  runtime[when] = (each: string) => {
    if (each !== call || !isFirst) return undefined
    isFirst = false
    hangs.resolve()
    return over.promise
  }
  return hangs.promise
}

/** The lease of a dead server: nobody renews it, and it runs out when the test's clock says so. */
const DEAD = { times: { beatMs: 1_000_000, leaseMs: LEASE_MS } }

type Servers = Awaited<ReturnType<typeof twoServers>>

async function twoServers(open: OpenTestStore) {
  const clock = new AheadClock()
  const store = await open({ clock })
  const runtime = new FakeRuntime()
  const dead = openTestInstances(store, { runtime, parts: DEAD })
  const over = Promise.withResolvers<void>()
  return {
    runtime,
    dead,
    over,
    async next() {
      clock.pass(LEASE_MS)
      return openTestInstances(await open({ sameAs: store, clock }), { runtime })
    },
    async [Symbol.asyncDispose]() {
      over.resolve()
      await dead[Symbol.asyncDispose]()
    },
  }
}

const HEALTHY: (service: TestInstances, id: string) => Promise<void> = async (service, id) => {
  await service.until(id, isStatus('Running'))
  assert.equal(service.runtime.containers.get(id)?.state.status, 'running')
  assert.equal(service.runtime.containers.size, 1)
}

forEachStore('a server that dies', (open) => {
  for (const [call, when, reason] of [
    ['create', 'before', 'before the container is made'],
    ['create', 'after', 'when the container is made and not written down'],
    ['start', 'before', 'before the container is started'],
    ['start', 'after', 'when the container runs and nobody knows'],
    ['inspect', 'after', 'when it has seen it run and not written it down'],
  ] as const)
    test(`leaves a creation that the next one brings to its end: ${reason}`, async () => {
      await using servers = await twoServers(open)
      const { dead, next } = servers
      const hanging = hangAt(servers, call, when)
      const id = await dead.instances.create(DRAFT, ALICE)
      await hanging
      await using service = await next()
      await HEALTHY(service, id)
    })

  for (const when of ['before', 'after'] as const)
    test(`leaves a stop that the next one brings to its end: ${when} the engine has done it`, async () => {
      await using servers = await twoServers(open)
      const { runtime, dead, next } = servers
      const id = await dead.running()
      const hanging = hangAt(servers, 'stop', when)
      await dead.instances.stopOne(id, ALICE)
      await hanging
      await using service = await next()
      await service.until(id, isStatus('Stopped'))
      assert.equal(runtime.containers.get(id)?.state.status, 'exited')
    })

  for (const when of ['before', 'after'] as const)
    test(`leaves a deletion that the next one brings to its end: ${when} the engine has done it`, async () => {
      await using servers = await twoServers(open)
      const { runtime, dead, next } = servers
      const id = await dead.running()
      const hanging = hangAt(servers, 'remove', when)
      await dead.instances.deleteOne(id, ALICE)
      await hanging
      await using service = await next()
      await service.until(id, (record) => record === undefined)
      assert.deepEqual([runtime.containers.size, runtime.volumes.size], [0, 0])
    })

  test('and comes back writes nothing: its lease has another fence', async () => {
    const clock = new AheadClock()
    const store = await open({ clock })
    const runtime = new FakeRuntime()
    const hangs = Promise.withResolvers<void>()
    const back = Promise.withResolvers<void>()
    let isFirst = true
    runtime.before = (call) => {
      if (call !== 'create' || !isFirst) return undefined
      isFirst = false
      hangs.resolve()
      return back.promise
    }
    const slow = openTestInstances(store, { runtime, parts: DEAD })
    const id = await slow.instances.create(DRAFT, ALICE)
    await hangs.promise
    clock.pass(LEASE_MS)
    await using service = openTestInstances(await open({ sameAs: store, clock }), { runtime })
    await HEALTHY(service, id)
    const before = await service.until(id, (record) => record?.leaseExpiresMs === 0)
    back.resolve()
    await slow[Symbol.asyncDispose]()
    assert.deepEqual(await store.instances.find(id), before)
  })

  test('or ends in good order hands its work over at once', async () => {
    const store = await open()
    const runtime = new FakeRuntime()
    const hangs = Promise.withResolvers<void>()
    let isFirst = true
    runtime.before = (call, _id, signal) => {
      if (call !== 'create' || !isFirst) return undefined
      isFirst = false
      hangs.resolve()
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))))
    }
    const first = openTestInstances(store, { runtime, parts: { times: { leaseMs: 3_600_000 } } })
    const id = await first.instances.create(DRAFT, ALICE)
    await hangs.promise
    await first[Symbol.asyncDispose]()
    assert.equal((await store.instances.find(id))?.status, 'EnvPreparing')
    await using service = openTestInstances(await open({ sameAs: store }), { runtime })
    await HEALTHY(service, id)
  })

  test('of two servers each instance has one', async () => {
    const store = await open()
    const runtime = new FakeRuntime()
    await using one = openTestInstances(store, { runtime })
    await using other = openTestInstances(await open({ sameAs: store }), { runtime })
    const ids = await Promise.all(
      Array.from({ length: 6 }, (_, index) => (index % 2 ? one : other).instances.create(DRAFT, ALICE)),
    )
    for (const id of ids) await one.until(id, isStatus('Running'))
    const creations = runtime.calls.filter((call) => call.startsWith('create'))
    assert.equal(creations.length, 6)
  })
})
