import assert from 'node:assert/strict'
import { test } from 'node:test'
import { abortLater, sleep, throwIfAborted } from './abort.ts'
import { AppError } from './errors.ts'

const reason = new AppError('cancelled', 'Cancelled by SIGINT.')

test('what fired with a reason of ours throws that, anything else `cancelled`', () => {
  throwIfAborted(undefined)
  throwIfAborted(new AbortController().signal)
  assert.throws(() => throwIfAborted(AbortSignal.abort(reason)), reason)
  assert.throws(() => throwIfAborted(AbortSignal.abort()), { code: 'cancelled' })
})

test('a sleep ends when its signal fires', async () => {
  const controller = new AbortController()
  const sleeping = sleep(60_000, controller.signal)
  controller.abort(reason)
  await assert.rejects(sleeping, reason)
})

for (const isBefore of [true, false])
  test(`what is to end once it has begun is aborted later than the signal that ${isBefore ? 'had fired' : 'fires'}`, async () => {
    const controller = new AbortController()
    if (isBefore) controller.abort(reason)
    const later = abortLater(controller.signal, 20)
    if (!isBefore) controller.abort(reason)
    assert.equal(later.aborted, false)
    await assert.rejects(sleep(60_000, later), reason)
  })
