/** Where a user may push is asked of every operation that would push, or take a tag away, with the server's credentials. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStatus } from '#lab/instance-service.ts'
import { openSnapshotServer } from '#lab/snapshot-server.ts'
import { goesWell } from '#lab/snapshots.ts'
import { forEachStore } from '#lab/stores.ts'
import { samplePolicy } from '#service/identities/system-policies.ts'

const OURS = 'r.example.com/a'
const THEIRS = 'r.example.com/b/app'
const SCHEDULES = '/tintype/v1/schedules'
const snapshotsOf = (instanceId: string) => `/api/v2/instances/${instanceId}/snapshots`
const stopOf = (instanceId: string) => `PUT /api/v2/instances/${instanceId}/stop`
const SAVING = { query: 'SaveImage=true' }

const POLICIES: readonly (readonly [string, readonly object[]])[] = [
  ['by the policy that every installation has', JSON.parse(samplePolicy(OURS)).Statement as object[]],
  [
    'because the rest is denied',
    [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      {
        Effect: 'Deny',
        Action: 'paidsw:CreateInstanceSnapshot',
        Resource: '*',
        Condition: { StringNotLike: { 'tintype:Repository': `${OURS}/*` } },
      },
    ],
  ],
]

type Server = Awaited<ReturnType<typeof openSnapshotServer>>

/** An instance that the account has saved to another team's repository. Returns its id, and that of the snapshot. */
async function savedByTheAccount(server: Server): Promise<readonly [string, string]> {
  const id = await server.running({ accessibility: 'PUBLIC' })
  const body = { SnapshotName: 'v1', ImageUrl: `${THEIRS}:v1` }
  const { json } = await server.account(`POST ${snapshotsOf(id)}`, { body })
  goesWell(server.registries, await server.runtime.nextRun())
  await server.account(`GET /tintype/v1/instances/${id}/snapshots/${json['SnapshotId']}/events`)
  await server.until(id, isStatus('Running'))
  return [id, String(json['SnapshotId'])]
}

/** A schedule of the user, that goes to a repository which the user had a right to once. */
async function oldSchedule(server: Server, instanceId: string): Promise<string> {
  const body = { InstanceId: instanceId, Cron: '0 3 * * *', ImageUrl: `${OURS}/app`, KeepLast: 9 }
  const { json } = await server.user(`POST ${SCHEDULES}`, { body })
  const scheduleId = String(json['ScheduleId'])
  assert.ok(await server.store.schedules.update(scheduleId, { repository: THEIRS }, server.store.clock.wallMs()))
  return scheduleId
}

for (const [why, statements] of POLICIES)
  forEachStore(`a user who may push to one repository, ${why}`, (open) => {
    test('writes to no other one, by no operation', async () => {
      await using server = await openSnapshotServer(await open(), statements)
      const { user, runtime, registries, store } = server
      const [id, snapshotId] = await savedByTheAccount(server)
      const neverSaved = await server.running({ accessibility: 'PUBLIC' })
      const old = await oldSchedule(server, id)
      const own = await user(`POST ${SCHEDULES}`, {
        body: { InstanceId: id, Cron: '0 3 * * *', ImageUrl: `${OURS}/app` },
      })
      assert.equal(own.status, 200, own.text)
      const before = new Map(registries.tags)
      const runs = runtime.runs.length

      const attempts: readonly (readonly [string, string, Parameters<typeof user>[1]])[] = [
        [
          'CreateInstanceSnapshot',
          `POST ${snapshotsOf(id)}`,
          { body: { SnapshotName: 'v2', ImageUrl: `${THEIRS}:v2` } },
        ],
        [
          'CreateInstanceSnapshot, over a tag',
          `POST ${snapshotsOf(id)}`,
          { body: { SnapshotName: 'v1', ImageUrl: `${THEIRS}:v1`, Overwrite: true } },
        ],
        ['StopInstance, to where the instance was saved last', stopOf(id), SAVING],
        ["StopInstance, to the server's default repository", stopOf(neverSaved), SAVING],
        ['CreateSchedule', `POST ${SCHEDULES}`, { body: { InstanceId: id, Cron: '0 3 * * *', ImageUrl: THEIRS } }],
        ['UpdateSchedule', `PUT ${SCHEDULES}/${own.json['ScheduleId']}`, { body: { ImageUrl: THEIRS } }],
        ['UpdateSchedule, of one that goes there already', `PUT ${SCHEDULES}/${old}`, { body: { KeepLast: 1 } }],
        ['DeleteInstanceSnapshot with its image', `DELETE ${snapshotsOf(id)}/${snapshotId}`, { query: 'DeleteImage=true' }], // prettier-ignore
      ]
      for (const [name, line, options] of attempts) {
        const { status, json, text } = await user(line, options)
        assert.deepEqual([status, json['Code']], [403, 'NoPermission'], `${name}: ${text}`)
        const detail = json['AccessDeniedDetail'] as Record<string, string> | undefined
        assert.match(`${detail?.['AuthAction']} ${detail?.['AuthResource']}`, /^\S+ acs:(paidsw|tintype):local:/, name)
      }
      const added = await user('POST /api/v1/images', { body: { Name: 'theirs', ImageUri: `${THEIRS}:v1` } })
      assert.equal(added.status, 200, added.text)

      assert.deepEqual([registries.tags, runtime.runs.length], [before, runs])
      for (const each of [id, neverSaved]) assert.equal((await store.instances.find(each))?.status, 'Running')
      assert.equal((await store.schedules.find(old))?.keepLast, 9)
      assert.equal((await store.snapshots.list(id, { descending: true, offset: 0, limit: 9 })).total, 1)
      assert.equal((await user(`DELETE ${SCHEDULES}/${old}`)).status, 200, 'what goes elsewhere can be given up')
    })

    test('saves, stops and schedules to that one', async () => {
      await using server = await openSnapshotServer(await open(), statements)
      const { user, runtime, registries } = server
      const id = await server.running({ accessibility: 'PUBLIC' })
      const body = { SnapshotName: 'v1', ImageUrl: `${OURS}/app:v1` }
      const saved = await user(`POST ${snapshotsOf(id)}`, { body })
      assert.equal(saved.status, 200, saved.text)
      goesWell(registries, await runtime.nextRun())
      await user(`GET /tintype/v1/instances/${id}/snapshots/${saved.json['SnapshotId']}/events`)
      const schedule = { InstanceId: id, Cron: '0 3 * * *', ImageUrl: `${OURS}/app` }
      const made = await user(`POST ${SCHEDULES}`, { body: schedule })
      const change = await user(`PUT ${SCHEDULES}/${made.json['ScheduleId']}`, { body: { KeepLast: 3 } })
      assert.deepEqual([made.status, change.status], [200, 200], change.text)
      await server.until(id, isStatus('Running'))
      const stop = await user(stopOf(id), SAVING)
      assert.equal(stop.status, 200, stop.text)
      const run = await runtime.nextRun()
      assert.match(run.request.reference, /^r\.example\.com\/a\/app:stop-/)
      goesWell(registries, run)
      await server.until(id, isStatus('Stopped'))
      const gone = await user(`DELETE ${snapshotsOf(id)}/${saved.json['SnapshotId']}`, { query: 'DeleteImage=true' })
      assert.equal(gone.status, 200, gone.text)
      assert.ok(!registries.tags.has(`${OURS}/app:v1`))
    })
  })

forEachStore('the policy that every installation has', (open) => {
  test('does not show what is private to others', async () => {
    await using server = await openSnapshotServer(await open(), POLICIES[0]![1])
    const id = await server.running()
    assert.equal((await server.user(`GET /api/v2/instances/${id}`)).status, 404)
  })

  test('needs no right to push for what pushes nothing', async () => {
    await using server = await openSnapshotServer(await open(), POLICIES[0]![1])
    const { user } = server
    const [id, snapshotId] = await savedByTheAccount(server)
    const details = `/tintype/v1/instances/${id}/snapshots/${snapshotId}`
    const answers: readonly (readonly [string, number])[] = [
      [`GET /tintype/v1/instances/${id}/preview`, 503], // the played engine has nothing to preview
      [`GET ${details}`, 200],
      [`GET ${details}/events`, 200],
      [`POST ${details}/cancel`, 409], // it is saved
      [`GET ${snapshotsOf(id)}`, 200],
      [`GET ${snapshotsOf(id)}/${snapshotId}`, 200],
      [`GET /api/v2/instances/${id}`, 200],
      ['GET /api/v2/instances', 200],
      [`GET ${SCHEDULES}`, 200],
      ['GET /api/v1/images', 200],
      [`DELETE ${snapshotsOf(id)}/${snapshotId}`, 200],
      [stopOf(id), 200],
    ]
    for (const [line, status] of answers) {
      const answer = await user(line)
      assert.equal(answer.status, status, `${line}: ${answer.text}`)
    }
  })
})
