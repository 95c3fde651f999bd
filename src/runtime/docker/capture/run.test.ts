import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { goFirst } from '#base/priority.ts'
import { startCaptureChild } from './run.ts'

const childrenOf = (pid: number): readonly number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)

test('a capture does not go before other work as its server does', async () => {
  goFirst()
  await using run = startCaptureChild({
    socketPath: '/nowhere/engine.sock',
    home: '/nowhere',
    zstdEverywhere: false,
    containerId: 'c1',
    capture: {
      captureId: 'x',
      reference: 'localhost:1/saved/box:1',
      labels: {},
      exclusions: [],
      overwrite: true,
      compression: 'auto',
      full: false,
      registries: { target: { host: 'localhost:1' }, others: [] },
    },
  })
  assert.deepEqual(childrenOf(process.pid).map(getPriority), [0])
  run.cancel()
  await assert.rejects(run.result)
})
