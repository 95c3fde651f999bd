import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError, ERRORS } from '#base/errors.ts'
import { parseReaderEvent } from './protocol.ts'

const DIFF_ID = `sha256:${'0'.repeat(64)}`
const FRAME = { event: 'frame', layer: 0, offset: 0, size: 1, rawBytes: 1, files: 1 }
const LAYER = { event: 'layer', layer: 0, diffID: DIFF_ID, rawBytes: 1 }
const KEPT = { event: 'kept', files: 1, bytes: 1, isWithinBudget: true, isOneState: false }
const REPORT = {
  event: 'report',
  torn: ['a'],
  skipped: [],
  unnamed: 0,
  unmappedIds: 0,
  unusedExclusions: [],
  sparse: [],
}
const FAILED = { event: 'failed', code: 'limit_exceeded', message: 'Too much.', details: { path: '/a', paths: ['b'] } }
const GOOD: readonly object[] = [{ event: 'ready' }, FRAME, LAYER, KEPT, REPORT, FAILED]

for (const event of GOOD)
  test(`what an honest reader says is taken as it is: ${Object.values(event)[0]}`, () =>
    assert.deepEqual(parseReaderEvent(JSON.stringify(event)), event))

const BAD: readonly (readonly [reason: string, line: string])[] = [
  ['nothing', ''],
  ['no JSON', '{"event":"ready"'],
  ['no object', '["ready"]'],
  ['null', 'null'],
  ['no event', '{}'],
  ['an event that there is not', '{"event":"hello"}'],
  ['an event of every object', '{"event":"constructor"}'],
  ['an event that is no text and cannot be made one', '{"event":{"toString":1,"valueOf":1}}'],
  ['an event in a list', '{"event":["ready"]}'],
  ['a negative offset', JSON.stringify({ ...FRAME, offset: -1 })],
  ['a size that is no whole number', JSON.stringify({ ...FRAME, size: 0.5 })],
  ['a size beyond what numbers count', JSON.stringify({ ...FRAME, size: 2 ** 53 })],
  ['a size as text', JSON.stringify({ ...FRAME, size: '1' })],
  ['a field that is missing', JSON.stringify({ ...FRAME, layer: undefined })],
  [
    'a field that is inherited only',
    '{"event":"frame","__proto__":{"layer":0,"offset":0,"size":1,"rawBytes":1,"files":1}}',
  ],
  ['a digest that is none', JSON.stringify({ ...LAYER, diffID: `${DIFF_ID}\n` })],
  ['a digest in another algorithm', JSON.stringify({ ...LAYER, diffID: 'md5:0' })],
  ['a flag that is a number', JSON.stringify({ ...KEPT, isOneState: 1 })],
  ['a path that is no text', JSON.stringify({ ...REPORT, torn: [1] })],
  ['a list that is text', JSON.stringify({ ...REPORT, torn: 'a' })],
  ['a path without a reason', JSON.stringify({ ...REPORT, skipped: [{ path: 'a' }] })],
  ['a text that has no end', JSON.stringify({ ...FAILED, message: 'x'.repeat((1 << 20) + 1) })],
  ['an error code that there is not', JSON.stringify({ ...FAILED, code: 'fine' })],
  ['an error code of every object', JSON.stringify({ ...FAILED, code: 'toString' })],
  ['details in a list', JSON.stringify({ ...FAILED, details: ['a'] })],
  ['details that are not plain', JSON.stringify({ ...FAILED, details: { a: { b: 1 } } })],
]

for (const [reason, line] of BAD)
  test(`${reason} is not believed`, () => assert.throws(() => parseReaderEvent(line), isRefusal))

const anyEvent = fc.record(
  {
    event: fc.oneof(fc.constantFrom('ready', 'frame', 'layer', 'passed', 'kept', 'report', 'failed'), fc.jsonValue()),
    ...Object.fromEntries(
      ['layer', 'offset', 'size', 'rawBytes', 'files', 'bytes', 'torn', 'isOneState', 'isWithinBudget', 'diffID'].map(
        (name) => [name, fc.oneof(fc.maxSafeNat(), fc.boolean(), fc.constant(DIFF_ID), fc.jsonValue())],
      ),
    ),
    code: fc.oneof(fc.constantFrom(...Object.keys(ERRORS), 'valueOf'), fc.jsonValue()),
    message: fc.oneof(fc.string(), fc.jsonValue()),
    details: fc.jsonValue(),
  },
  { requiredKeys: ['event'] },
)
const anyLine = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.json(),
  anyEvent.map((event) => JSON.stringify(event)),
)

test('whatever a reader says, it is an event of the protocol or a refusal', () => {
  fc.assert(
    fc.property(anyLine, (line) => {
      try {
        const event = parseReaderEvent(line)
        assert.deepEqual(event, JSON.parse(line))
        if (event.event === 'failed')
          assert.ok(new AppError(event.code, event.message, { details: event.details }).kind)
        if (event.event !== 'frame') return
        const counts = [event.layer, event.offset, event.size, event.rawBytes, event.files]
        assert.ok(counts.every((count) => Number.isSafeInteger(count) && count >= 0))
      } catch (error) {
        if (!isRefusal(error)) throw error
      }
    }),
    { numRuns: 3000 },
  )
})

function isRefusal(error: unknown): boolean {
  return error instanceof AppError && error.code === 'reader_failed'
}
