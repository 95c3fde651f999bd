import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  encodeJsonLine,
  escapeText,
  formatBytes,
  formatCount,
  formatDuration,
  formatNumberOf,
  formatPath,
} from './text.ts'

const HARMLESS: readonly (readonly [string, string, string])[] = [
  ['\x1b[31mred', '\\x1b[31mred', 'a colour'],
  ['\x1b]0;title\x07', '\\x1b]0;title\\x07', 'the title of the terminal'],
  ['a\rb\nc\td', 'a\\x0db\\nc\\td', 'a line that is overwritten'],
  ['\x9b2J', '\\x9b2J', 'a C1 control'],
  ['abc\u202egpj.exe', 'abc\\u{202e}gpj.exe', 'reversed letters'],
  ['\ud800x', '\\u{d800}x', 'half a character'],
  ['naïve ☃ 😀', 'naïve ☃ 😀', 'letters of all people'],
]
for (const [text, escaped, reason] of HARMLESS) {
  test(`${reason} is shown, not done`, () => assert.equal(escapeText(text), escaped))
}

test('no text holds a control character once it is escaped', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(escapeText(text), /[\u0000-\u001f\u007f-\u009f]/)
    }),
  )
})

test('JSON means the same, and holds no control character either', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const line = encodeJsonLine({ text })
      assert.deepEqual(JSON.parse(line), { text })
      assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u202e]/)
    }),
  )
})

test('a path that is not UTF-8 is shown by its bytes', () => {
  assert.equal(formatPath({ base64: Buffer.from([0x2f, 0x61, 0xff, 0x1b]).toString('base64') }), '/a\\xff\\x1b')
  assert.equal(formatPath('/a\nb'), '/a\\nb')
})

test('sizes, counts and durations as people say them', () => {
  assert.deepEqual([0, 999, 1000, 12_345_678, 999_999_999, 2.5e12].map(formatBytes), [
    '0 B',
    '999 B',
    '1.00 kB',
    '12.3 MB',
    '1.00 GB',
    '2.50 TB',
  ])
  assert.deepEqual([0, 999, 1000, 1234567].map(formatCount), ['0', '999', '1 000', '1 234 567'])
  assert.deepEqual([0, 43.4, 8_123, 59_960, 125_000, 3_720_000].map(formatDuration), [
    '0 ms',
    '43 ms',
    '8.1 s',
    '1 min 00 s',
    '2 min 05 s',
    '1 h 02 min',
  ])
  assert.equal(formatNumberOf(1, 'file'), '1 file')
  assert.equal(formatNumberOf(2, 'entry', 'entries'), '2 entries')
})
