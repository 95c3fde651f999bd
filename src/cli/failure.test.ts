import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError, ERRORS } from '#base/errors.ts'
import type { ErrorCode } from '#base/errors.ts'
import { DOCTOR_SYNTAX } from './doctor.ts'
import { reportFailure } from './failure.ts'
import { helpFor } from './help.ts'
import { LOGIN_SYNTAX } from './login.ts'
import { PREVIEW_SYNTAX } from './preview.ts'
import { SNAPSHOT_SYNTAX } from './snapshot.ts'

function report(error: AppError, isJson: boolean) {
  const seen = { out: '', err: '' }
  const terminal = {
    out: (text: string) => void (seen.out += text),
    err: (text: string) => void (seen.err += text),
    isInteractive: false,
    columns: () => 80,
  }
  return { exitCode: reportFailure(error, terminal, isJson), ...seen }
}

const EXIT_CODES: readonly (readonly [ErrorCode, number])[] = [
  ['internal', 1],
  ['usage_invalid', 2],
  ['container_not_found', 3],
  ['tag_exists', 4],
  ['permission_denied', 5],
  ['overlay_unsupported', 5],
  ['freeze_budget_exceeded', 5],
  ['engine_unavailable', 5],
  ['registry_denied', 6],
  ['spool_full', 8],
  ['cancelled', 130],
]
for (const [code, exitCode] of EXIT_CODES) {
  test(`${code} exits with ${exitCode}`, () => assert.equal(report(new AppError(code, 'x'), false).exitCode, exitCode))
}

test('every code has an exit code', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) assert.ok(report(new AppError(code, 'x'), true).exitCode > 0)
})

test('a failure is one sentence on stderr, without control characters', () => {
  const { out, err } = report(new AppError('tag_exists', 'The tag \x1b[1mv1 exists.'), false)
  assert.deepEqual([out, err], ['', 'tintype: The tag \\x1b[1mv1 exists.\n'])
})

test('with --json it is one object on stdout', () => {
  const { out, err } = report(new AppError('tag_exists', 'There.', { details: { tag: 'v1' } }), true)
  assert.deepEqual(JSON.parse(out), { error: { code: 'tag_exists', message: 'There.', details: { tag: 'v1' } } })
  assert.equal(err, '')
})

for (const { command, options, positionals } of [SNAPSHOT_SYNTAX, PREVIEW_SYNTAX, DOCTOR_SYNTAX, LOGIN_SYNTAX]) {
  test(`the help of ${command} names every argument and option, and every exit code, in lines that fit`, () => {
    const help = helpFor(command)
    for (const name of [...positionals, ...Object.keys(options).map((option) => `--${option}`)])
      assert.ok(help.includes(name), name)
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]) assert.match(help, new RegExp(`^ +${code} {2}\\S`, 'm'))
    for (const line of help.split('\n')) assert.ok(line.length <= 120, line)
  })
}
