import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KILLED, runProgram } from './process.ts'

test('a program that does not end in time is killed, also when its child holds the pipes open', async () => {
  const { exitCode, stdout } = await runProgram('sh', ['-c', 'echo begun; sleep 20 & wait'], { timeoutMs: 500 })
  assert.equal(exitCode, KILLED)
  assert.equal(stdout.toString(), 'begun\n')
})
