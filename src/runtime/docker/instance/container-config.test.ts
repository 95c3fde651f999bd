import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { InstanceSpec } from '#runtime/runtime.ts'
import { containerConfig } from './container-config.ts'

const SPEC: InstanceSpec = {
  instanceId: 'dsw-1',
  imageUrl: 'python:3.12',
  environment: {},
  binds: [],
  workspaceVolume: 'tintype-dsw-1',
  labels: {},
  accessToken: 'secret-token',
  basePath: '/dsw-1/',
}

interface Body {
  readonly Env: readonly string[]
  readonly Labels: Readonly<Record<string, string>>
  readonly HostConfig: Readonly<Record<string, unknown>> & {
    readonly Mounts: readonly { readonly Target: string; readonly ReadOnly?: boolean }[]
  }
}

const bodyOf = (changes: Partial<InstanceSpec> = {}) => {
  const parts = { command: ['python3'], entryDirectory: '/home/instances/dsw-1', network: 'bridge' }
  return containerConfig({ spec: { ...SPEC, ...changes }, ...parts }) as Body
}

test('an instance without wishes has no limits, and nothing that other containers do not have', () => {
  const { HostConfig } = bodyOf()
  const names = Object.keys(HostConfig).sort()
  assert.deepEqual(names, ['Init', 'LogConfig', 'Mounts', 'NetworkMode', 'RestartPolicy'])
})

test('limits are in the units of the engine', () => {
  const { HostConfig } = bodyOf({ cpuMilli: 1500, memoryBytes: 2 ** 30, shmBytes: 2 ** 26, gpus: { count: 2 } })
  const { NanoCpus, Memory, MemorySwap, ShmSize, DeviceRequests } = HostConfig
  assert.deepEqual([NanoCpus, Memory, MemorySwap, ShmSize], [1_500_000_000, 2 ** 30, 2 ** 30, 2 ** 26])
  assert.deepEqual(DeviceRequests, [{ Count: 2, Capabilities: [['gpu']] }])
  assert.equal(bodyOf({ gpus: { count: 0 } }).HostConfig['DeviceRequests'], undefined)
})

test('the instance is named by a label that nobody can change', () => {
  const { Labels } = bodyOf({ labels: { team: 'a', 'io.tintype.instance': 'dsw-2' } })
  assert.deepEqual(Labels, { team: 'a', 'io.tintype.instance': 'dsw-1' })
})

test('the token is in a file, and not in what the engine shows', () => {
  assert.ok(!JSON.stringify(bodyOf()).includes('secret-token'))
})

test('every variable that a process can have arrives as it is', () => {
  const name = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !/[=\0]/.test(text) && text !== '__proto__')
  const value = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'))
  fc.assert(
    fc.property(name, value, (key, text) => {
      assert.ok(bodyOf({ environment: { [key]: text } }).Env.includes(`${key}=${text}`))
    }),
  )
})

for (const target of ['/data', '/mnt/data', '/mnt/workspace/data', '/home/a b', '/data/', '/..data', '/a...b'])
  test(`a directory can be mounted at ${target}`, () => {
    const { Mounts } = bodyOf({ binds: [{ source: '/srv', target, readOnly: true }] }).HostConfig
    assert.deepEqual([Mounts.at(-1)!.Target, Mounts.at(-1)!.ReadOnly], [target.replace(/\/$/, ''), true])
  })

const BAD_TARGETS: readonly (readonly [why: string, target: string])[] = [
  ['not absolute', 'data'],
  ['empty', ''],
  ['the root', '/'],
  ['the root, more than once', '///'],
  ['up', '/data/..'],
  ['up in the middle', '/data/../etc'],
  ['here', '/data/.'],
  ['an empty part', '/data//more'],
  ['a NUL', '/da\0ta'],
  ['a colon, which engines read as an option', '/data:rw'],
  ['what Tintype mounts', '/.tintype'],
  ['the workspace', '/mnt/workspace'],
  ['the kernel', '/proc'],
  ['the shell that starts everything', '/bin/'],
]
for (const [why, target] of BAD_TARGETS)
  test(`nothing is mounted there: ${why}`, () => {
    const binds = [{ source: '/srv', target, readOnly: true }]
    assert.throws(() => bodyOf({ binds }), { code: 'parameter_invalid' })
  })

for (const instanceId of ['', '-a', 'A', 'a/b', 'a.b', 'a b', 'a'.repeat(64)])
  test(`no id of an instance: ${JSON.stringify(instanceId)}`, () => {
    assert.throws(() => bodyOf({ instanceId }), { code: 'parameter_invalid' })
  })
