import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SYSTEM_MARK } from './entry.ts'
import { LastLines } from './logs.ts'

/** Engine API, "Stream format": stream, three zeros, length, bytes. */
function frame(stream: 1 | 2, text: string | Buffer): Buffer {
  const body = Buffer.from(text)
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(body.byteLength, 4)
  return Buffer.concat([header, body])
}

function read(source: 'system' | 'container', tail: number, ...chunks: readonly Buffer[]): readonly string[] {
  const lines = new LastLines({ source, tail })
  for (const chunk of chunks) lines.take(chunk)
  return lines.end()
}

test('lines of both streams in their order, without those of the system', () => {
  const frames = [frame(1, 'one\n'), frame(2, 'two\n'), frame(1, `${SYSTEM_MARK}ours\n`), frame(1, 'three\n')]
  assert.deepEqual(read('container', 10, ...frames), ['one', 'two', 'three'])
  assert.deepEqual(read('system', 10, ...frames), ['ours'])
})

test('a line over several frames, while the other stream goes on', () => {
  const frames = [frame(1, 'o'), frame(2, 'two\n'), frame(1, 'n'), frame(1, 'e\n')]
  assert.deepEqual(read('container', 10, ...frames), ['two', 'one'])
})

test('several lines in one frame, an empty one, and one that has no end', () => {
  assert.deepEqual(read('container', 10, frame(1, 'one\n\nthree\nfour')), ['one', '', 'three', 'four'])
})

test('a line of the system follows on one that has no end', () => {
  const frames = [frame(1, 'no end'), frame(1, `${SYSTEM_MARK}ours\n`)]
  assert.deepEqual(read('container', 10, ...frames), ['no end'])
  assert.deepEqual(read('system', 10, ...frames), ['ours'])
})

test('only the last lines are kept', () => {
  const frames = Array.from({ length: 100 }, (_, i) => frame(1, `${i}\n`))
  assert.deepEqual(read('container', 3, ...frames), ['97', '98', '99'])
  assert.deepEqual(read('container', 0, ...frames), [])
})

test('a line that never ends takes no memory', () => {
  const frames = Array.from({ length: 1000 }, () => frame(1, 'x'.repeat(1000)))
  assert.equal(read('container', 10, ...frames)[0]?.length, 16_384)
})

test('bytes that are no UTF-8 and the ends of lines of terminals', () => {
  assert.deepEqual(read('container', 10, frame(1, Buffer.from([0x66, 0xff, 0x0d, 0x0a]))), ['f\ufffd'])
})

test('chunks may be cut anywhere', () => {
  const line = fc.string({ maxLength: 20 }).filter((text) => !/[\r\n]/.test(text) && !text.includes(SYSTEM_MARK))
  fc.assert(
    fc.property(fc.array(line, { minLength: 1 }), fc.array(fc.nat({ max: 30 })), (lines, cuts) => {
      const whole = Buffer.concat(lines.map((text, i) => frame(i % 2 ? 2 : 1, `${text}\n`)))
      const chunks: Buffer[] = []
      let from = 0
      for (const cut of cuts) {
        chunks.push(whole.subarray(from, from + cut))
        from += cut
      }
      assert.deepEqual(read('container', 1000, ...chunks, whole.subarray(from)), lines)
    }),
  )
})
