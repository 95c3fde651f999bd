import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACCOUNT_ID, openApiServer, ROOT_KEY, USER_KEY } from '#lab/api-server.ts'
import { openTestInstances, isStatus } from '#lab/instance-service.ts'
import { AheadClock, partsOf, PlayedInstances, PlayedRegistries, PlayedRuntime } from '#lab/snapshots.ts'
import { signedClient, type Answer } from '#lab/signed-client.ts'
import { forEachStore, type OpenTestStore } from '#lab/stores.ts'
import { dswRoutes } from '#http/dsw/dsw.ts'
import { openSnapshots } from '#service/snapshots/snapshots.ts'

const API = '/api/v2/instances'
const BODY = { InstanceName: 'train', ImageUrl: 'registry.local/lab/base:v1', EcsSpec: 'ecs.n4.small' }
/** Everything but the right to see what is private to others. */
const POLICY = {
  Version: '1',
  Statement: [
    { Effect: 'Allow', Action: 'paidsw:*', Resource: '*' },
    { Effect: 'Deny', Action: 'paidsw:ListAllInstances', Resource: '*' },
  ],
}

async function openApi(open: OpenTestStore) {
  const store = await open()
  const service = openTestInstances(store)
  const played = {
    instances: new PlayedInstances(),
    registries: new PlayedRegistries(),
    runtime: new PlayedRuntime(),
    clock: new AheadClock(),
  }
  const snapshots = openSnapshots(partsOf({ store, ...played }, 'server'))
  const routes = dswRoutes({ instances: service.instances, snapshots, region: 'local' })
  const server = await openApiServer({ routes, policy: POLICY })
  const root = signedClient(server.url, ROOT_KEY)
  return {
    service,
    root,
    ann: signedClient(server.url, USER_KEY),
    /** Made by the account, and running. */
    async running(body: object = {}): Promise<string> {
      const answer = await root(`POST ${API}`, { body: { ...BODY, ...body } })
      assert.equal(answer.status, 200, answer.text)
      const id = String(answer.json['InstanceId'])
      await service.until(id, isStatus('Running'))
      return id
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await snapshots[Symbol.asyncDispose]()
      await service[Symbol.asyncDispose]()
    },
  }
}

/** Status, Code, and whether the sentence names the field. */
function assertRefused({ status, json, text }: Answer, expected: number, field: string): void {
  assert.deepEqual([status, json['Code']], [expected, 'ValidationError'], text)
  assert.notEqual(json['Success'], true)
  assert.match(String(json['Message']), new RegExp(field.replace(/[[\]]/g, '\\$&')))
}

forEachStore('instances over HTTP', (open) => {
  test('an instance is created, read, listed, changed, stopped, started and deleted', async () => {
    await using api = await openApi(open)
    const { root, service } = api
    const sent = {
      EnvironmentVariables: { A: 'b' },
      Labels: [{ Key: 'team', Value: 'x' }],
      Tag: [{ Key: 'cost', Value: 'y' }],
      ImageAuth: Buffer.from('ann:secret').toString('base64'),
      Driver: '535.54.03',
      UserCommand: { OnStart: { Content: 'echo hi' } },
      CloudDisks: [{ Capacity: '100Gi', SubType: 'rootfs' }],
    }
    const id = await api.running(sent)
    const { json } = await root(`GET ${API}/${id}`)
    assert.deepEqual(
      {
        Status: json['Status'],
        InstanceName: json['InstanceName'],
        EnvironmentVariables: json['EnvironmentVariables'],
        Labels: json['Labels'],
        Tags: json['Tags'],
        ImageAuth: Buffer.from(String(json['ImageAuth']), 'base64').toString(),
        Driver: json['Driver'],
        CloudDisks: json['CloudDisks'],
        ImageName: json['ImageName'],
        UserId: json['UserId'],
        InstanceSnapshotList: json['InstanceSnapshotList'],
        Datasets: json['Datasets'],
        PaymentType: json['PaymentType'],
      },
      {
        Status: 'Running',
        InstanceName: 'train',
        EnvironmentVariables: sent.EnvironmentVariables,
        Labels: sent.Labels,
        Tags: [{ TagKey: 'cost', TagValue: 'y' }],
        ImageAuth: 'ann:******',
        Driver: sent.Driver,
        CloudDisks: sent.CloudDisks,
        ImageName: 'base:v1',
        UserId: ACCOUNT_ID,
        InstanceSnapshotList: [],
        Datasets: [],
        PaymentType: 'PayAsYouGo',
      },
    )
    assert.match(String(json['GmtCreateTime']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.match(String(json['JupyterlabUrl']), new RegExp(`/${id}/lab$`))
    const command = await root(`GET /api/v2/usercommands/${String(json['UserCommandId'])}`)
    assert.deepEqual(command.json['OnStart'], { Content: 'echo hi' })
    const list = await root(`GET ${API}`, { query: `InstanceName=rai&Labels=${encodeURIComponent('{"team":"x"}')}` })
    const [item] = list.json['Instances'] as Record<string, unknown>[]
    assert.deepEqual([item?.['InstanceId'], list.json['TotalCount']], [id, 1])
    assert.equal((await root(`PUT ${API}/${id}`, { body: { Priority: 7 } })).status, 200)
    assertRefused(await root(`PUT ${API}/${id}`, { body: { Priority: 7 } }), 400, 'Priority')
    assert.equal((await root(`PUT ${API}/${id}/stop`)).status, 200)
    await service.until(id, isStatus('Stopped'))
    assert.equal((await root(`PUT ${API}/${id}/start`)).status, 200)
    await service.until(id, isStatus('Running'))
    assert.equal((await root(`DELETE ${API}/${id}`)).status, 200)
    await service.until(id, (record) => record === undefined)
    assertRefused(await root(`GET ${API}/${id}`), 404, id)
  })

  test('what breaks a rule is a ValidationError that names the field', async () => {
    await using api = await openApi(open)
    await api.running()
    for (const [body, field] of [
      [{}, 'InstanceName'],
      [{ InstanceName: 'a-b' }, 'InstanceName'],
      [{ InstanceName: 'b', ImageUrl: '' }, 'ImageUrl'],
      [{ InstanceName: 'b', EcsSpec: '' }, 'EcsSpec'],
      [{ InstanceName: 'b', EcsSpec: 'ecs.none' }, 'EcsSpec'],
      [{ InstanceName: 'b', Priority: 10 }, 'Priority'],
      [{ InstanceName: 'b', Datasets: [{ Uri: 'nas://x', MountPath: '/d' }] }, 'Datasets[0].Uri'],
      [{ InstanceName: 'b', Datasets: [{ Uri: 'file:///etc', MountPath: '/d' }] }, 'Datasets[0].Uri'],
    ] as const)
      assertRefused(await api.root(`POST ${API}`, { body: { ...BODY, ...body } }), 400, field)
    for (const [query, field] of [
      ['SortBy=Priority', 'Order'],
      ['Status=Odd', 'Status'],
      ['PageSize=101', 'PageSize'],
    ] as const)
      assertRefused(await api.root(`GET ${API}`, { query }), 400, field)
  })

  test("another's private instance is 404 everywhere, a public one is seen", async () => {
    await using api = await openApi(open)
    const id = await api.running()
    for (const [line, body] of [
      [`GET ${API}/${id}`],
      [`PUT ${API}/${id}/stop`],
      [`DELETE ${API}/${id}`],
      [`PUT ${API}/${id}`, { Priority: 2 }],
      [`GET ${API}/${id}/lifecycle`],
      [`GET ${API}/${id}/events`],
      [`GET ${API}/${id}/shutdowntimer`],
      [`POST ${API}/${id}/shutdowntimer`, { RemainingTimeInMs: 5000 }],
      [`PUT ${API}/${id}/labels`, { Labels: [{ Key: 'a', Value: 'b' }] }],
    ] as const)
      assertRefused(await api.ann(line, body === undefined ? {} : { body }), 404, id)
    assertRefused(await api.ann('GET /api/v2/tokens', { query: `InstanceId=${id}` }), 404, id)
    assert.equal((await api.ann(`GET ${API}`)).json['TotalCount'], 0)
    const { json } = await api.root('GET /api/v2/tokens', { query: `InstanceId=${id}&Type=View` })
    const shown = await api.ann(`GET ${API}/${id}`, { query: `Token=${encodeURIComponent(String(json['Token']))}` })
    assert.equal(shown.json['InstanceId'], id)
    await api.root(`PUT ${API}/${id}`, { body: { Accessibility: 'PUBLIC' } })
    assert.equal((await api.ann(`GET ${API}`)).json['TotalCount'], 1)
    assert.equal((await api.ann(`GET ${API}/${id}`)).json['ServiceConfig'], undefined)
  })

  test('batches tell what was done, and what was not', async () => {
    await using api = await openApi(open)
    const [one, two] = [await api.running(), await api.running({ InstanceName: 'second' })]
    const stopped = await api.root('PUT /api/v2/batch/instances/stop', { body: { InstanceIds: [one, 'dsw-x'] } })
    assert.deepEqual([stopped.status, stopped.json['InstanceIds']], [200, [one]])
    assert.deepEqual([stopped.json['Success'], stopped.json['Code']], [false, 'ValidationError'])
    assert.match(String(stopped.json['Message']), /^1 of 2 instances stay as they are. dsw-x: /)
    assert.match(String((stopped.json['AccessDeniedDetail'] as Record<string, string>)['dsw-x']), /no instance/)
    const none = await api.ann('PUT /api/v2/batch/instances/delete', { body: { InstanceIds: [two] } })
    assertRefused(none, 404, two)
    const deleted = await api.root('PUT /api/v2/batch/instances/delete', { body: { InstanceIds: [one, two] } })
    assert.deepEqual(deleted.json['InstanceIds'], [one, two])
    assertRefused(await api.root('PUT /api/v2/batch/instances/stop', { body: { InstanceIds: [] } }), 400, 'InstanceIds')
  })

  test('timers, cullers, labels, history, numbers and records', async () => {
    await using api = await openApi(open)
    const { root } = api
    const id = await api.running()
    const ok = async (line: string, options: Parameters<typeof root>[1] = {}) => {
      const answer = await root(line, options)
      assert.equal(answer.status, 200, `${line}: ${answer.text}`)
      return answer.json
    }
    await ok(`POST ${API}/${id}/shutdowntimer`, { body: { RemainingTimeInMs: 3_600_000 } })
    assert.ok(Number((await ok(`GET ${API}/${id}/shutdowntimer`))['RemainingTimeInMs']) > 3_000_000)
    await ok(`POST ${API}/${id}/idleinstanceculler`, { body: { CpuPercentThreshold: 20, MaxIdleTimeInMinutes: 60 } })
    assert.equal((await ok(`GET ${API}/${id}/idleinstanceculler`))['CpuPercentThreshold'], 20)
    const policies = await ok('PUT /api/v2/batch/autoshutdownpolicies/query', { body: { InstanceIds: [id] } })
    assert.match(JSON.stringify(policies), /IdleDuration > 60 min AND CpuUtilization <= 20%/)
    const details = await ok(`GET ${API}/${id}`)
    assert.ok(details['IdleInstanceCuller'] && details['InstanceShutdownTimer'])
    await ok(`DELETE ${API}/${id}/idleinstanceculler`)
    await ok(`DELETE ${API}/${id}/shutdowntimer`)
    assertRefused(await root(`GET ${API}/${id}/shutdowntimer`), 404, 'timer')
    await ok(`PUT ${API}/${id}/labels`, {
      body: {
        Labels: [
          { Key: 'a', Value: '1' },
          { Key: 'b', Value: '2' },
        ],
      },
    })
    await ok(`DELETE ${API}/${id}/labels`, { query: 'LabelKeys=a,c' })
    assert.deepEqual((await ok(`GET ${API}/${id}`))['Labels'], [{ Key: 'b', Value: '2' }])
    const [session] = (await ok(`GET ${API}/${id}/lifecycle`))['Lifecycle'] as { Status: string }[][]
    assert.deepEqual(
      session?.map(({ Status }) => Status),
      ['Creating', 'EnvPreparing', 'Starting', 'Running'],
    )
    const events = (await ok(`GET ${API}/${id}/events`, { query: 'Reverse=true&MaxEventsNum=1' }))['Events'] as string[]
    assert.match(events.join(), /Z Info The instance is running\.$/)
    await ok(`GET /api/v2/instance/${id}/metrics`, { query: 'MetricType=CpuCoreUsage&TimeStep=5m' })
    const cms = await ok(`GET /api/v2/instance/${id}/cms/metrics`, {
      query: 'MetricName=CpuCoreUsage&Namespace=acs_pai_dsw',
    })
    assert.ok(Array.isArray(JSON.parse(String(cms['Datapoints']))))
    assertRefused(await root(`GET /api/v2/instance/${id}/cms/metrics`, { query: 'MetricName=odd' }), 400, 'MetricName')
    const specs = await ok('GET /api/v2/ecsspecs', { query: 'AcceleratorType=CPU&PageSize=2' })
    assert.equal((specs['EcsSpecs'] as unknown[]).length, 2)
    assert.deepEqual((await ok('GET /api/v2/instancestatistics', { query: 'WorkspaceIds=1,2' }))['Statistics'], {
      1: { Running: 1 },
      2: {},
    })
    const period = 'StartTime=2026-01-01T00:00:00Z&EndTime=2026-01-02T00:00:00Z'
    await ok('GET /api/v2/resourcegroupstatistics', { query: `WorkspaceIds=1&ResourceId=rg-1&${period}` })
    assert.equal((await ok('GET /api/v2/userconfig'))['AccountSufficient'], true)
    assert.deepEqual(
      (await ok('POST /api/v2/diagnoses', { body: { InstanceId: id, ProblemCategory: 'InstanceStartFailed' } }))[
        'ReasonCode'
      ],
      '',
    )
    assert.deepEqual((await ok('GET /api/v2/systemlogs', { query: `InstanceId=${id}` }))['SystemLogs'], [])
    const { TaskId } = await ok('POST /api/v2/sanitychecks/SSH', { body: { InstanceId: id } })
    assert.equal(
      (await ok(`GET /api/v2/sanitychecks/SSH/${String(TaskId)}`, { query: 'Verbose=true' }))['InstanceId'],
      id,
    )
    const { TempFileTaskId } = await ok('POST /api/v2/tempfiletasks', { body: { InstanceId: id } })
    const { TempFileId } = await ok('POST /api/v2/tempfiles', {
      body: { Name: 'f', TaskId: TempFileTaskId, Capacity: 10 },
    })
    assert.equal((await ok(`GET /api/v2/tempfiles/${String(TempFileId)}`))['Uuid'], TempFileId)
    assert.equal((await ok('GET /api/v2/tempfiles'))['TotalCount'], 1)
    await ok(`PUT /api/v2/tempfiles/${String(TempFileId)}`, { body: { Status: 'Uploaded' } })
    assert.equal((await api.ann(`GET /api/v2/tempfiles/${String(TempFileId)}`)).status, 404)
    await ok(`DELETE /api/v2/tempfiles/${String(TempFileId)}`)
    await ok(`PUT /api/v2/tempfiletasks/${String(TempFileTaskId)}`, { body: {} })
    assert.equal((await ok(`GET /api/v2/tempfiletasks/${String(TempFileTaskId)}`))['Uuid'], TempFileTaskId)
    await ok(`PUT /api/v2/batch/tempfiletasks/delete`, { body: { TempFileTaskIds: [TempFileTaskId] } })
    assert.equal((await root(`DELETE /api/v2/tempfiletasks/${String(TempFileTaskId)}`)).status, 404)
  })
})
