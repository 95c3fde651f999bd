import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { gzipBound, loadIsal, openIsalInPool } from './isal.ts'

for (const level of [1, 2] as const) {
  const gzip = loadIsal(level)
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['nothing', new Uint8Array(0)],
    ['one byte', Uint8Array.of(7)],
    ['zeros, 8 MiB', new Uint8Array(8 << 20)],
    ['noise, which does not get smaller', randomBytes(3_000_001)],
    ['text', Buffer.from('the same words again and again '.repeat(9999))],
  ]
  for (const [name, bytes] of cases) {
    test(`ISA-L level ${level}, ${name}: zlib reads the member back`, () => {
      assert.ok(gzip, 'libisal.so.2 is there: the test setup installs libisal2')
      const into = new Uint8Array(gzipBound(bytes.byteLength))
      const length = gzip(bytes, into)
      assert.deepEqual(gunzipSync(into.subarray(0, length)), Buffer.from(bytes))
    })
  }
  test(`ISA-L level ${level}: the same bytes in give the same bytes out, in shared memory too`, () => {
    assert.ok(gzip)
    const from = new Uint8Array(new SharedArrayBuffer(1 << 20)).fill(65)
    const one = new Uint8Array(new SharedArrayBuffer(gzipBound(from.byteLength)))
    const two = new Uint8Array(gzipBound(from.byteLength))
    assert.deepEqual(one.subarray(0, gzip(from, one)), two.subarray(0, gzip(from, two)))
  })
  test(`ISA-L level ${level}: several at once beside the event loop give what one gives`, async () => {
    assert.ok(gzip)
    const sources = [1, 2, 3].map((n) => Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * i * n) >>> 9))
    const made = sources.map(async (from) => {
      const into = new Uint8Array(gzipBound(from.byteLength))
      return into.subarray(0, await openIsalInPool(level)(from, into))
    })
    for (const [i, from] of sources.entries()) {
      const into = new Uint8Array(gzipBound(from.byteLength))
      assert.deepEqual(await made[i], into.subarray(0, gzip(from, into)))
    }
  })
  test(`ISA-L level ${level}: a buffer that is too small is an error, beside the event loop too`, async () => {
    const noise = randomBytes(100_000)
    await assert.rejects(openIsalInPool(level)(noise, new Uint8Array(1000)), /isal_deflate_stateless answered/)
  })
}
