import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import type { HttpResponse } from './http.ts'
import { backoffMs, isBusy, retryAfterMs, sendWithRetries, waitMs } from './retry.ts'
import type { Pace } from './retry.ts'

const NOW = Date.UTC(2026, 10, 24, 12)

function paced(random = 0.5) {
  const waits: number[] = []
  const clock = { wallNs: () => BigInt(NOW) * 1_000_000n, wallMs: () => NOW, monotonicMs: () => 0 }
  const pace: Pace = { clock, sleep: async (ms) => void waits.push(ms), random: () => random }
  return { pace, waits }
}

const answer = (status: number, retryAfter?: string) => {
  const state = { discarded: false }
  const response: HttpResponse = {
    status,
    headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter },
    url: new URL('https://r.example.com/'),
    isEarly: false,
    body: (async function* () {})(),
    read: async () => ({ bytes: Buffer.alloc(0), isComplete: true }),
    discard: async () => void (state.discarded = true),
  }
  return Object.assign(response, { state })
}

const AFTER = [
  ['3', 3000, 'seconds'],
  ['Tue, 24 Nov 2026 12:00:10 GMT', 10_000, 'a date'],
  ['Tue, 24 Nov 2026 11:00:00 GMT', 0, 'a date that is past'],
  ['soon', undefined, 'nonsense'],
  ['-3', undefined, 'a negative number'],
] as const

for (const [value, expected, why] of AFTER)
  test(`Retry-After: ${value} (${why})`, () => {
    assert.equal(retryAfterMs(answer(429, value), paced().pace), expected)
  })

test('waits double, with jitter of a half in each direction', () => {
  assert.deepEqual(
    [2, 3, 4, 5].map((next) => backoffMs(next, paced(0.5).pace)),
    [1000, 2000, 4000, 8000],
  )
  assert.equal(backoffMs(2, paced(0).pace), 500)
})

test('what is asked for is waited for, but not for ever, and not beyond the fifth try', () => {
  const { pace } = paced()
  assert.equal(waitMs(answer(429, '10'), 2, pace), 10_500)
  assert.equal(waitMs(answer(429, '3600'), 2, pace), undefined)
  assert.equal(waitMs(answer(429, '1'), 6, pace), undefined)
})

test('busy is busy, refused is refused', () => {
  for (const status of [408, 429, 500, 502, 503, 504]) assert.ok(isBusy(status), String(status))
  for (const status of [200, 400, 401, 404, 413, 501, 524]) assert.ok(!isBusy(status), String(status))
})

test('busy answers are dropped and the request is sent again, until there is another answer', async () => {
  const { pace, waits } = paced()
  const answers = [answer(503), answer(429, '2'), answer(200)]
  const sent = answers.values()
  const response = await sendWithRetries(async () => sent.next().value!, { pace })
  assert.equal(response.status, 200)
  assert.deepEqual(waits, [1000, 2500])
  assert.deepEqual(
    answers.map(({ state }) => state.discarded),
    [true, true, false],
  )
})

test('after five tries the last answer stands', async () => {
  const { pace } = paced()
  let tries = 0
  const response = await sendWithRetries(async () => answer(503, String(++tries)), { pace })
  assert.equal(tries, 5)
  assert.equal(response.status, 503)
})

test('a cut connection is tried again, another error is not', async () => {
  const { pace } = paced()
  const cut = new AppError('registry_unavailable', 'cut', { details: { code: 'ECONNRESET' } })
  for (const [error, expected] of [
    [cut, 5],
    [new AppError('registry_denied', 'no'), 1],
  ] as const) {
    let tries = 0
    const send = async () => {
      tries++
      throw error
    }
    await assert.rejects(sendWithRetries(send, { pace }), error)
    assert.equal(tries, expected)
  }
})

test('a cancel ends it before the next try', async () => {
  const { pace } = paced()
  const cancel = new AbortController()
  let tries = 0
  const send = async () => {
    tries++
    cancel.abort()
    return answer(503)
  }
  await assert.rejects(sendWithRetries(send, { pace, signal: cancel.signal }), { code: 'cancelled' })
  assert.equal(tries, 1)
})
