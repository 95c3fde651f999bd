import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { BatchWriter } from './batch-writer.ts'

const neverLost = (error: AppError) => assert.fail(error)
const away = () => new AppError('store_unavailable', 'Away.')

test('what is added is written together, in order, without anybody asking', async () => {
  const { promise, resolve } = Promise.withResolvers<readonly number[]>()
  const writer = new BatchWriter<number>(async (entries) => resolve(entries), { delayMs: 1, onLost: neverLost })
  // The timer does not keep a process alive that has nothing else to do: something else is this one.
  const alive = setInterval(() => {}, 1_000)
  for (const entry of [1, 2, 3]) writer.add(entry)
  assert.deepEqual(await promise, [1, 2, 3])
  clearInterval(alive)
})

test('flush waits for everything, in batches that are not too large', async () => {
  const batches: (readonly number[])[] = []
  const write = async (entries: readonly number[]) => void batches.push(entries)
  const writer = new BatchWriter<number>(write, { maxBatch: 2, onLost: neverLost })
  for (const entry of [1, 2, 3, 4, 5]) writer.add(entry)
  await writer.flush()
  assert.deepEqual(batches, [[1, 2], [3, 4], [5]])
  await writer.flush()
  assert.equal(batches.length, 3)
})

test('what is added during a write comes after it, and a dispose waits for it', async () => {
  const written: number[] = []
  let added = false
  const writer: BatchWriter<number> = new BatchWriter(
    async (entries) => {
      if (!added) writer.add(2)
      added = true
      await Promise.resolve()
      written.push(...entries)
    },
    { onLost: neverLost },
  )
  writer.add(1)
  await writer[Symbol.asyncDispose]()
  assert.deepEqual(written, [1, 2])
})

test('a database that is away for a moment loses nothing', async () => {
  let failures = 2
  const written: number[] = []
  const write = async (entries: readonly number[]) => {
    if (failures-- > 0) throw away()
    written.push(...entries)
  }
  const writer = new BatchWriter<number>(write, { delayMs: 1, onLost: neverLost })
  writer.add(1)
  await writer.flush()
  assert.deepEqual(written, [1])
})

const losses = [
  ['a database that stays away', away, 3],
  ['a mistake that trying again does not help', () => new Error('odd'), 1],
] as const
for (const [name, failure, attempts] of losses)
  test(`${name} loses the batch, tells how many, and holds up nobody`, async () => {
    let tried = 0
    const lost: number[] = []
    const write = async (entries: readonly number[]) => {
      if (entries.includes(1)) {
        tried++
        throw failure()
      }
    }
    const writer = new BatchWriter<number>(write, { delayMs: 1, maxBatch: 2, onLost: (_, count) => lost.push(count) })
    for (const entry of [1, 2, 3]) writer.add(entry)
    await writer.flush()
    assert.deepEqual([tried, lost], [attempts, [2]])
  })

test('with ten batches waiting the oldest entries are given up, and counted', async () => {
  const written: number[] = []
  let lost = 0
  const write = async (entries: readonly number[]) => void written.push(...entries)
  const writer = new BatchWriter<number>(write, { maxBatch: 2, onLost: (_, count) => (lost += count) })
  for (let entry = 0; entry < 25; entry++) writer.add(entry)
  await writer.flush()
  assert.deepEqual([lost, written.length, written[0], written.at(-1)], [5, 20, 5, 24])
})
