import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachStore } from '#lab/stores.ts'
import type { AuditEntry } from '#store/audit.ts'

const entry = (action: string, timeMs = 1_000): AuditEntry => ({
  timeMs,
  requestId: 'R',
  principalArn: 'acs:ram::1:root',
  accessKeyId: 'k',
  action,
  resource: '*',
  outcome: 'allowed',
  code: '',
  sourceIp: '127.0.0.1',
})
const isUsed = { code: 'nonce_used', message: /nonce was used already/ }

forEachStore('nonces', (open) => {
  test('a nonce is used once for each key', async () => {
    const { nonces } = await open()
    await nonces.use({ accessKeyId: 'k1', nonce: 'n', expiresMs: 10 })
    await assert.rejects(nonces.use({ accessKeyId: 'k1', nonce: 'n', expiresMs: 99 }), isUsed)
    assert.equal(await nonces.isUsed({ accessKeyId: 'k1', nonce: 'n' }), true)
    assert.equal(await nonces.isUsed({ accessKeyId: 'k2', nonce: 'n' }), false)
    await nonces.use({ accessKeyId: 'k2', nonce: 'n', expiresMs: 10 })
    await nonces.use({ accessKeyId: 'k1', nonce: 'N', expiresMs: 10 })
  })

  test('of twenty that use one nonce at the same time, in two replicas, one gets through', async () => {
    const one = await open()
    const other = await open({ sameAs: one })
    const nonce = { accessKeyId: 'k', nonce: 'n', expiresMs: 10 }
    const uses = Array.from({ length: 20 }, (_, index) => (index % 2 ? one : other).nonces.use(nonce))
    const ends = await Promise.allSettled(uses)
    assert.equal(ends.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const end of ends) if (end.status === 'rejected') assert.equal(end.reason.code, 'nonce_used')
  })

  test('what has expired is forgotten, and nothing else', async () => {
    const { nonces } = await open()
    for (const expiresMs of [9, 10, 11]) await nonces.use({ accessKeyId: 'k', nonce: `n${expiresMs}`, expiresMs })
    assert.equal(await nonces.sweep(10), 1)
    await nonces.use({ accessKeyId: 'k', nonce: 'n9', expiresMs: 99 })
    await assert.rejects(nonces.use({ accessKeyId: 'k', nonce: 'n10', expiresMs: 99 }), isUsed)
  })

  test('a nonce is still used after the server was started again', async () => {
    const first = await open()
    await first.nonces.use({ accessKeyId: 'k', nonce: 'n', expiresMs: 10 })
    await first[Symbol.asyncDispose]()
    const second = await open({ sameAs: first })
    await assert.rejects(second.nonces.use({ accessKeyId: 'k', nonce: 'n', expiresMs: 10 }), isUsed)
  })
})

forEachStore('audit', (open) => {
  test('entries come back latest first, page by page', async () => {
    const { audit } = await open()
    await audit.insert([])
    await audit.insert([entry('a'), entry('b')])
    await audit.insert([entry('c')])
    const page = await audit.list({ limit: 2 })
    assert.deepEqual(
      page.map(({ action }) => action),
      ['c', 'b'],
    )
    const { id, ...rest } = page[1]!
    assert.deepEqual(rest, entry('b'))
    const last = await audit.list({ limit: 2, beforeId: id })
    assert.deepEqual(
      last.map(({ action }) => action),
      ['a'],
    )
  })

  test('old entries are forgotten; their ids are not given again', async () => {
    const { audit } = await open()
    await audit.insert([entry('old', 1), entry('new', 2)])
    const [{ id } = { id: 0 }] = await audit.list({ limit: 1 })
    assert.equal(await audit.sweep(2), 1)
    assert.equal(await audit.sweep(9), 1)
    await audit.insert([entry('later')])
    assert.ok((await audit.list({ limit: 9 }))[0]!.id > id)
  })
})

forEachStore('leases', (open) => {
  const NOW = 1_000_000
  const request = (owner: string, nowMs: number) => ({ name: 'loop', owner, nowMs, expiresMs: nowMs + 10 })

  test('one owner at a time, and each new one has a higher fence', async () => {
    const { leases } = await open()
    const a = await leases.acquire(request('a', NOW))
    assert.deepEqual(a, { name: 'loop', owner: 'a', fence: 1 })
    assert.equal(await leases.acquire(request('b', NOW + 9)), undefined)
    assert.equal(await leases.renew(a, NOW + 20), true)
    assert.equal(await leases.acquire(request('b', NOW + 19)), undefined)
    const b = await leases.acquire(request('b', NOW + 20))
    assert.deepEqual(b, { name: 'loop', owner: 'b', fence: 2 })
    assert.equal(await leases.renew(a, NOW + 99), false, 'the old owner learns that it was too slow')
    assert.equal(await leases.renew(b!, NOW + 30), true)
  })

  test('a lease that was given back may be taken at once, and its fence goes on', async () => {
    const { leases } = await open()
    const a = await leases.acquire(request('a', NOW))
    await leases.release(a!)
    assert.equal((await leases.acquire(request('b', NOW)))?.fence, 2)
    await leases.release(a!)
    assert.equal(await leases.acquire(request('c', NOW)), undefined, 'who lost it cannot give it back')
  })

  test('an owner that asks again gets a new fence: what it did before does not count any more', async () => {
    const { leases } = await open()
    const first = await leases.acquire(request('a', NOW))
    const second = await leases.acquire(request('a', NOW))
    assert.equal(second?.fence, 2)
    assert.equal(await leases.renew(first!, NOW + 99), false)
  })

  test('of many that ask at the same time, in two replicas, one gets it', async () => {
    const one = await open()
    const other = await open({ sameAs: one })
    for (let round = 1; round <= 5; round++) {
      const asked = Array.from({ length: 10 }, (_, index) =>
        (index % 2 ? one : other).leases.acquire(request(`owner ${round} ${index}`, NOW + round * 10)),
      )
      const held = (await Promise.all(asked)).filter((lease) => lease !== undefined)
      assert.deepEqual(
        held.map(({ fence }) => fence),
        [round],
      )
    }
  })
})
