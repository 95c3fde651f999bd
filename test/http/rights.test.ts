import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACCOUNT_ID, openApiServer, USER_ID, USER_KEY } from '#lab/api-server.ts'
import { signedClient } from '#lab/signed-client.ts'
import { openSnapshotServer } from '#lab/snapshot-server.ts'
import { forEachStore } from '#lab/stores.ts'
import { stsRoutes } from '#http/ram/sts.ts'
import { userRoutes } from '#http/ram/users.ts'
import type { Identities } from '#service/identities/identities.ts'
import { AppError } from '#base/errors.ts'

/** What policies say of something must hold whichever operation is asked, and by whichever name. */
const arnOf = (instanceId: string) => `acs:paidsw:*:*:workspace/*/dswinstance/${instanceId}`
const allow = (Action: string, Resource = '*') => ({ Effect: 'Allow', Action, Resource })
const deny = (Action: string, Resource: string) => ({ Effect: 'Deny', Action, Resource })
const ANN = { userId: USER_ID, seesAll: false }
const batch = (verb: 'stop' | 'delete') => `PUT /api/v2/batch/instances/${verb}`

forEachStore('rights over HTTP', (open) => {
  for (const [verb, right] of [
    ['stop', 'paidsw:StopInstance'],
    ['delete', 'paidsw:DeletePostPaidInstance'],
  ] as const)
    test(`a batch to ${verb} leaves alone what is denied by the name of the single operation`, async () => {
      const store = await open()
      const rights = [allow('paidsw:*'), deny(right, arnOf('dsw-*'))]
      await using server = await openSnapshotServer(store, rights)
      const id = await server.running({}, ANN)
      const { status, json, text } = await server.user(batch(verb), { body: { InstanceIds: ['nope', id] } })
      assert.notEqual(status, 200, text)
      const alone = await server.user(batch(verb), { body: { InstanceIds: [id] } })
      assert.equal(alone.status, 403)
      assert.equal((alone.json['AccessDeniedDetail'] as Record<string, string>)['NoPermissionType'], 'ExplicitDeny')
      assert.equal((await store.instances.find(id))?.status, 'Running', JSON.stringify(json))
    })

  test('a batch is allowed by any name of the right', async () => {
    const store = await open()
    await using server = await openSnapshotServer(store, [allow('paidsw:DeletePostPaidInstance', arnOf('*'))])
    const id = await server.running({}, ANN)
    const { status, json } = await server.user(batch('delete'), { body: { InstanceIds: [id] } })
    assert.deepEqual([status, json['InstanceIds']], [200, [id]])
    await server.until(id, (record) => record === undefined)
  })

  test('a batch is decided on one by one, in whatever order, and tells nothing of what the caller may not see', async () => {
    const store = await open()
    const mine = 'acs:paidsw:*:*:workspace/2/dswinstance/*'
    await using server = await openSnapshotServer(store, [allow('paidsw:StopInstance', mine)])
    const [hidden, shared] = [
      await server.running({ workspaceId: '7' }),
      await server.running({ accessibility: 'PUBLIC' }),
    ]
    const stop = (...InstanceIds: string[]) => server.user(batch('stop'), { body: { InstanceIds } })
    const refusal = async (...ids: string[]) => {
      const { status, json } = await stop(...ids)
      const { AuthResource } = json['AccessDeniedDetail'] as Record<string, string>
      return [status, AuthResource?.replace(/^.*:workspace/, 'workspace')]
    }
    assert.deepEqual(await refusal(hidden), await refusal('nope'), 'it may be there or not')
    assert.deepEqual(await refusal(hidden, shared), [403, `workspace/1/dswinstance/${shared}`])
    for (const isFirst of [true, false]) {
      const own = await server.running({ workspaceId: '2' }, ANN)
      const others = ['nope', shared, hidden]
      const { status, json, text } = await stop(...(isFirst ? [own, ...others] : [...others, own]))
      assert.deepEqual([status, json['InstanceIds']], [200, [own]], text)
    }
  })

  test('a batch of which some is denied says so; what policies say of labels holds', async () => {
    const store = await open()
    const inWorkspace = (rest: string) => `acs:paidsw:*:*:workspace/${rest}`
    await using server = await openSnapshotServer(store, [
      allow('paidsw:*'),
      deny('paidsw:StopInstance', inWorkspace('2/*')),
      deny('paidsw:UpdateInstanceLabels', inWorkspace('1/dswinstance/*/labels')),
    ])
    const [one, two] = [await server.running({}, ANN), await server.running({ workspaceId: '2' }, ANN)]
    const labelled = async (id: string) =>
      (await server.user(`PUT /api/v2/instances/${id}/labels`, { body: { Labels: [{ Key: 'a', Value: 'b' }] } })).status
    assert.deepEqual([await labelled(one), await labelled(two)], [403, 200])
    const { status, json, text } = await server.user(batch('stop'), { body: { InstanceIds: [one, two] } })
    assert.deepEqual(
      [status, json['Success'], json['Code'], json['InstanceIds']],
      [200, false, 'PermissionError', [one]],
      text,
    )
  })

  test('opening is a right of its own: who may look at everything gets no token, and sees no secret', async () => {
    const store = await open()
    const looking = [allow('paidsw:Get*'), allow('paidsw:List*')]
    await using server = await openSnapshotServer(store, looking)
    const id = await server.running({ environment: { TOKEN: 'secret-of-alice' } })
    const seen = await server.user(`GET /api/v2/instances/${id}`)
    assert.equal(seen.status, 200)
    assert.deepEqual([seen.json['EnvironmentVariables'], seen.json['ServiceConfig']], [{}, undefined])
    const list = await server.user('GET /api/v2/instances', { query: 'WorkspaceId=ALL&ResourceId=ALL' })
    assert.match(list.text, new RegExp(id))
    assert.doesNotMatch(list.text, /secret-of-alice|JupyterServerPassword/)
    const tokenOf = (type: string) => server.user('GET /api/v2/tokens', { query: `InstanceId=${id}&Type=${type}` })
    const { status, json } = await tokenOf('Access')
    const { AuthAction } = json['AccessDeniedDetail'] as Record<string, string>
    assert.deepEqual([status, AuthAction], [403, 'paidsw:OpenInstance'])
    const own = await server.running({ environment: { MINE: 'x' } }, ANN)
    const mine = await server.user(`GET /api/v2/instances/${own}`)
    assert.deepEqual([mine.json['EnvironmentVariables'], mine.json['ServiceConfig']], [{ MINE: 'x' }, undefined])
    const all = await server.account(`GET /api/v2/instances/${id}`)
    assert.match(all.text, /secret-of-alice.*JupyterServerPassword|JupyterServerPassword.*secret-of-alice/)
  })

  test('a workspace whose name would make another resource is none', async () => {
    const store = await open()
    await using server = await openSnapshotServer(store, [allow('*')])
    for (const WorkspaceId of ['a/b', 'a:b', '*', 'ALL']) {
      const body = { InstanceName: 'a', ImageUrl: 'r.example.com/a:1', EcsSpec: 'ecs.g6.large', WorkspaceId }
      const { status, json } = await server.user('POST /api/v2/instances', { body })
      assert.deepEqual([status, json['Code']], [400, 'ValidationError'], WorkspaceId)
      const image = { Name: 'a', ImageUri: 'r.example.com/a:1', WorkspaceId }
      assert.equal((await server.user('POST /api/v1/images', { body: image })).status, 400, WorkspaceId)
    }
  })

  test('images are also meant by the older form of their resources', async () => {
    const store = await open()
    await using server = await openSnapshotServer(store, [
      allow('pai:*', 'acs:pai:*:*:*'),
      deny('pai:RemoveImage', 'acs:pai:*:*:*'),
    ])
    const body = { Name: 'a', ImageUri: 'r.example.com/a:1' }
    const made = await server.user('POST /api/v1/images', { body })
    assert.equal(made.status, 200, made.text)
    assert.equal((await server.user(`DELETE /api/v1/images/${made.json['ImageId']}`)).status, 403)
  })

  test('what a session of a role makes is there for its next one, under the name of the role, and for no other role', async () => {
    const store = await open()
    const rest = { description: '', trustPolicy: '{}', maxSessionS: 3600, createdMs: 0, updatedMs: 0 }
    await store.roles.insert({ roleId: '301', name: 'ops', ...rest })
    await using server = await openSnapshotServer(store, [allow('paidsw:*'), deny('paidsw:ListAllInstances', '*')])
    const [first, next, other] = [server.session('301', 'a'), server.session('301', 'b'), server.session('302', 'a')]
    const body = { InstanceName: 'a', ImageUrl: 'r.example.com/a:1', EcsSpec: 'ecs.g6.large' }
    const made = await first('POST /api/v2/instances', { body })
    assert.equal(made.status, 200, made.text)
    const path = `GET /api/v2/instances/${made.json['InstanceId']}`
    const { json } = await next(path)
    assert.deepEqual([json['UserId'], json['UserName']], ['301', 'ops'])
    const statuses = [(await other(path)).status, (await server.user(path)).status]
    assert.deepEqual(statuses, [404, 404])
  })

  test('what is denied in a workspace is denied to who asks for several', async () => {
    const store = await open()
    const inTwo = 'acs:paidsw:*:*:workspace/2/*'
    await using server = await openSnapshotServer(store, [allow('paidsw:*'), deny('paidsw:*', inTwo)])
    const [elsewhere] = [await server.running({ workspaceId: '7' }), await server.running({ workspaceId: '2' })]
    const all = await server.user('GET /api/v2/instances', { query: 'WorkspaceId=ALL&ResourceId=ALL' })
    const found = (all.json['Instances'] as Record<string, string>[]).map(({ InstanceId }) => InstanceId)
    assert.deepEqual([all.status, found, all.json['TotalCount']], [200, [elsewhere], 1])
    const of = (path: string, WorkspaceIds: string, more = {}) =>
      server.user(`GET /api/v2/${path}`, { query: `${new URLSearchParams({ WorkspaceIds, ...more })}` })
    const [StartTime, EndTime] = ['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']
    for (const [path, more] of [
      ['instancestatistics', {}],
      ['resourcegroupstatistics', { ResourceId: 'x', StartTime, EndTime }],
    ] as const)
      assert.deepEqual([(await of(path, '7,2', more)).status, (await of(path, '7,9', more)).status], [403, 200], path)
  })

  test('what is private is seen in all workspaces, or in none of the list of all', async () => {
    const store = await open()
    const seeing = deny('paidsw:ListAllInstances', 'acs:paidsw:*:*:workspace/2/*')
    await using server = await openSnapshotServer(store, [allow('paidsw:*'), seeing])
    await server.running({ workspaceId: '2' })
    const mine = await server.running({ workspaceId: '2' }, ANN)
    const { json } = await server.user('GET /api/v2/instances', { query: 'WorkspaceId=ALL&ResourceId=ALL' })
    const found = (json['Instances'] as Record<string, string>[]).map(({ InstanceId }) => InstanceId)
    assert.deepEqual(found, [mine])
  })

  test('nobody takes a public instance from its owner; the account gives it away', async () => {
    const store = await open()
    await using server = await openSnapshotServer(store, [allow('paidsw:UpdateInstance'), allow('paidsw:GetInstance')])
    const id = await server.running({ accessibility: 'PUBLIC' })
    const owner = (await store.instances.find(id))?.userId
    const line = `PUT /api/v2/instances/${id}`
    const taken = await server.user(line, { body: { UserId: USER_ID } })
    assert.deepEqual([taken.status, taken.json['Code']], [400, 'ValidationError'])
    assert.equal((await server.user(line, { body: { UserId: owner, InstanceName: 'same_owner' } })).status, 200)
    assert.equal((await store.instances.find(id))?.userId, owner)
    assert.equal((await server.account(line, { body: { UserId: USER_ID } })).status, 200)
    assert.equal((await store.instances.find(id))?.userId, USER_ID)
  })

  test('a check and the shutdown policies are asked of the instance that they are about', async () => {
    const store = await open()
    await using server = await openSnapshotServer(store, [
      allow('paidsw:*', 'acs:paidsw:*:*:workspace/2/dswinstance/*'),
      deny('paidsw:*', arnOf('dsw-*-denied')),
    ])
    const { user } = server
    const [own, other] = [await server.running({ workspaceId: '2' }, ANN), await server.running({}, ANN)]
    const timer = { InstanceId: own, RemainingTimeInMs: 3_600_000 }
    const put = await user(`POST /api/v2/instances/${own}/shutdowntimer`, { body: timer })
    assert.equal(put.status, 200, put.text)
    const made = await user('POST /api/v2/sanitychecks/SSH', { body: { InstanceId: own } })
    assert.equal(made.status, 200, made.text)
    const check = `GET /api/v2/sanitychecks/SSH/${made.json['TaskId']}`
    assert.equal((await user(check)).json['InstanceId'], own)
    const policies = (...InstanceIds: string[]) =>
      user('PUT /api/v2/batch/autoshutdownpolicies/query', { body: { InstanceIds } })
    const asked = await policies(own, other)
    assert.equal((asked.json['AutoShutdownPolicies'] as object[]).length, 1, asked.text)
    assert.equal((await policies(other)).status, 403)
  })

  test('a registry is the same by each spelling of its name', async () => {
    const rights = [allow('tintype:*'), deny('tintype:UpdateRegistry', 'acs:tintype:*:*:registry/prod.example.com')]
    await using server = await openSnapshotServer(await open(), rights)
    const body = { Host: 'prod.example.com', UserName: 'ann', Password: 'secret' }
    assert.equal((await server.account('POST /tintype/v1/registries', { body })).status, 200)
    for (const name of ['prod.example.com', 'PROD.example.com']) {
      const answer = await server.user(`PUT /tintype/v1/registries/${name}`, { body: { PlainHttp: true } })
      assert.equal(answer.status, 403, answer.text)
    }
  })

  test('only the account says that an image is official', async () => {
    await using server = await openSnapshotServer(await open(), [allow('paidsw:*')])
    const id = await server.running({}, ANN)
    const Labels = [{ Key: 'system.official', Value: 'true' }]
    const body = { SnapshotName: 'v1', ImageUrl: 'r.example.com/team/app:v1', Labels }
    const answer = await server.user(`POST /api/v2/instances/${id}/snapshots`, { body })
    assert.deepEqual([answer.status, answer.json['Code']], [400, 'ValidationError'])
    assert.match(String(answer.json['Message']), /Labels/)
  })

  test('events of a snapshot that is not there are a 404', async () => {
    await using server = await openSnapshotServer(await open())
    const id = await server.running()
    const { status } = await server.account(`GET /tintype/v1/instances/${id}/snapshots/nope/events`)
    assert.equal(status, 404)
  })
})

forEachStore('numbers and lists at their ends', (open) => {
  test('ranges with a part of a unit, and beyond all numbers, are answered', async () => {
    await using server = await openSnapshotServer(await open())
    const id = await server.running()
    const count = async (query: string) => {
      const { status, json, text } = await server.account('GET /api/v2/instances', { query })
      assert.equal(status, 200, `${query}: ${text}`)
      return (json['Instances'] as { InstanceId: string }[]).filter(({ InstanceId }) => InstanceId === id).length
    }
    // It has one core, two GiB and no GPU.
    assert.equal(await count('MinGpu=500'), 0)
    assert.equal(await count('MaxGpu=500'), 1)
    assert.equal(await count('MinMemory=0.1&MaxMemory=999999999999999'), 1)
    assert.equal(await count('MinMemory=2.1'), 0)
    assert.equal(await count('MinCpu=999.5&MaxCpu=1000.5'), 1)
  })

  test('an image is not larger than a number can say', async () => {
    await using server = await openSnapshotServer(await open())
    const { account } = server
    const image = (Name: string, Size: number) => ({ body: { Name, ImageUri: `r.example.com/a:${Name}`, Size } })
    assert.equal((await account('POST /api/v1/images', image('large', 2 ** 23))).status, 400)
    const made = await account('POST /api/v1/images', image('largest', 2 ** 23 - 1))
    assert.equal(made.status, 200, made.text)
    const got = await account(`GET /api/v1/images/${made.json['ImageId']}`)
    assert.equal(got.json['Size'], (2 ** 23 - 1) * 2 ** 30)
  })

  test('lists with nothing in them are lists', async () => {
    await using server = await openSnapshotServer(await open())
    const { account } = server
    const body = { Name: 'a', ImageUri: 'r.example.com/a:1' }
    const made = await account('POST /api/v1/images', { body })
    assert.equal((await account(`DELETE /api/v1/images/${made.json['ImageId']}/labels/%2C`)).status, 200)
    const statistics = await account('GET /api/v2/resourcegroupstatistics', { query: 'ResourceId=1&WorkspaceIds=%2C' })
    assert.notEqual(statistics.status, 500, statistics.text)
  })
})

test('a trust policy is asked with all that is known of the request', async () => {
  const asked: object[] = []
  const identities = {
    assumeRole: async (_: unknown, { context }: { context: object }) => {
      asked.push(context)
      throw new AppError('not_permitted', 'That was all.')
    },
  } as unknown as Identities
  const policy = { Version: '1', Statement: [allow('sts:AssumeRole')] }
  await using server = await openApiServer({ routes: stsRoutes(identities), policy })
  const RoleArn = `acs:ram::${ACCOUNT_ID}:role/r`
  const query = `${new URLSearchParams({ RoleArn, RoleSessionName: 'session', ExternalId: 'external' })}`
  const call = signedClient(server.url, USER_KEY)
  const answer = await call('POST /', { action: 'AssumeRole', version: '2015-04-01', query })
  assert.equal(answer.status, 403, answer.text)
  const keys = ['acs:CurrentTime', 'acs:PrincipalARN', 'acs:SecureTransport', 'acs:SourceIp', 'sts:ExternalId']
  assert.deepEqual(Object.keys(asked[0] ?? {}).sort(), keys)
})

test('a user gets a new name only from who may change users of both', async () => {
  const renamed: string[] = []
  const identities = {
    users: {
      update: async (name: string, { name: next = '' }: { readonly name?: string }) => {
        renamed.push(`${name} → ${next}`)
        const texts = { displayName: '', comments: '', email: '', mobilePhone: '' }
        return { userId: '1', name: next, ...texts, createdMs: 0, updatedMs: 0 }
      },
    },
  } as unknown as Identities
  const policy = { Version: '1', Statement: [allow('ram:UpdateUser', 'acs:ram:*:*:user/dev-*')] }
  await using server = await openApiServer({ routes: userRoutes(identities), policy })
  const call = signedClient(server.url, USER_KEY)
  const rename = async (NewUserName: string) => {
    const query = `${new URLSearchParams({ UserName: 'dev-me', NewUserName })}`
    return (await call('POST /', { action: 'UpdateUser', version: '2015-05-01', query })).status
  }
  assert.deepEqual([await rename('boss'), await rename('dev-you')], [403, 200])
  assert.deepEqual(renamed, ['dev-me → dev-you'])
})
