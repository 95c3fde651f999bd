import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runProgram } from './process.ts'

for (const [what, script, exitCode, isTimedOut] of [
  ['does not end in time is killed', 'echo begun; sleep 20 & wait', 128, true],
  ['has ended is not waited for', 'echo begun; sleep 20 & exit 3', 3, false],
] as const)
  test(`a program that ${what}, also when its child holds the pipes open`, async () => {
    const from = performance.now()
    const result = await runProgram('sh', ['-c', script], { timeoutMs: 500 })
    assert.deepEqual([result.exitCode, result.isTimedOut, result.stdout.toString()], [exitCode, isTimedOut, 'begun\n'])
    assert.ok(performance.now() - from < 15_000)
  })
