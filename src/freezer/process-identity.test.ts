import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identifyProcess, isAlive, parentOf, parseProcessStat } from './process-identity.ts'

const TAIL = '1 2 2 0 -1 4194304 5 0 0 0 1 2 0 0 20 0 1 0 987654 1000 1 18446744073709551615'
const CASES: readonly (readonly [string, string, string])[] = [
  ['a plain name', `7 (sh) S ${TAIL}`, 'S'],
  ['a name with blanks', `7 (tmux: server) S ${TAIL}`, 'S'],
  ['a name with parentheses', `7 (a) S 1) (b) R ${TAIL}`, 'R'],
  ['a name made to look like the rest', `7 (x) Z 1 2 3 4 5 6) D ${TAIL}\n`, 'D'],
]
for (const [reason, text, state] of CASES)
  test(`the start time is found after ${reason}`, () =>
    assert.deepEqual(parseProcessStat(text), { state, parentPid: 1, startTime: '987654' }))

test('a text that is cut says nothing', () => assert.equal(parseProcessStat('7 (sh) S 1 2'), undefined))

test('a living process is itself, and not another one that had its pid', () => {
  const self = identifyProcess(process.pid)!
  assert.equal(isAlive(self), true)
  assert.equal(isAlive({ ...self, startTime: '1' }), false)
  assert.equal(isAlive({ pid: 2 ** 22 + 1, startTime: self.startTime }), false)
})

test('a process has the parent that it says it has', () => {
  assert.equal(parentOf(process.pid), process.ppid)
  assert.equal(parentOf(2 ** 22 + 1), undefined)
})
