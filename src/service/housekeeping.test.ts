import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { TestClock } from '#lab/stores.ts'
import { keepHouse } from './housekeeping.ts'

const DAY_MS = 24 * 3600 * 1000
/** Where nothing was ever captured. */
const NO_HOME = `${tmpdir()}/tintype-no-home`

test('nonces go when their time is over, audit rows after half a year; a failure is told, and tried again', async () => {
  const clock = new TestClock()
  const ending = new AbortController()
  const sweeps: (readonly [string, number])[] = []
  const told: string[] = []
  let failures = 1
  const store = {
    nonces: {
      sweep: async (beforeMs: number) => {
        if (failures-- > 0) throw new Error('away')
        return sweeps.push(['nonces', clock.nowMs - beforeMs])
      },
    },
    audit: {
      sweep: async (beforeMs: number) => {
        ending.abort()
        return sweeps.push(['audit', clock.nowMs - beforeMs])
      },
    },
  }
  await keepHouse(
    { home: NO_HOME, store, clock, log: (_, { error }) => void told.push(String(error)), everyMs: 1 },
    ending.signal,
  )
  assert.deepEqual(sweeps, [
    ['nonces', 0],
    ['audit', 180 * DAY_MS],
  ])
  assert.deepEqual(told, ['Unexpected: away'])
})

test('what a killed capture has left in the spool goes first', async (t) => {
  const home = mkdtempSync(`${tmpdir()}/tintype-house-`)
  t.after(() => rmSync(home, { recursive: true }))
  const left = `${home}/spool/capture-dead`
  mkdirSync(left, { recursive: true })
  writeFileSync(`${left}/lock`, '')
  writeFileSync(`${left}/frames`, 'secret')
  const ending = new AbortController()
  const sweep = async () => {
    ending.abort()
    return Number(existsSync(left))
  }
  const log = (sentence: string) => assert.fail(sentence)
  await keepHouse({ home, store: { nonces: { sweep }, audit: { sweep } }, clock: new TestClock(), log }, ending.signal)
  assert.ok(!existsSync(left))
})

test('a server that ends is not kept waiting', async () => {
  const store = { nonces: { sweep: async () => 0 }, audit: { sweep: async () => 0 } }
  const ending = new AbortController()
  const done = keepHouse({ home: NO_HOME, store, clock: new TestClock(), log: () => {} }, ending.signal)
  ending.abort()
  await done
})
