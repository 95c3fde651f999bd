import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErrorCode } from '#base/errors.ts'
import { engineRefusal } from './refusal.ts'

/** As Docker 20.10 and 28 say it. */
const WORDS: readonly (readonly [ErrorCode, string])[] = [
  ['insufficient_resource', 'could not select device driver "" with capabilities: [[gpu]]'],
  ['insufficient_resource', 'Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
  ['insufficient_resource', 'range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
  ['insufficient_resource', 'Minimum memory limit allowed is 6MB'],
  ['parameter_invalid', 'invalid mount config for type "bind": bind source path does not exist: /nowhere'],
  ['parameter_invalid', 'Duplicate mount point: /data'],
  ['container_not_found', 'No such container: abc'],
]
for (const [code, words] of WORDS) test(`${code}: ${words}`, () => assert.equal(engineRefusal(400, words)?.code, code))

test('what says nothing of the kind is left to the caller', () => {
  assert.equal(engineRefusal(500, 'something broke'), undefined)
  assert.equal(engineRefusal(0, 'No such container'), undefined, 'no answer at all')
})
