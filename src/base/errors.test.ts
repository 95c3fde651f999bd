import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { AppError, ERRORS, systemCode, toAppError } from './errors.ts'
import type { ErrorCode } from './errors.ts'

const CODES = Object.keys(ERRORS) as ErrorCode[]
/** code → the cells of its row in the documentation. */
const rows = new Map(
  readFileSync('docs/errors.md', 'utf8')
    .split('\n')
    .filter((line) => /^\| `[a-z_]+` \| `[a-z_]+` \| (yes|no) \|/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
    .map((cells) => [cells[0]!, cells]),
)

for (const code of CODES) {
  test(`docs/errors.md explains ${code} as it is, with a remedy`, () => {
    const [, kind, again, meaning = '', remedy = ''] = rows.get(code) ?? []
    assert.equal(kind, ERRORS[code].kind)
    assert.equal(again, ERRORS[code].retry ? 'yes' : 'no')
    assert.ok(meaning.length > 20 && remedy.length > 5)
  })
}

test('docs/errors.md explains no code that is not there', () => {
  assert.deepEqual(
    [...rows.keys()].filter((code) => !CODES.includes(code as ErrorCode)),
    [],
  )
})

test('an AppError knows its kind, whether to try again, and its cause', () => {
  const cause = new Error('below')
  const error = new AppError('registry_unavailable', 'It is down.', { cause, details: { registry: 'r' } })
  assert.deepEqual([error.kind, error.retry, error.cause, error.details], ['registry', true, cause, { registry: 'r' }])
  assert.equal('cause' in new AppError('internal', 'x'), false)
})

test('anything that was thrown becomes an AppError', () => {
  const ours = new AppError('tag_exists', 'There.')
  assert.equal(toAppError(ours), ours)
  const rows: readonly (readonly [unknown, ErrorCode, string])[] = [
    [new Error('odd'), 'internal', 'Unexpected: odd'],
    ['text', 'internal', 'Unexpected: text'],
    [undefined, 'internal', 'Unexpected: undefined'],
    [new DOMException('aborted', 'AbortError'), 'cancelled', 'Cancelled.'],
  ]
  for (const [thrown, code, message] of rows) {
    const error = toAppError(thrown)
    assert.deepEqual([error.code, error.message, error.cause], [code, message, thrown])
  }
})

test('the code of a system error, and nothing else', () => {
  assert.equal(systemCode(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT')
  assert.equal(systemCode(Object.assign(new Error('x'), { code: 5 })), undefined)
  assert.equal(systemCode({ code: 'ENOENT' }), undefined)
})

test('what tidying up threw does not hide what happened, unless it is known better', () => {
  const [first, known] = [new AppError('registry_denied', 'No.'), new AppError('freeze_failed', 'It is frozen still.')]
  assert.equal(toAppError(new SuppressedError(new Error('close'), first)), first)
  assert.equal(toAppError(new SuppressedError(known, first)), known)
  assert.equal(toAppError(new SuppressedError(new Error('close'), new SuppressedError(known, first))), known)
})
