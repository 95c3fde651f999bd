import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineApi } from '#runtime/docker/api.ts'
import type { RuntimeState } from '#runtime/runtime.ts'
import { findInstance, inspectInstance } from './find.ts'

const HANDLE = { kind: 'docker', containerId: 'c1', instanceId: 'dsw-1' } as const
const NEVER = '0001-01-01T00:00:00Z'
const BEGAN = '2026-01-01T00:00:00.123456789Z'
const ENDED = '2026-01-01T00:00:10Z'
const startedMs = Date.UTC(2026, 0, 1, 0, 0, 0, 123)
const finishedMs = Date.UTC(2026, 0, 1, 0, 0, 10)

const inspectOf = (state: object, more: object = {}) =>
  inspectInstance({ call: async () => ({ State: state, ...more }) }, HANDLE)

const STATES: readonly (readonly [why: string, state: object, RuntimeState])[] = [
  [
    'made, never started: the code 0 is none',
    { Status: 'created', StartedAt: NEVER, FinishedAt: NEVER, ExitCode: 0 },
    { status: 'created', isOutOfMemory: false },
  ],
  [
    'runs for the first time',
    { Status: 'running', StartedAt: BEGAN, FinishedAt: NEVER, ExitCode: 0 },
    { status: 'running', isOutOfMemory: false, startedMs },
  ],
  [
    'is frozen',
    { Status: 'paused', Running: true, StartedAt: BEGAN, FinishedAt: NEVER, ExitCode: 0 },
    { status: 'paused', isOutOfMemory: false, startedMs },
  ],
  [
    'was ended by the kernel',
    { Status: 'exited', StartedAt: BEGAN, FinishedAt: ENDED, ExitCode: 137, OOMKilled: true },
    { status: 'exited', isOutOfMemory: true, exitCode: 137, startedMs, finishedMs },
  ],
  [
    'is being removed',
    { Status: 'removing', StartedAt: BEGAN, FinishedAt: ENDED, ExitCode: 0 },
    { status: 'exited', isOutOfMemory: false, exitCode: 0, startedMs, finishedMs },
  ],
]
for (const [why, state, expected] of STATES)
  test(`an instance that ${why}`, async () => assert.deepEqual(await inspectOf(state), expected))

test('its address, in whatever network it is', async () => {
  const state = { Status: 'running' }
  const networks = (...addresses: readonly string[]) => ({
    NetworkSettings: { Networks: Object.fromEntries(addresses.map((IPAddress, i) => [`net${i}`, { IPAddress }])) },
  })
  assert.equal((await inspectOf(state, networks('172.17.0.2')))?.ip, '172.17.0.2')
  assert.equal((await inspectOf(state, networks('', '10.0.0.5')))?.ip, '10.0.0.5')
  assert.equal((await inspectOf(state, networks('')))?.ip, undefined)
})

test('one that is gone is undefined', async () => {
  assert.equal(await inspectInstance({ call: async () => ({ message: 'No such container' }) }, HANDLE), undefined)
})

test('found by its whole id', async () => {
  const asked: unknown[] = []
  const api: EngineApi = {
    async call(_, path, options) {
      asked.push([path, options?.query])
      return asked.length === 1 ? [{ Id: 'c1' }] : []
    },
  }
  assert.deepEqual(await findInstance(api, 'dsw-1'), HANDLE)
  assert.equal(await findInstance(api, 'dsw-1'), undefined)
  const filters = '{"label":["io.tintype.instance=dsw-1"]}'
  assert.deepEqual(asked[0], ['/containers/json', { all: '1', filters }])
})
