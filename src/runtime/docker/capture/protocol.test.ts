import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError, ERRORS, type ErrorCode } from '#base/errors.ts'
import { encodeLine, errorOf, parseCommand, parseMessage, parseRequest, type ChildRequest } from './protocol.ts'

const REQUEST: ChildRequest = {
  socketPath: '/run/docker.sock',
  home: '/srv',
  zstdEverywhere: false,
  containerId: 'c1',
  capture: {
    captureId: 'x',
    reference: 'r/x:1',
    labels: { 'two\nlines': '\u2028' },
    exclusions: [],
    overwrite: false,
    compression: 'auto',
    full: false,
    registries: { target: { host: 'r' }, others: [] },
  },
}

test('a request is one line, and is the same on the other side', () => {
  const line = encodeLine(REQUEST)
  assert.equal(line.indexOf('\n'), line.length - 1)
  assert.deepEqual(parseRequest(line), REQUEST)
})

for (const line of [
  '',
  'null',
  '[]',
  '"text"',
  '{}',
  '{"containerId":1,"capture":{}}',
  '{"containerId":"c1"',
  'GET / HTTP/1.1',
])
  test(`no request: ${JSON.stringify(line)}`, () => assert.throws(() => parseRequest(line), { code: 'usage_invalid' }))

test('only what is known is a command, or a message', () => {
  assert.deepEqual(parseCommand('{"type":"confirm"}'), { type: 'confirm' })
  assert.deepEqual(parseCommand('{"type":"cancel","more":1}'), { type: 'cancel' })
  for (const line of ['', '{}', '{"type":"result"}', 'confirm', '[1']) assert.equal(parseCommand(line), undefined)
  assert.deepEqual(parseMessage('{"type":"thawed"}'), { type: 'thawed' })
  for (const line of ['', '{"type":"confirm"}', '(node:1) Warning: x']) assert.equal(parseMessage(line), undefined)
})

test('every error is the same on the other side', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const failed = { type: 'failed', code, message: 'It is so.', details: { path: '/x', count: 2 } } as const
    const message = parseMessage(encodeLine(failed))
    assert.ok(message?.type === 'failed')
    assert.deepEqual(errorOf(message), new AppError(code, 'It is so.', { details: failed.details }))
  }
})

test('an error of another version of us is internal', () => {
  const failed = { type: 'failed', code: 'of_tomorrow' as ErrorCode, message: 'It is so.', details: {} } as const
  assert.equal(errorOf(failed).code, 'internal')
})
