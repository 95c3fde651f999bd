import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { testedEngines } from '#lab/engine.ts'
import { openWorld, type World } from '#lab/world.ts'
import { OfficialClient, type Body } from './client.ts'
import { CLIENTS, openClient, type ClientName } from './clients.ts'
import { createRunning, deleteInstance, follow, saveAs, TO_RUNNING, TO_STOPPED_SAVED } from './main-flow.ts'

const SPEC = { Accessibility: 'PRIVATE', RequestedResource: { CPU: '1', Memory: '256Mi' } }
const SAMPLE_POLICY = 'TintypeResearcher'
const SAMPLE_REPOSITORY = 'registry.example.com/your-team'
const ON_START = 'mkdir -p /opt/left-out && echo big > /opt/left-out/file && echo by OnStart > /opt/started'

// One engine takes them all, side by side, as one server has many users. The other engines: in the long suite.
const engines = process.env['TINTYPE_TEST_LONG'] === '1' ? testedEngines() : testedEngines().slice(0, 1)
for (const engine of engines.filter((name) => name !== 'podman'))
  describe(`official clients on ${engine}`, { concurrency: CLIENTS.length }, () => {
    let world: World
    before(async () => void (world = await openWorld(engine)))
    after(() => world[Symbol.asyncDispose]())

    for (const name of CLIENTS)
      test(`${name}: create, change, save, start again from the image, stop with an image, delete`, async () => {
        await using program = await openClient(name)
        const account = new OfficialClient(name, world.server, program.send)
        await runMainFlow(name, account, world)
      })
  })

async function runMainFlow(name: ClientName, account: OfficialClient, world: World): Promise<void> {
  const team = `team-${name.toLowerCase()}`
  const user = await makeResearcher(account, name, `${world.registry.host}/${team}`)

  const instanceId = await createRunning(user, {
    ...SPEC,
    InstanceName: `${name}_first`,
    ImageUrl: world.imageUrl,
    Labels: [{ Key: 'stage', Value: 'draft' }],
    EnvironmentVariables: { GREETING: 'hello' },
    UserCommand: { OnStart: { Content: ON_START } },
  })
  const inFirst = (...command: readonly string[]) => world.exec(instanceId, ...command)
  await inFirst('sh', '-c', 'until [ -e /opt/started ]; do usleep 50000; done')
  assert.equal(await inFirst('sh', '-c', 'echo $GREETING'), 'hello')
  await changeInstance(user, instanceId, name)
  await inFirst('sh', '-c', 'echo changed > /opt/change; rm /base/file; echo kept > /mnt/workspace/file')

  const saved = await saveAs(user, instanceId, {
    SnapshotName: 'v1',
    ImageUrl: `${world.registry.host}/${team}/saved`,
    SnapshotDescription: `by ${name}`,
    ExcludePaths: ['/opt/left-out'],
    Labels: [{ Key: 'kind', Value: 'first' }],
  })
  await checkSnapshot(user, saved, { instanceId, team, world })
  await checkRefusals(user, saved, world)
  await checkImage(user, saved)

  const second = await createRunning(user, { ...SPEC, InstanceName: `${name}_second`, ImageId: saved['ImageId'] })
  const inSecond = (script: string) => world.exec(second, 'sh', '-c', script)
  assert.equal(await inSecond('cat /opt/change /opt/started'), 'changed\nby OnStart')
  assert.equal(await inSecond('ls /opt/left-out /base/file /mnt/workspace/file 2>/dev/null || true'), '')
  assert.equal((await user.body('GetInstance', { params: { InstanceId: second } }))['ImageId'], saved['ImageId'])

  await stopSaving(user, instanceId, world, team)
  await follow(user, {
    action: 'GetInstance',
    params: { InstanceId: await startAgain(user, instanceId) },
    states: ['Stopped', ...TO_RUNNING],
  })
  assert.equal(await inFirst('cat', '/mnt/workspace/file'), 'kept')

  await deleteAll(user, name, [instanceId, second])
}

/** A user with the policy that every installation has, for one repository; the account makes it, over the same client. */
async function makeResearcher(account: OfficialClient, name: string, repository: string): Promise<OfficialClient> {
  const UserName = `${name}-user`
  const PolicyName = `${name}-researcher`
  await account.body('CreateUser', { query: { UserName } })
  const sample = await account.body('GetPolicy', { query: { PolicyName: SAMPLE_POLICY, PolicyType: 'Custom' } })
  const text = String(sample['DefaultPolicyVersion'].PolicyDocument)
  assert.ok(text.includes(SAMPLE_REPOSITORY), text)
  const PolicyDocument = text.replaceAll(SAMPLE_REPOSITORY, repository)
  await account.body('CreatePolicy', { query: { PolicyName, PolicyDocument } })
  await account.body('AttachPolicyToUser', { query: { PolicyName, PolicyType: 'Custom', UserName } })
  const { AccessKey: key } = await account.body('CreateAccessKey', { query: { UserName } })
  return account.as({ id: key.AccessKeyId, secret: key.AccessKeySecret })
}

async function changeInstance(user: OfficialClient, InstanceId: string, name: string): Promise<void> {
  const params = { InstanceId }
  const InstanceName = `${name}_renamed`
  await user.body('UpdateInstance', { params, body: { InstanceName, Priority: 5 } })
  await user.body('UpdateInstanceLabels', { params, body: { Labels: [{ Key: 'owner', Value: name }] } })
  await user.body('DeleteInstanceLabels', { params, query: { LabelKeys: 'stage' } })
  await user.body('CreateInstanceShutdownTimer', { params, body: { RemainingTimeInMs: 3_600_000 } })
  const culler = { CpuPercentThreshold: 5, MaxIdleTimeInMinutes: 90 }
  await user.body('CreateIdleInstanceCuller', { params, body: culler })
  const seen = await user.body('GetInstance', { params })
  assert.equal(seen['InstanceName'], InstanceName)
  assert.deepEqual(seen['Labels'], [{ Key: 'owner', Value: name }])
  assert.equal(seen['Priority'], 5)
  assert.ok(seen['InstanceShutdownTimer'].RemainingTimeInMs > 3_500_000)
  assert.equal(seen['IdleInstanceCuller'].MaxIdleTimeInMinutes, 90)
  await user.body('DeleteInstanceShutdownTimer', { params })
  await user.body('DeleteIdleInstanceCuller', { params })
  const listed = await user.body('ListInstances', { query: { InstanceName, ResourceId: 'ALL' } })
  assert.deepEqual([listed['TotalCount'], listed['Instances'][0].InstanceId], [1, InstanceId])
}

interface Place {
  readonly instanceId: string
  readonly team: string
  readonly world: World
}

async function checkSnapshot(user: OfficialClient, saved: Body, { instanceId, team, world }: Place): Promise<void> {
  assert.equal(saved['ImageUrl'], `${world.registry.host}/${team}/saved:v1`)
  assert.deepEqual(saved['ExcludePaths'], ['/opt/left-out'])
  assert.deepEqual(saved['Labels'], [{ Key: 'kind', Value: 'first' }])
  assert.match(saved['GmtCreateTime'], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.ok(await world.digestOf(`${team}/saved`, 'v1'), 'the tag is in the registry')
  const query = { SortBy: 'gmtCreate', Order: 'Desc', PageNumber: 1, PageSize: 10 }
  const listed = await user.body('ListInstanceSnapshot', { params: { InstanceId: instanceId }, query })
  assert.equal(listed['TotalCount'], 1)
  const { RequestId: _1, Success: _2, HttpStatusCode: _3, Code: _4, Message: _5, ...item } = saved
  assert.deepEqual(listed['Snapshots'], [item])
  const instance = await user.body('GetInstance', { params: { InstanceId: instanceId } })
  assert.equal(instance['LatestSnapshot'].ImageId, saved['ImageId'])
  assert.equal(instance['LatestSnapshot'].Status, 'Saved')
}

async function checkRefusals(user: OfficialClient, saved: Body, world: World): Promise<void> {
  const params = { InstanceId: String(saved['InstanceId']) }
  const again = { SnapshotName: 'v1', ImageUrl: String(saved['ImageUrl']) }
  const taken = await user.failure('CreateInstanceSnapshot', { params, body: again })
  assert.deepEqual([taken.code, taken.status], ['ValidationError', 400])
  const foreign = { SnapshotName: 'v1', ImageUrl: `${world.registry.host}/another-team/saved:v1` }
  const denied = await user.failure('CreateInstanceSnapshot', { params, body: foreign })
  assert.deepEqual([denied.code, denied.status], ['NoPermission', 403])
  assert.equal(denied.denied?.['AuthAction'], 'paidsw:CreateInstanceSnapshot')
  assert.equal(await world.digestOf('another-team/saved', 'v1'), undefined)
}

async function checkImage(user: OfficialClient, saved: Body): Promise<void> {
  const Labels = `system.dsw.fromInstanceId=${saved['InstanceId']}`
  const listed = await user.body('ListImages', { query: { Labels, Verbose: true } })
  assert.equal(listed['TotalCount'], 1)
  const [image] = listed['Images']
  assert.deepEqual([image.ImageId, image.Name, image.ImageUri], [saved['ImageId'], 'v1', saved['ImageUrl']])
  const { Labels: labels } = await user.body('GetImage', {
    params: { ImageId: image.ImageId },
    query: { Verbose: true },
  })
  const values = new Map(labels.map(({ Key, Value }: Record<string, string>) => [Key, Value]))
  assert.equal(values.get('system.dsw.fromInstanceId'), saved['InstanceId'])
}

/** Stop with SaveImage=true: a second snapshot, in the repository of the first. */
async function stopSaving(user: OfficialClient, InstanceId: string, world: World, team: string): Promise<void> {
  const params = { InstanceId }
  await user.body('StopInstance', { params, query: { SaveImage: true } })
  await follow(user, { action: 'GetInstance', params, states: TO_STOPPED_SAVED })
  const { Snapshots: snapshots } = await user.body('ListInstanceSnapshot', { params })
  assert.deepEqual([snapshots.length, snapshots[0].Status], [2, 'Saved'])
  const [, tag] = String(snapshots[0].ImageUrl).split(`${world.registry.host}/${team}/saved:`)
  assert.ok(tag && (await world.digestOf(`${team}/saved`, tag)), `${snapshots[0].ImageUrl} is in the registry`)
}

async function startAgain(user: OfficialClient, InstanceId: string): Promise<string> {
  await user.body('StartInstance', { params: { InstanceId } })
  return InstanceId
}

async function deleteAll(user: OfficialClient, name: string, instanceIds: readonly [string, string]): Promise<void> {
  const [first] = instanceIds
  const { Snapshots: snapshots } = await user.body('ListInstanceSnapshot', { params: { InstanceId: first } })
  for (const { SnapshotId } of snapshots) {
    const params = { InstanceId: first, SnapshotId }
    assert.equal((await user.body('DeleteInstanceSnapshot', { params }))['SnapshotId'], SnapshotId)
    assert.equal((await user.failure('GetInstanceSnapshot', { params })).status, 404)
  }
  for (const instanceId of instanceIds) await deleteInstance(user, instanceId)
  for (const { ImageId } of snapshots) {
    await user.body('RemoveImage', { params: { ImageId } })
    assert.equal((await user.failure('GetImage', { params: { ImageId } })).status, 404)
  }
  const query = { InstanceName: name, ResourceId: 'ALL' }
  assert.equal((await user.body('ListInstances', { query }))['TotalCount'], 0)
}
