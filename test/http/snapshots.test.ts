import assert from 'node:assert/strict'
import { test } from 'node:test'
import { USER_ID } from '#lab/api-server.ts'
import { isStatus } from '#lab/instance-service.ts'
import { openSnapshotServer, SNAPSHOT_ARN } from '#lab/snapshot-server.ts'
import { goesWell } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'

const BODY = {
  SnapshotName: 'snapshot-v1',
  SnapshotDescription: 'the first',
  ImageUrl: 'r.example.com/test/example:snapshot-v1',
  Labels: [{ Key: 'foo', Value: 'bar' }],
  ExcludePaths: ['/root/.cache'],
}
const snapshotsOf = (instanceId: string) => `/api/v2/instances/${instanceId}/snapshots`
const detailsOf = (instanceId: string, id: string) => `/tintype/v1/instances/${instanceId}/snapshots/${id}`

forEachStore('snapshots over HTTP', (open) => {
  test('an instance is saved, found in the list and in the catalogue, and deleted with its image', async () => {
    await using server = await openSnapshotServer(await open())
    const { account, runtime, registries } = server
    const id = await server.running()
    const begun = await account(`POST ${snapshotsOf(id)}`, { body: BODY })
    assert.equal(begun.status, 200, begun.text)
    assert.deepEqual(Object.keys(begun.json).sort(), ['Code', 'HttpStatusCode', 'InstanceId', 'Message', 'RequestId', 'SnapshotId', 'Success']) // prettier-ignore
    const snapshotId = String(begun.json['SnapshotId'])
    assert.match(snapshotId, /^snp-/)
    assert.deepEqual([begun.json['InstanceId'], begun.json['Success'], begun.json['HttpStatusCode']], [id, true, 200])
    const run = await runtime.nextRun()
    const saving = await account(`GET ${snapshotsOf(id)}/${snapshotId}`)
    assert.deepEqual([saving.json['Status'], saving.json['ImageId']], ['Committing', ''])
    assert.equal((await account(`GET /api/v2/instances/${id}`)).json['Status'], 'Saving')
    const events = account(`GET ${detailsOf(id, snapshotId)}/events`)
    goesWell(registries, run)
    const stream = await events
    assert.match(stream.headers['content-type'] ?? '', /^text\/event-stream/)
    assert.match(stream.text, /event: end\ndata: .*"Status":"Saved"/)

    const saved = await account(`GET ${snapshotsOf(id)}/${snapshotId}`)
    const { GmtCreateTime, GmtModifiedTime, ImageId, RequestId: _, ...rest } = saved.json
    assert.match(`${GmtCreateTime} ${GmtModifiedTime}`, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+Z$/)
    assert.deepEqual(rest, {
      Code: null,
      ExcludePaths: ['/root/.cache'],
      HttpStatusCode: 200,
      ImageUrl: BODY.ImageUrl,
      InstanceId: id,
      Labels: BODY.Labels,
      Message: null,
      ReasonCode: '',
      ReasonMessage: '',
      SnapshotId: snapshotId,
      SnapshotName: 'snapshot-v1',
      Status: 'Saved',
      Success: true,
    })
    assert.equal((await account(`GET /api/v2/instances/${id}`)).json['Status'], 'Running')
    const list = await account(`GET ${snapshotsOf(id)}`, { query: 'SortBy=gmtCreate&Order=Desc&PageSize=5' })
    assert.deepEqual([list.json['TotalCount'], (list.json['Snapshots'] as object[]).length], [1, 1])
    const details = await account(`GET ${detailsOf(id, snapshotId)}`)
    const result = details.json['Result'] as Record<string, unknown>
    assert.deepEqual([result['FrozenMs'], result['UnsavedMounts']], [3, [{ Path: '/mnt/workspace' }]])

    const image = await account(`GET /api/v1/images/${ImageId}`, { query: 'Verbose=true' })
    assert.equal(image.json['ImageUri'], BODY.ImageUrl)
    assert.match(image.text, /"Key":"system.dsw.fromInstanceId","Value":"dsw-/)
    const withImage = () => account(`DELETE ${snapshotsOf(id)}/${snapshotId}`, { query: 'DeleteImage=true' })
    const refused = await withImage()
    assert.equal(refused.status, 400, refused.text)
    assert.match(
      String(refused.json['Message']),
      /^The next snapshot of dsw-\w+ adds to .*, or leave DeleteImage out\.$/,
    )
    const ImageUrl = `${BODY.ImageUrl}-next`
    const next = await account(`POST ${snapshotsOf(id)}`, { body: { ...BODY, ImageUrl } })
    goesWell(registries, await runtime.nextRun())
    await account(`GET ${detailsOf(id, String(next.json['SnapshotId']))}/events`)
    const deleted = await withImage()
    assert.deepEqual([deleted.status, deleted.json['SnapshotId']], [200, snapshotId])
    assert.deepEqual([...registries.tags.keys()], [ImageUrl])
    for (const call of ['DELETE', 'GET']) {
      const gone = await account(`${call} ${snapshotsOf(id)}/${snapshotId}`)
      assert.deepEqual([gone.status, gone.json['Code'], gone.json['HttpStatusCode']], [404, 'ValidationError', 404])
    }
  })

  test('each bad field is refused with 400, its name, and nothing is begun', async () => {
    await using server = await openSnapshotServer(await open())
    const id = await server.running()
    const bad: readonly (readonly [string, object])[] = [
      ['SnapshotName', { SnapshotName: undefined }],
      ['SnapshotName', { SnapshotName: 'Has_Underscore' }],
      ['SnapshotName', { SnapshotName: 'a'.repeat(51) }],
      ['SnapshotName', { SnapshotName: 7 }],
      ['ImageUrl', { ImageUrl: undefined }],
      ['ImageUrl', { ImageUrl: 'r.example.com/Team:x' }],
      ['ImageUrl', { ImageUrl: `r.example.com/a@sha256:${'0'.repeat(64)}` }],
      ['ImageUrl', { ImageUrl: 'http://169.254.169.254/a' }],
      ['ImageUrl', { ImageUrl: 'evil.example.com/a:b' }],
      ['ExcludePaths', { ExcludePaths: ['relative'] }],
      ['ExcludePaths', { ExcludePaths: ['/a/../../etc'] }],
      ['ExcludePaths', { ExcludePaths: 'text' }],
      ['Labels', { Labels: [{ Key: 'a', Value: '1' }, { Key: 'a', Value: '2' }] }], // prettier-ignore
      ['Overwrite', { Overwrite: 'perhaps' }],
      ['SnapshotDescription', { SnapshotDescription: 'a\u0007' }],
    ]
    for (const [field, change] of bad) {
      const answer = await server.account(`POST ${snapshotsOf(id)}`, { body: { ...BODY, ...change } })
      assert.deepEqual([answer.status, answer.json['Code']], [400, 'ValidationError'], answer.text)
      assert.match(String(answer.json['Message']), new RegExp(field), field)
    }
    for (const query of ['PageSize=101', 'PageNumber=0', 'Order=sideways', 'SortBy=name'])
      assert.equal((await server.account(`GET ${snapshotsOf(id)}`, { query })).status, 400, query)
    assert.equal((await server.account(`POST ${snapshotsOf('dsw-unknown')}`, { body: BODY })).status, 404)
    assert.equal((await server.account(`GET ${snapshotsOf('dsw-unknown')}`)).status, 404)
    assert.equal((await server.store.snapshots.list(id, { descending: true, offset: 0, limit: 1 })).total, 0)
    assert.equal((await server.store.instances.find(id))?.status, 'Running')
  })

  test('a second one is refused while the first is not finished; a cancel keeps the record', async () => {
    await using server = await openSnapshotServer(await open())
    const { account } = server
    const id = await server.running()
    const { json } = await account(`POST ${snapshotsOf(id)}`, { body: BODY })
    const second = await account(`POST ${snapshotsOf(id)}`, { body: { ...BODY, ImageUrl: 'r.example.com/a:b' } })
    assert.deepEqual([second.status, second.json['Code']], [400, 'ValidationError'])
    await server.runtime.nextRun()
    assert.equal((await account(`POST ${detailsOf(id, String(json['SnapshotId']))}/cancel`)).status, 200)
    await account(`GET ${detailsOf(id, String(json['SnapshotId']))}/events`)
    const found = await account(`GET ${snapshotsOf(id)}/${json['SnapshotId']}`)
    assert.deepEqual([found.json['Status'], found.json['ReasonCode']], ['Failed', 'Cancelled'])
    assert.equal((await account(`POST ${detailsOf(id, String(json['SnapshotId']))}/cancel`)).status, 409)
    await server.until(id, isStatus('Running'))
  })

  test('a stop that saves: Saving, saved under a fresh tag, then Stopped', async () => {
    await using server = await openSnapshotServer(await open())
    const id = await server.running()
    const stop = await server.account(`PUT /api/v2/instances/${id}/stop`, { query: 'SaveImage=true' })
    assert.equal(stop.status, 200, stop.text)
    const run = await server.runtime.nextRun()
    assert.match(run.request.reference, /^r\.example\.com\/saved:stop-/)
    assert.equal((await server.store.instances.find(id))?.status, 'Saving')
    goesWell(server.registries, run)
    await server.until(id, isStatus('Stopped'))
    const { json } = await server.account(`GET ${snapshotsOf(id)}`)
    assert.equal((json['Snapshots'] as { Status: string }[])[0]?.Status, 'Saved')
  })
})

const allow = (Action: string, Resource: string, Condition?: object) => ({ Effect: 'Allow', Action, Resource, ...(Condition && { Condition }) }) // prettier-ignore
const TEAM = { StringLike: { 'tintype:Repository': 'r.example.com/team/*' } }

forEachStore('what a user may save', (open) => {
  test('goes to the repositories of the policy and nowhere else, whatever the spelling', async () => {
    const server = await openSnapshotServer(await open(), [allow('paidsw:CreateInstanceSnapshot', SNAPSHOT_ARN, TEAM)])
    const id = await server.running({ accessibility: 'PUBLIC' })
    const save = (ImageUrl: string) => server.user(`POST ${snapshotsOf(id)}`, { body: { ...BODY, ImageUrl } })
    for (const url of [
      'r.example.com/other/app:v1',
      'r.example.com/teams/app',
      'R.example.com/other/app:v1',
      'r.example.com/other/team/app',
      'evil.example.com/team/app',
    ])
      // prettier-ignore
      assert.deepEqual([(await save(url)).status, server.runtime.runs.length], [403, 0], url)
    assert.equal((await server.store.snapshots.list(id, { descending: true, offset: 0, limit: 1 })).total, 0)
    assert.equal((await save('r.example.com/team/app:v1')).status, 200)
    await server[Symbol.asyncDispose]()
  })

  test('is not asked of an instance that is private to somebody else', async () => {
    await using server = await openSnapshotServer(await open(), [allow('paidsw:*Snapshot*', '*')])
    const id = await server.running()
    assert.equal((await server.user(`POST ${snapshotsOf(id)}`, { body: BODY })).status, 404)
    assert.equal((await server.user(`GET ${snapshotsOf(id)}`)).status, 404)
  })

  test('is found by who saved it, as far as the policy goes, when the instance is gone', async () => {
    const SAVE = ['CreateInstanceSnapshot', 'GetInstanceSnapshot'].map((each) => allow(`paidsw:${each}`, SNAPSHOT_ARN))
    await using server = await openSnapshotServer(await open(), SAVE)
    const { account, user, runtime, registries, store } = server
    const [own, other] = [await server.running({}, { userId: USER_ID, seesAll: false }), await server.running()]
    const save = async (id: string, by: typeof user) => {
      const tag = { ImageUrl: `r.example.com/team/app:${id}` }
      const begun = await by(`POST ${snapshotsOf(id)}`, { body: { ...BODY, ...tag } })
      assert.equal(begun.status, 200, begun.text)
      const snapshotId = String(begun.json['SnapshotId'])
      goesWell(registries, await runtime.nextRun())
      assert.match((await account(`GET ${detailsOf(id, snapshotId)}/events`)).text, /"Status":"Saved"/)
      return `${snapshotsOf(id)}/${snapshotId}`
    }
    const [saved, foreign] = [await save(own, user), await save(other, account)]
    for (const id of [own, other]) {
      const gone = await account(`DELETE /api/v2/instances/${id}`)
      assert.equal(gone.status, 200, gone.text)
      await server.until(id, (record) => record === undefined)
    }
    assert.equal((await store.snapshots.findRecord(saved.split('/').at(-1)!))?.instanceGone, true)
    const found = await user(`GET ${saved}`)
    assert.deepEqual([found.status, found.json['Status']], [200, 'Saved'])
    assert.equal((await user(`DELETE ${saved}`)).status, 403)
    assert.deepEqual([(await user(`GET ${foreign}`)).status, (await account(`GET ${foreign}`)).status], [404, 200])
  })

  test('by a schedule is what the user may save by a call; schedules of others are not there', async () => {
    const rights = [allow('tintype:*Schedule*', '*'), allow('paidsw:CreateInstanceSnapshot', SNAPSHOT_ARN, TEAM)]
    await using server = await openSnapshotServer(await open(), rights)
    const id = await server.running({ accessibility: 'PUBLIC' })
    const body = { InstanceId: id, Cron: '0 3 * * *', ImageUrl: 'r.example.com/other/app', KeepLast: 2 }
    const made = await server.account('POST /tintype/v1/schedules', { body })
    assert.equal(made.status, 200, made.text)
    const foreign = `/tintype/v1/schedules/${made.json['ScheduleId']}`
    assert.equal((await server.user('POST /tintype/v1/schedules', { body })).status, 403)
    for (const line of [`GET ${foreign}`, `DELETE ${foreign}`])
      assert.equal((await server.user(line)).status, 404, line)
    const own = await server.user('POST /tintype/v1/schedules', {
      body: { ...body, ImageUrl: 'r.example.com/team/app' },
    })
    assert.equal(own.status, 200, own.text)
    const line = `/tintype/v1/schedules/${own.json['ScheduleId']}`
    assert.equal((await server.user(`PUT ${line}`, { body: { ImageUrl: 'r.example.com/other/app' } })).status, 403)
    assert.equal((await server.user(`PUT ${line}`, { body: { TimeZone: 'Asia/Shanghai', KeepDays: 9 } })).status, 200)
    const { json } = await server.user(`GET ${line}`)
    assert.deepEqual([json['TimeZone'], json['KeepDays'], json['KeepLast'], json['ImageUrl'], json['Enabled']], ['Asia/Shanghai', 9, 2, 'r.example.com/team/app', true]) // prettier-ignore
    assert.equal((await server.user('GET /tintype/v1/schedules')).json['TotalCount'], 1)
    assert.equal((await server.account('GET /tintype/v1/schedules', { query: `InstanceId=${id}` })).json['TotalCount'], 2) // prettier-ignore
    assert.equal((await server.user(`DELETE ${line}`)).status, 200)
  })
})

forEachStore('registries over HTTP', (open) => {
  test('credentials go in, and never come out: not in an answer, not in a log', async () => {
    await using server = await openSnapshotServer(await open())
    const { account } = server
    const body = { Host: '127.0.0.1:5999', UserName: 'ann', Password: 'pa55-word-of-ann' }
    const answers = [
      await account('POST /tintype/v1/registries', { body }),
      await account('POST /tintype/v1/registries', { body }),
      await account('GET /tintype/v1/registries'),
      await account('PUT /tintype/v1/registries/127.0.0.1:5999', { body: { PlainHttp: true } }),
      await account('POST /tintype/v1/registries/127.0.0.1:5999/test'),
      await account('POST /tintype/v1/registries', { body: { ...body, Host: '169.254.169.254' } }),
      await account('DELETE /tintype/v1/registries/127.0.0.1:5999'),
      await account('DELETE /tintype/v1/registries/127.0.0.1:5999'),
    ]
    assert.deepEqual(answers.map(({ status }) => status), [200, 409, 200, 200, 200, 400, 200, 404]) // prettier-ignore
    assert.equal(answers[4]?.json['Reachable'], false)
    const said = [...answers.map(({ text }) => text), ...server.logged].join('\n')
    assert.doesNotMatch(said, /pa55-word/)
  })
})

forEachStore('the catalogue over HTTP', (open) => {
  test('an image is added, listed with each filter, labelled, published and removed', async () => {
    await using server = await openSnapshotServer(await open(), [allow('paiimage:*', '*')])
    const { account, user } = server
    const body = { Name: 'torch', ImageUri: 'r.example.com/torch:2', Size: 2, Labels: [{ Key: 'os', Value: 'debian' }] }
    const added = await account('POST /api/v1/images', { body })
    const id = String(added.json['ImageId'])
    assert.match(id, /^image-[a-z0-9]{18}$/)
    assert.equal((await account('POST /api/v1/images', { body })).status, 400)
    const found = await account(`GET /api/v1/images/${id}`)
    assert.deepEqual([found.json['Size'], found.json['Labels'], found.json['SourceType']], [2 * 2 ** 30, undefined, 'Import']) // prettier-ignore
    assert.match(String(found.json['GmtCreateTime']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const count = async (query: string) => (await account('GET /api/v1/images', { query })).json['TotalCount']
    const counts = ['Name=tor', 'Name=xyz', 'Query=TORCH', 'Labels=os%3Ddebian', 'Labels=os%3Dother', 'ImageUri=r.example.com%2Ftorch%3A2', 'Accessibility=PUBLIC', 'WorkspaceId=9'] // prettier-ignore
    assert.deepEqual(await Promise.all(counts.map(count)), [1, 0, 1, 1, 0, 1, 0, 0])
    assert.equal((await account('GET /api/v1/images', { query: 'Labels=os' })).status, 400)
    assert.equal((await user(`GET /api/v1/images/${id}`)).status, 404)
    assert.deepEqual((await account(`PUT /api/v1/images/${id}/publish`)).json['ImageId'], id)
    assert.equal((await user(`GET /api/v1/images/${id}`)).status, 200)
    assert.equal((await user(`DELETE /api/v1/images/${id}`)).status, 403)
    await account(`POST /api/v1/images/${id}/labels`, { body: { Labels: [{ Key: 'gpu', Value: 'yes' }] } })
    await account(`DELETE /api/v1/images/${id}/labels/os`)
    const labels = await account('GET /api/v1/image/labels', { query: `ImageId=${id}` })
    assert.deepEqual(labels.json['Labels'], [{ Key: 'gpu', Value: 'yes' }])
    assert.equal((await account(`DELETE /api/v1/images/${id}`)).status, 200)
    assert.equal((await account(`DELETE /api/v1/images/${id}`)).status, 404)
  })
})
