import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, test } from 'node:test'
import { ALICE, BOB, DRAFT, isStatus, openTestInstances, ROOT } from '#lab/instance-service.ts'
import { forEachStore } from '#lab/stores.ts'
import { resolveDatasets, recheckSource } from './datasets.ts'
import type { DatasetDraft, InstanceDraft, NewInstanceDraft } from './draft.ts'
import { maskImageAuth, parseImageAuth } from './image-auth.ts'
import { chooseImage, pulledReference } from './image-choice.ts'
import { endOf, reasonOf } from './reasons.ts'
import { parseMemory, resourcesOfRequest, resourcesOfSize } from './resources.ts'
import { offeredSizes, SIZES } from './specs.ts'
import { makeToken, readViewToken } from './tokens.ts'

const GIB = 2 ** 30
const base64 = (text: string) => Buffer.from(text).toString('base64')
const root = mkdtempSync(`${tmpdir()}/tintype-data-`)
after(() => rmSync(root, { recursive: true }))
mkdirSync(`${root}/allowed/set/deep`, { recursive: true })
mkdirSync(`${root}/allowed-not`)
mkdirSync(`${root}/secret`)
writeFileSync(`${root}/allowed/file`, '')
symlinkSync(`${root}/secret`, `${root}/allowed/leak`)
symlinkSync(`${root}/allowed/set`, `${root}/allowed/inner`)
const ALLOWED = [`${root}/allowed`]
const uri = (path: string) => `file://${root}/${path}`
const at = (mountPath: string, draft: DatasetDraft = { uri: uri('allowed/set') }) => [{ ...draft, mountPath }]

for (const [text, bytes, reason] of [
  ['32', 32 * GIB, 'a number alone is GiB'],
  ['8Gi', 8 * GIB, 'Kubernetes'],
  ['8GB', 8 * GIB, 'the command line'],
  ['512Mi', GIB / 2, 'MiB'],
  ['1.5Gi', 1.5 * GIB, 'a fraction'],
] as const)
  test(`a size: ${reason}`, () => assert.equal(parseMemory('Memory', text), bytes))

for (const text of ['', '0', '-1', '1Pi', '1 Gi', 'x', '8Gi!', '1Mi', '9999Ti'])
  test(`no size: ${JSON.stringify(text)}`, () =>
    assert.throws(() => parseMemory('Memory', text), { code: 'parameter_invalid', details: { field: 'Memory' } }))

test('resources one by one', () => {
  const asked = resourcesOfRequest({ cpu: '4', memory: '8Gi', sharedMemory: '1Gi', gpu: '1', gpuType: 'V100' })
  const expected = {
    cpuMilli: 4000,
    memoryBytes: 8 * GIB,
    sharedMemoryBytes: GIB,
    gpuCount: 1,
    gpuType: 'V100',
    acceleratorType: 'GPU',
  }
  assert.deepEqual(asked, expected)
  assert.equal(resourcesOfRequest({ cpu: '500m' }).cpuMilli, 500)
  assert.deepEqual(resourcesOfRequest({}), {
    cpuMilli: null,
    memoryBytes: null,
    gpuCount: 0,
    gpuType: '',
    acceleratorType: 'CPU',
  })
  assert.equal(resourcesOfSize('ecs.c6.large').memoryBytes, 4 * GIB)
  for (const [requested, field] of [
    [{ cpu: '0' }, 'RequestedResource.CPU'],
    [{ cpu: 'four' }, 'RequestedResource.CPU'],
    [{ gpu: '1.5' }, 'RequestedResource.GPU'],
    [{ gpu: '65' }, 'RequestedResource.GPU'],
    [{ gpuType: 'V100' }, 'RequestedResource.GPUType'],
    [{ sharedMemory: 'all' }, 'RequestedResource.SharedMemory'],
  ] as const)
    assert.throws(() => resourcesOfRequest(requested), { code: 'parameter_invalid', details: { field } })
})

test('sizes that fit the host, and whether they are free', () => {
  const gpu = { model: 'NVIDIA A100-SXM4-40GB', memoryBytes: 40 * GIB }
  const host = { cores: 16, memoryBytes: 128 * GIB, gpus: [gpu] }
  const none = { cpuMilli: 0, memoryBytes: 0, gpuCount: 0 }
  const names = (used = none) =>
    offeredSizes(host, used).map(({ name, isAvailable }) => `${name}${isAvailable ? '' : ' taken'}`)
  assert.ok(names().includes('ecs.g6.4xlarge'))
  assert.ok(names().includes('ecs.gn7e-c16g1.4xlarge'))
  assert.ok(!names().some((name) => name.startsWith('ecs.gn7i')), 'an A100 is no A10')
  assert.ok(!names().includes('ecs.g6.8xlarge'), 'too large')
  assert.ok(names({ cpuMilli: 1000, memoryBytes: 0, gpuCount: 0 }).includes('ecs.g6.4xlarge taken'))
  assert.ok(names({ cpuMilli: 0, memoryBytes: 0, gpuCount: 1 }).includes('ecs.gn7e-c16g1.4xlarge taken'))
  assert.equal(offeredSizes(host, none).find(({ gpu: count }) => count > 0)?.gpuMemoryGib, 40)
  assert.equal(new Set(SIZES.map(({ name }) => name)).size, SIZES.length)
})

test('datasets below the listed paths, links followed', async () => {
  const [plain] = await resolveDatasets(at('/mnt/data/'), ALLOWED)
  assert.deepEqual(plain, {
    uri: uri('allowed/set'),
    mountPath: '/mnt/data',
    access: 'RW',
    source: `${root}/allowed/set`,
  })
  const [linked] = await resolveDatasets(at('/d', { uri: uri('allowed/inner'), access: 'RO' }), ALLOWED)
  assert.deepEqual([linked?.source, linked?.access], [`${root}/allowed/set`, 'RO'])
  const [listed] = await resolveDatasets(at('/d', { uri: uri('allowed') }), ALLOWED)
  assert.equal(listed?.source, ALLOWED[0])
})

for (const [drafts, field, reason] of [
  [at('/d', { uri: uri('allowed/leak') }), 'Uri', 'a link that leads out'],
  [at('/d', { uri: uri('allowed/../secret') }), 'Uri', 'dots that lead out'],
  [at('/d', { uri: uri('allowed/%2e%2e/secret') }), 'Uri', 'encoded dots that lead out'],
  [at('/d', { uri: uri('allowed-not') }), 'Uri', 'a name that only begins like a listed one'],
  [at('/d', { uri: uri('allowed/file') }), 'Uri', 'a file'],
  [at('/d', { uri: uri('allowed/none') }), 'Uri', 'what is not there'],
  [at('/d', { uri: 'file:///etc' }), 'Uri', 'another path of the host'],
  [at('/d', { uri: 'oss://bucket/path' }), 'Uri', 'another scheme'],
  [at('/d', { uri: 'file://host/path' }), 'Uri', 'another host'],
  [at('/d', { uri: '/plain/path' }), 'Uri', 'no scheme'],
  [at('/d', { uri: 'file:///a%00b' }), 'Uri', 'a NUL'],
  [at('/d', { datasetId: 'd-1' }), 'DatasetId', 'a dataset of a catalogue'],
  [at('data'), 'MountPath', 'a relative mount path'],
  [at('/mnt/../etc'), 'MountPath', 'dots in a mount path'],
  [at('/mnt/workspace'), 'MountPath', 'what an instance lives on'],
  [at('//etc/'), 'MountPath', 'the same in disguise'],
  [at('/.tintype/x'), 'MountPath', 'what is below it'],
  [at('/proc/1'), 'MountPath', "what is the kernel's"],
  [at('/a:ro'), 'MountPath', 'a colon'],
  [[...at('/d'), ...at('/d/')], 'MountPath', 'one path twice'],
] as const)
  test(`no dataset: ${reason}`, () =>
    assert.rejects(resolveDatasets(drafts, ALLOWED), (error: Error & { details: { field: string } }) => {
      assert.match(error.details.field, new RegExp(`^Datasets\\[\\d\\]\\.${field}$`))
      return error.message.startsWith(error.details.field)
    }))

test('a dataset that became a link to elsewhere is noticed before it is mounted', async () => {
  mkdirSync(`${root}/allowed/changing`)
  const [mount] = await resolveDatasets(at('/d', { uri: uri('allowed/changing') }), ALLOWED)
  assert.equal(await recheckSource(mount!, ALLOWED), `${root}/allowed/changing`)
  rmSync(`${root}/allowed/changing`, { recursive: true })
  symlinkSync(`${root}/secret`, `${root}/allowed/changing`)
  await assert.rejects(recheckSource(mount!, ALLOWED), { code: 'parameter_invalid' })
  rmSync(`${root}/allowed/changing`)
  symlinkSync(`${root}/allowed/set`, `${root}/allowed/changing`)
  await assert.rejects(recheckSource(mount!, ALLOWED), /another directory/)
})

test('a login is read and masked', () => {
  assert.deepEqual(parseImageAuth(base64('ann:pass:word')), { username: 'ann', password: 'pass:word' })
  assert.equal(Buffer.from(maskImageAuth({ username: 'ann', password: 'x' }), 'base64').toString(), 'ann:******')
  for (const text of ['', 'x', base64('ann'), base64(':secret-part'), base64('ann:'), 'YW5uOnNlY3JldC1wYXJ0!'])
    assert.throws(
      () => parseImageAuth(text),
      (error: Error) => !/secret/.test(error.message),
    )
})

test('an image is one of two', async () => {
  const catalogue = {
    find: async (id: string) => (id === 'image-1' ? { uri: 'r.io/a/b:c', name: 'saved' } : undefined),
  }
  const choose = (wish: Parameters<typeof chooseImage>[0]) => chooseImage(wish, catalogue, '100')
  assert.deepEqual(await choose({ imageId: 'image-1', imageUrl: '' }), {
    imageId: 'image-1',
    imageUrl: 'r.io/a/b:c',
    imageName: 'saved',
  })
  assert.deepEqual(await choose({ imageUrl: 'r.io/x/torch:2' }), {
    imageId: '',
    imageUrl: 'r.io/x/torch:2',
    imageName: 'torch:2',
  })
  for (const [wish, field] of [
    [{}, 'ImageUrl'],
    [{ imageId: 'image-1', imageUrl: 'r.io/a/b' }, 'ImageUrl'],
    [{ imageId: 'image-2' }, 'ImageId'],
    [{ imageUrl: 'not an image' }, 'ImageUrl'],
    [{ imageUrl: '169.254.169.254/a/b' }, 'ImageUrl'],
    [{ imageUrl: '[fe80::1]:80/a/b' }, 'ImageUrl'],
  ] as const)
    await assert.rejects(choose(wish), { code: 'parameter_invalid', details: { field } })
  assert.equal(pulledReference('debian'), 'docker.io/library/debian:latest')
  assert.equal(pulledReference('r.io/a/b:c'), 'r.io/a/b:c')
})

test('reasons and ends', () => {
  assert.equal(endOf({ status: 'running', isOutOfMemory: false }), undefined)
  assert.equal(endOf({ status: 'paused', isOutOfMemory: false }), undefined)
  assert.equal(endOf({ status: 'created', isOutOfMemory: false })?.reasonCode, 'ContainerNotStarted')
  assert.equal(reasonOf(new Error('/etc/secret')).reasonCode, 'InternalError')
})

forEachStore('what is asked for', (open) => {
  test('a request that breaks a rule makes nothing, and names the field', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    await service.running({ name: 'taken' })
    const rows: readonly (readonly [Partial<NewInstanceDraft>, string])[] = [
      [{ name: 'a-b' }, 'InstanceName'],
      [{ name: 'x'.repeat(28) }, 'InstanceName'],
      [{ name: 'taken' }, 'InstanceName'],
      [{ imageUrl: '' }, 'ImageUrl'],
      [{ imageId: 'image-9', imageUrl: '' }, 'ImageId'],
      [{ ecsSpec: '' }, 'EcsSpec'],
      [{ ecsSpec: 'ecs.none' }, 'EcsSpec'],
      [{ requested: { cpu: '1' } }, 'RequestedResource'],
      [{ ecsSpec: '', requested: { memory: 'x' } }, 'RequestedResource.Memory'],
      [{ priority: 10 }, 'Priority'],
      [{ imageAuth: 'bm9jb2xvbg==' }, 'ImageAuth'],
      [{ environment: { 'A B': '1' } }, 'EnvironmentVariables'],
      [{ environment: { A: 'x\0' } }, 'EnvironmentVariables.A'],
      [{ onStart: 'x'.repeat(70_000) }, 'UserCommand.OnStart.Content'],
      [{ labels: new Map([['', 'x']]) }, 'Labels'],
      [{ tags: new Map([['k', 'x'.repeat(300)]]) }, 'Tag'],
      [{ datasets: [{ uri: 'oss://b', mountPath: '/d' }] }, 'Datasets[0].Uri'],
      [{ userId: '200' }, 'UserId'],
    ]
    for (const [patch, field] of rows)
      await assert.rejects(
        service.instances.create({ ...DRAFT, ...patch }, ALICE),
        (error: Error & { details: { field: string } }) => {
          assert.equal(error.details.field, field)
          return error.message.startsWith(field)
        },
      )
    const page = { sortBy: 'createdMs', order: 'asc', offset: 0, limit: 10 } as const
    assert.equal((await store.instances.list({}, page)).total, 1)
  })

  test('secrets are not in the rows, and come back to the owner alone', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { instances } = service
    const draft = { environment: { TOKEN: 'hush-env' }, onStart: 'hush-script', imageAuth: base64('ann:hush-auth') }
    const id = await service.running({ ...draft, accessibility: 'PUBLIC' })
    assert.doesNotMatch(JSON.stringify(await store.instances.find(id)), /hush|aHVzaC/)
    assert.deepEqual(service.runtime.containers.get(id)?.spec.imageAuth, { username: 'ann', password: 'hush-auth' })
    const mine = await instances.get(id, ALICE)
    assert.deepEqual(mine.private, { environment: { TOKEN: 'hush-env' }, onStart: 'hush-script' })
    assert.equal(Buffer.from(mine.maskedImageAuth ?? '', 'base64').toString(), 'ann:******')
    const others = await instances.get(id, BOB)
    assert.deepEqual(
      [others.private, others.maskedImageAuth, others.accessToken],
      [{ environment: {} }, undefined, undefined],
    )
  })

  test('a View token shows a private instance until its time is over, an Access token opens it', async () => {
    await using service = openTestInstances(await open())
    const { instances } = service
    const id = await service.running()
    const token = await makeToken(instances.parts, { instanceId: id, type: 'View', expireSeconds: 60 }, ALICE)
    assert.equal((await instances.get(id, BOB, token)).record.instanceId, id)
    assert.equal(readViewToken(instances.parts, token), id)
    for (const bad of [
      '',
      'x',
      await makeToken(instances.parts, { instanceId: id, type: 'View', expireSeconds: 0 }, ALICE),
    ])
      await assert.rejects(instances.get(id, BOB, bad), { code: 'instance_not_found' })
    const access = await makeToken(instances.parts, { instanceId: id, type: 'Access' }, ROOT)
    assert.equal(service.runtime.containers.get(id)?.spec.accessToken, access)
    await assert.rejects(makeToken(instances.parts, { instanceId: id, type: 'Access' }, BOB), {
      code: 'instance_not_found',
    })
  })

  test('an update changes what it names, and nothing else', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { instances, runtime, until } = service
    const id = await service.running({
      environment: { A: '1' },
      echo: { Driver: '1', UserVpc: { VpcId: 'v', ForwardInfos: [1] } },
    })
    const update = (draft: Partial<InstanceDraft>, more = {}) =>
      instances.update(id, { draft: { echo: {}, ...draft }, removal: { echo: [] }, start: false, ...more }, ALICE)
    await update({ name: 'other', priority: 5 })
    assert.equal(runtime.containers.size, 1)
    for (const [draft, field] of [
      [{ name: 'other' }, 'InstanceName'],
      [{ ecsSpec: DRAFT.ecsSpec! }, 'EcsSpec'],
      [{ priority: 5 }, 'Priority'],
    ] as const)
      await assert.rejects(update(draft), { code: 'parameter_invalid', details: { field } })
    for (const draft of [
      { ecsSpec: 'ecs.c6.large' },
      { imageUrl: 'r.io/a/b:c' },
      { environment: {} },
      { onStart: 'x' },
    ])
      await assert.rejects(update(draft), { code: 'instance_state_invalid' })
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    const old = runtime.containers.get(id)?.containerId
    await update(
      { ecsSpec: 'ecs.c6.large' },
      { removal: { environment: true, echo: ['Driver', 'UserVpc.ForwardInfos'] }, start: true },
    )
    const running = await until(id, isStatus('Running'))
    assert.notEqual(runtime.containers.get(id)?.containerId, old)
    assert.deepEqual(runtime.containers.get(id)?.spec.environment, {})
    assert.deepEqual(
      [running?.cpuMilli, running?.name, running?.spec.echo],
      [2000, 'other', { UserVpc: { VpcId: 'v' } }],
    )
    assert.equal(runtime.volumes.size, 1, 'the workspace stays')
    await assert.rejects(update({}, { start: true }), { code: 'instance_state_invalid' })
  })
})
