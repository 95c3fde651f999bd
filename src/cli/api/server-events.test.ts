import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readEvents } from './server-events.ts'

const never = new AbortController().signal

async function read(chunks: readonly Uint8Array[]) {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
  return await Array.fromAsync(readEvents(body, never))
}

const utf8 = new TextEncoder()
for (const [text, expected, reason] of [
  ['data: a\n\n', [{ event: 'message', data: 'a' }], 'one without a name'],
  ['event: error\ndata: a\n\n', [{ event: 'error', data: 'a' }], 'a name'],
  [':\n\ndata:a\ndata: b\nid: 7\n\n', [{ event: 'message', data: 'a\nb' }], 'comments, ids, data in several lines'],
  [
    'data: a\r\n\r\ndata: b\r\n\r\n',
    [
      { event: 'message', data: 'a' },
      { event: 'message', data: 'b' },
    ],
    'other line ends',
  ],
  ['event: x\n\ndata: a\n\n', [{ event: 'message', data: 'a' }], 'a name without data is no event'],
  ['data: a\n\ndata: b', [{ event: 'message', data: 'a' }], 'what is not whole is none'],
] as const)
  test(`events are read: ${reason}`, async () => assert.deepEqual(await read([utf8.encode(text)]), expected))

test('however the bytes are cut, the events are the same', async () => {
  const bytes = utf8.encode('event: progress\r\ndata: {"a":"ä€😀"}\r\n\r\n:\r\n\r\ndata: b\r\n\r\n')
  const expected = await read([bytes])
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 0, max: bytes.length })), async (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
      const chunks = edges.slice(1).map((edge, i) => bytes.slice(edges[i], edge))
      assert.deepEqual(await read(chunks), expected)
    }),
  )
})

test('an event that does not end is not kept', async () => {
  const long = utf8.encode('data: '.padEnd(600_000, 'x'))
  await assert.rejects(read([long, long]), { code: 'answer_invalid' })
})
