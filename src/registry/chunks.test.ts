import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { madeBlob } from '#lab/blobs.ts'
import { registryError, startFakeRegistry } from '#lab/fake-registry.ts'
import type { Answer, Cut } from '#lab/fake-registry.ts'
import { systemClock } from '#base/clock.ts'
import { ChunkReader } from './chunks.ts'
import { openRegistryRepository } from './registry.ts'

test('however bytes come, they are taken in the asked sizes, in order, and none is lost', async () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 60 }), async (given, size) => {
      const reader = new ChunkReader(
        (async function* () {
          yield* given
        })(),
      )
      const taken: Uint8Array[] = []
      for (let chunk = await reader.take(size); chunk.length > 0; chunk = await reader.take(size)) taken.push(chunk)
      assert.deepEqual(Buffer.concat(taken), Buffer.concat(given))
      assert.ok(taken.slice(0, -1).every((chunk) => chunk.length === size))
      assert.equal((await reader.take(size)).length, 0, 'the end stays the end')
    }),
  )
})

test('a reader that is left closes its source', async () => {
  let isClosed = false
  async function* source() {
    try {
      yield new Uint8Array(10)
      yield new Uint8Array(10)
    } finally {
      isClosed = true
    }
  }
  {
    await using reader = new ChunkReader(source())
    await reader.take(5)
  }
  assert.equal(isClosed, true)
})

const FAULTS: readonly (Answer | Cut)[] = [
  { cutAfterBytes: 0 },
  { cutAfterBytes: 300_000 },
  { status: 413 },
  registryError(416, 'RANGE_INVALID'),
  registryError(503, 'UNAVAILABLE'),
  { ...registryError(429, 'TOOMANYREQUESTS'), headers: { 'retry-after': '1' } },
]

test('whatever goes wrong with which chunks: the blob arrives whole, or the push fails; never another blob', async () => {
  const content = Buffer.from(Array.from({ length: 4_500_000 }, (_, i) => (i * 7 + (i >> 8)) & 255))
  const faults = fc.array(fc.option(fc.constantFrom(...FAULTS), { nil: undefined }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(faults, async (planned) => {
      let patches = 0
      await using fake = await startFakeRegistry({
        before: (seen) => (seen.method === 'PATCH' ? planned[patches++] : undefined),
      })
      const to = openRegistryRepository(
        { registry: fake.host, repository: 'some/thing', credentials: async () => undefined, plainHttp: true },
        {
          pace: { clock: systemClock, sleep: async () => {}, random: () => 0.5 },
          memory: { strategy: 'chunked', chunkBytes: 2 * 1024 * 1024, isLastChunkInFinish: false },
        },
      )
      const pushed = await to.pushBlob(madeBlob(content)).catch((error: { code?: string }) => error.code)
      if (typeof pushed === 'object') assert.deepEqual(fake.blobs.get(pushed.digest), content)
      else assert.match(pushed ?? '', /^registry_(?:unavailable|refused)$/)
      assert.equal(fake.uploads.size, 0, 'no session is left behind')
    }),
    { numRuns: 25 },
  )
})
