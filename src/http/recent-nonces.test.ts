import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RecentNonces } from './recent-nonces.ts'

const WINDOW_MS = 15 * 60_000
const NOW = 1_800_000_000_000

test('a nonce is good once', () => {
  const nonces = new RecentNonces({ windowMs: WINDOW_MS })
  assert.deepEqual([nonces.use('key a', NOW, NOW), nonces.use('key a', NOW, NOW)], [true, false])
  assert.ok(nonces.use('other a', NOW, NOW), 'another key may use the same one')
})

test('a repeated request is known as long as its date is accepted, wherever in the window the date lies', () => {
  const offset = fc.integer({ min: -WINDOW_MS, max: WINDOW_MS })
  fc.assert(
    fc.property(offset, fc.nat(2 * WINDOW_MS), fc.array(offset, { maxLength: 50 }), (skew, later, others) => {
      const nonces = new RecentNonces({ windowMs: WINDOW_MS })
      const dateMs = NOW + skew
      assert.ok(nonces.use('mine', dateMs, NOW))
      others.forEach((other, i) => nonces.use(`other ${i}`, NOW + later + other, NOW + later))
      fc.pre(Math.abs(NOW + later - dateMs) <= WINDOW_MS)
      assert.equal(nonces.use('mine', dateMs, NOW + later), false)
    }),
  )
})

test('what is too old is forgotten, and its memory given back', () => {
  const nonces = new RecentNonces({ windowMs: WINDOW_MS })
  for (let minute = 0; minute < 100; minute++) {
    const nowMs = NOW + minute * 60_000
    nonces.use(`at ${minute}`, nowMs, nowMs)
    assert.ok(nonces.size <= 17)
  }
})

test('too many: the oldest are dropped first, and the number stays bounded', () => {
  const nonces = new RecentNonces({ windowMs: WINDOW_MS, max: 100 })
  for (let i = 0; i < 60; i++) nonces.use(`old ${i}`, NOW - 120_000, NOW)
  for (let i = 0; i < 60; i++) nonces.use(`new ${i}`, NOW, NOW)
  assert.ok(nonces.size <= 100)
  assert.equal(nonces.use('new 0', NOW, NOW), false)
  assert.equal(nonces.use('new 59', NOW, NOW), false)
})
