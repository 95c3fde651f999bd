import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { readLines } from './read-lines.ts'

interface Read {
  readonly lines: readonly string[]
  readonly isTooLong: boolean
}

async function read(chunks: readonly Buffer[], mostBytes = 1000): Promise<Read> {
  const stream = Readable.from(chunks)
  const lines: string[] = []
  let isTooLong = false
  readLines(stream, { mostBytes, onLine: (line) => lines.push(line), onTooLong: () => (isTooLong = true) })
  await once(stream, 'close')
  return { lines, isTooLong }
}

test('lines are whole, wherever the chunks are cut', async () => {
  const anyText = fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', '')))
  const property = fc.asyncProperty(anyText, fc.integer({ min: 1, max: 9 }), async (lines, size) => {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    )
    assert.deepEqual(await read(chunks, 1 << 20), { lines, isTooLong: false })
  })
  await fc.assert(property)
})

test('what comes after the last end of a line is no line', async () =>
  assert.deepEqual(await read([Buffer.from('a\nb')]), { lines: ['a'], isTooLong: false }))

test('a line may be as long as the limit, and not longer', async () => {
  assert.deepEqual(await read([Buffer.from('12345\n')], 5), { lines: ['12345'], isTooLong: false })
  assert.deepEqual(await read([Buffer.from('a\n123456\nb\n')], 5), { lines: ['a'], isTooLong: true })
})

test('a line without an end is given up at the limit, and nothing more is read', async () => {
  const stream = new PassThrough()
  const tooLong = Promise.withResolvers<void>()
  readLines(stream, { mostBytes: 100_000, onLine: assert.fail, onTooLong: tooLong.resolve })
  for (let i = 0; i < 11; i++) stream.write(Buffer.alloc(10_000, 'x'))
  await tooLong.promise
  assert.ok(stream.destroyed)
})
