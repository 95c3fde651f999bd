import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { findRootOverlay, parseMountinfo } from '#overlay/mountinfo.ts'
import { storeOf } from './base.ts'
import { parseContainer, parseImage, parseInfo } from './inspect.ts'

interface Recorded {
  readonly inspect: Record<string, unknown> & { readonly HostConfig: object; readonly State: object }
  readonly image: object
  readonly info: object
  readonly mountinfo: readonly string[]
}
const recorded = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../test/runtime/recorded/${name}.json`, import.meta.url), 'utf8')) as Recorded

const ENGINES = [
  { name: 'docker20', driver: 'overlay2', store: 'overlay2', lowerdirs: 4, root: '/var/lib/docker' },
  { name: 'docker28', driver: 'overlayfs', store: 'containerd', lowerdirs: 0, root: '/var/lib/docker' },
  { name: 'podman', driver: 'overlay', store: 'podman', lowerdirs: 3, root: '/var/lib/containers/storage' },
] as const
for (const { name, driver, store, lowerdirs, root } of ENGINES)
  test(`${name}: what was recorded is understood`, () => {
    const { inspect, image, info, mountinfo } = recorded(name)
    const container = parseContainer(inspect)
    assert.equal(storeOf(container.storage.driver), store)
    assert.deepEqual([container.storage.driver, container.storage.lowerdirs.length], [driver, lowerdirs])
    assert.deepEqual([container.isRunning, container.isPaused, container.isUnsteady], [true, false, false])
    assert.ok(container.pid > 0 && !container.name.startsWith('/') && container.imageName.includes('layers-3'))
    assert.ok(container.volumes.includes('/data') && container.volumes.includes('/scratch'))
    const parsed = parseImage(image)
    assert.equal(parsed.diffIDs?.length, 3)
    assert.deepEqual(parsed.labels, {})
    assert.deepEqual(parsed.platform, { os: 'linux', architecture: 'amd64' })
    assert.deepEqual([parseInfo(info).root, parseInfo(info).driver], [root, driver])
    const overlay = findRootOverlay(parseMountinfo(Buffer.from(mountinfo.join('\n'))))
    assert.equal(overlay.lowerdirs.length, store === 'podman' ? 3 : 4, 'Podman has no init layer')
    if (container.storage.upperdir !== undefined) assert.equal(overlay.upperdir, container.storage.upperdir)
  })

test('the containerd store names the manifest, and nothing else does', () => {
  assert.match(parseContainer(recorded('docker28').inspect).manifest?.digest ?? '', /^sha256:/)
  assert.deepEqual(parseContainer(recorded('docker28').inspect).manifest?.platform, {
    os: 'linux',
    architecture: 'amd64',
  })
  assert.equal(parseContainer(recorded('docker20').inspect).manifest, undefined)
})

test('repo digests are names that a registry can have, in full', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const { repoDigests } = parseImage({
    RepoDigests: [
      `python@${digest}`,
      `<none>@${digest}`,
      `registry.example:5000/Team/x@${digest}`,
      `r.example/x/y@${digest}`,
    ],
  })
  assert.deepEqual(
    repoDigests.map(({ repository }) => repository),
    ['docker.io/library/python', 'r.example/x/y'],
  )
})

test('an image without layers in its inspect (Docker 28, seen once) has none that are known', () => {
  const image = parseImage({ RootFS: {}, Architecture: '', Os: 'linux' })
  assert.deepEqual([image.diffIDs, image.platform], [undefined, undefined])
  assert.deepEqual(parseImage({ RootFS: { Type: 'layers', Layers: [] } }).diffIDs, [])
})

const STATES: readonly (readonly [string, object, Partial<ReturnType<typeof parseContainer>>])[] = [
  ['paused', { Status: 'paused', Running: true, Paused: true }, { isPaused: true, isRunning: true }],
  ['stopped', { Status: 'exited', Running: false, Pid: 0 }, { isRunning: false, pid: 0 }],
  ['restarting', { Status: 'restarting', Restarting: true }, { isUnsteady: true }],
  ['dead', { Status: 'dead', Dead: true }, { isUnsteady: true }],
  ['being removed', { Status: 'removing' }, { isUnsteady: true }],
]
for (const [reason, State, expected] of STATES)
  test(`a container that is ${reason}`, () => {
    const container = parseContainer({ ...recorded('docker20').inspect, State })
    for (const [key, value] of Object.entries(expected)) assert.equal(container[key as keyof typeof container], value)
  })

test('what is no inspect is no engine', () => {
  for (const value of [null, [], {}, { Id: 'x' }])
    assert.throws(() => parseContainer(value), { code: 'engine_unavailable' })
  assert.throws(() => parseInfo({}), { code: 'engine_unavailable' })
})

test('runtimes, user namespaces, rootless and insecure registries', () => {
  const info = parseInfo({
    DockerRootDir: '/d',
    SecurityOptions: ['name=seccomp,profile=default', 'name=rootless', 'name=userns'],
    Runtimes: {
      runc: { path: 'runc' },
      sandbox: { path: '/usr/local/bin/runsc' },
      shim: { runtimeType: 'io.containerd.kata.v2' },
    },
    RegistryConfig: {
      InsecureRegistryCIDRs: ['127.0.0.0/8'],
      IndexConfigs: { 'docker.io': { Secure: true }, 'r.example:5000': { Secure: false } },
    },
  })
  assert.deepEqual([info.isRootless, info.hasUserns], [true, true])
  assert.deepEqual(info.runtimes, { runc: 'runc', sandbox: '/usr/local/bin/runsc', shim: 'io.containerd.kata.v2' })
  assert.deepEqual(info.insecureRegistries, ['r.example:5000', '127.0.0.0/8'])
})

for (const driver of ['btrfs', 'zfs', 'devicemapper', 'vfs', 'fuse-overlayfs', 'aufs', 'stargz', 'toString', ''])
  test(`a store of ${driver || 'no name'} is refused by name`, () =>
    assert.throws(() => storeOf(driver), { code: 'overlay_unsupported', message: new RegExp(driver || 'unnamed') }))
