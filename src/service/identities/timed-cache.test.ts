import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#lab/stores.ts'
import { TimedCache } from './timed-cache.ts'

function counting(maxEntries = 10) {
  const clock = new TestClock()
  const loads: string[] = []
  const load = async (key: string) => {
    loads.push(key)
    return `${key}${loads.length}`
  }
  return { clock, loads, cache: new TimedCache(load, { ttlMs: 1_000, maxEntries, clock }) }
}

test('a value is loaded once in its time, and anew after it', async () => {
  const { clock, loads, cache } = counting()
  assert.deepEqual(await Promise.all([cache.get('a'), cache.get('a')]), ['a1', 'a1'])
  clock.pass(999)
  assert.equal(await cache.get('a'), 'a1')
  clock.pass(1)
  assert.equal(await cache.get('a'), 'a2')
  assert.deepEqual(loads, ['a', 'a'])
})

test('what was loading when everything was forgotten does not count for those who ask later', async () => {
  const values = ['old', 'new']
  const { promise, resolve } = Promise.withResolvers<void>()
  const load = async () => {
    const value = values.shift()
    await promise
    return value
  }
  const cache = new TimedCache(load, { ttlMs: 1_000, maxEntries: 10, clock: new TestClock() })
  const before = cache.get('a')
  cache.clear()
  const after = cache.get('a')
  resolve()
  assert.deepEqual(await Promise.all([before, after, cache.get('a')]), ['old', 'new', 'new'])
})

test('a failure is told to all who wait for it, and not kept', async () => {
  let failures = 1
  const load = async () => {
    if (failures-- > 0) throw new Error('away')
    return 'there'
  }
  const cache = new TimedCache(load, { ttlMs: 1_000, maxEntries: 10, clock: new TestClock() })
  const [one, other] = await Promise.allSettled([cache.get('a'), cache.get('a')])
  assert.deepEqual([one.status, other.status], ['rejected', 'rejected'])
  assert.equal(await cache.get('a'), 'there')
})

test('names without end do not fill the memory', async () => {
  const { loads, cache } = counting(3)
  for (const key of ['a', 'b', 'c', 'd']) await cache.get(key)
  await cache.get('d')
  assert.equal(loads.length, 4)
  await cache.get('a')
  assert.equal(loads.length, 5)
})
