import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError, ERRORS } from '#base/errors.ts'
import type { ErrorCode } from '#base/errors.ts'
import { reasonOf } from './reasons.ts'

const REFERENCE = 'registry.example.com/team/app:v1'

const ROWS: readonly (readonly [string, unknown, string, RegExp])[] = [
  ['a tag that is taken', new AppError('tag_exists', 'x, or add --overwrite'), 'TagExists', /set Overwrite to true/],
  [
    'a tag that may not move',
    new AppError('tag_exists', 'It exists: choose another tag.', { details: { isImmutable: true } }),
    'TagExists',
    /^It exists: choose another tag\.$/,
  ],
  [
    'a registry that is away',
    new AppError('registry_unavailable', 'It is down.'),
    'RegistryUnavailable',
    /^It is down/,
  ],
  ['a cancel', new AppError('cancelled', 'Cancelled.'), 'Cancelled', /Cancelled/],
  ['no room', new AppError('spool_full', 'The disk is full.'), 'SpoolFull', /full/],
  ['too busy', new AppError('freeze_budget_exceeded', 'raise --max-freeze-ms'), 'FreezeBudgetExceeded', /ExcludePaths/],
  ['a container that went', new AppError('container_gone', 'It is gone.'), 'ContainerGone', /gone/],
  ['a container that is not there', new AppError('container_not_found', 'No such.'), 'ContainerGone', /No such/],
  ['a base image nowhere', new AppError('base_not_found', 'Nowhere.'), 'BaseNotFound', /Nowhere/],
  ['what nobody foresaw says nothing', new Error('ENOENT /var/lib/secret'), 'InternalError', /^(?!.*secret)/],
]
for (const [name, thrown, code, sentence] of ROWS)
  test(`why a snapshot failed: ${name}`, () => {
    const { reasonCode, reasonMessage } = reasonOf(thrown, REFERENCE)
    assert.equal(reasonCode, code)
    assert.match(reasonMessage, sentence)
  })

test('every code there is gives one word in CamelCase and a sentence without options of the command line', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const { reasonCode, reasonMessage } = reasonOf(new AppError(code, 'A sentence.'), REFERENCE)
    assert.match(reasonCode, /^[A-Z][A-Za-z]+$/)
    assert.doesNotMatch(reasonMessage, /--/)
  }
})
