import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachStore } from '#lab/stores.ts'
import { SUMMARY_COLUMNS } from './snapshot-record.ts'
import type { NewSnapshot } from './snapshots.ts'

const NEW: NewSnapshot = {
  snapshotId: 'snp-1',
  instanceId: 'dsw-1',
  workspaceId: '1',
  userId: '7',
  name: 'v1',
  description: 'the first',
  imageUrl: 'r.example.com/a:v1',
  overwrite: true,
  excludePaths: ['/tmp/ä'],
  labels: [{ key: 'foo', value: 'bar' }],
  origin: 'api',
}
const OWNER = { owner: 'server-1', leaseMs: 100 }

forEachStore('snapshots', (open) => {
  test('a snapshot begins, is found, and is the unfinished one of its instance', async () => {
    const { snapshots } = await open()
    assert.equal(await snapshots.insert(NEW, 1_000), true)
    const found = await snapshots.find('snp-1')
    assert.ok(found)
    assert.deepEqual(
      [found.status, found.overwrite, found.excludePaths, found.labels, found.createdMs, found.imageId],
      ['Committing', true, ['/tmp/ä'], NEW.labels, 1_000, ''],
    )
    assert.deepEqual([found.isUnfinished, found.origin, found.scheduleId, found.manifest], [true, 'api', undefined, undefined]) // prettier-ignore
    assert.equal((await snapshots.unfinishedOf('dsw-1'))?.snapshotId, 'snp-1')
    assert.equal(await snapshots.unfinishedOf('dsw-2'), undefined)
    assert.equal(await snapshots.find('snp-2'), undefined)
    assert.equal('manifest' in ((await snapshots.findRecord('snp-1')) ?? {}), false)
  })

  test('of twenty calls at once for one instance exactly one begins', async () => {
    const store = await open()
    const replica = await open({ sameAs: store })
    const begun = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 ? store : replica).snapshots.insert({ ...NEW, snapshotId: `snp-${i}` }, 1_000),
      ),
    )
    assert.equal(begun.filter(Boolean).length, 1)
  })

  test('what a reference stands for is the newest that was saved there', async () => {
    const { snapshots, snapshotQueue } = await open()
    const failed = { status: 'Failed', reasonCode: 'TagExists', reasonMessage: 'It exists.' } as const
    const save = async (snapshotId: string, isSaved: boolean, nowMs: number) => {
      await snapshots.insert({ ...NEW, snapshotId, instanceId: snapshotId }, nowMs)
      const claimed = await snapshotQueue.claimNext({ ...OWNER, nowMs })
      assert.ok(claimed)
      const manifest = { digest: `sha256:${snapshotId}`, text: '{}' }
      await snapshotQueue.renew(claimed, { nowMs, leaseMs: 100 }, { manifest })
      await snapshotQueue.end(claimed, isSaved ? { status: 'Saved', imageId: 'image-1' } : failed, nowMs)
    }
    assert.equal(await snapshots.digestSavedAs(NEW.imageUrl), undefined)
    await save('snp-1', true, 1_000)
    await save('snp-2', true, 2_000)
    await save('snp-3', false, 3_000)
    assert.equal(await snapshots.digestSavedAs(NEW.imageUrl), 'sha256:snp-2')
    assert.equal(await snapshots.digestSavedAs('r.example.com/a:v2'), undefined)
  })

  test('when one is finished the next may begin', async () => {
    const { snapshots, snapshotQueue } = await open()
    await snapshots.insert(NEW, 1_000)
    const claimed = await snapshotQueue.claimNext({ ...OWNER, nowMs: 1_000 })
    assert.ok(claimed)
    const end = { status: 'Failed', reasonCode: 'TagExists', reasonMessage: 'It exists.' } as const
    assert.equal(await snapshotQueue.end(claimed, end, 2_000), true)
    assert.equal(await snapshotQueue.end(claimed, end, 2_000), false, 'it has ended already')
    const found = await snapshots.find('snp-1')
    assert.deepEqual([found?.status, found?.reasonCode, found?.modifiedMs, found?.isUnfinished], ['Failed', 'TagExists', 2_000, false]) // prettier-ignore
    assert.equal(await snapshots.insert({ ...NEW, snapshotId: 'snp-2' }, 3_000), true)
  })

  test('lists are by time, newest or oldest first, page by page, with the total', async () => {
    const { snapshots, snapshotQueue } = await open()
    for (let i = 0; i < 5; i++) {
      await snapshots.insert({ ...NEW, snapshotId: `snp-${i}` }, 1_000 + (i >> 1)) // two and two have the same time
      const claimed = await snapshotQueue.claimNext({ ...OWNER, nowMs: 2_000 })
      await snapshotQueue.end(claimed!, { status: 'Saved', imageId: `image-${i}` }, 3_000 + i)
    }
    await snapshots.insert({ ...NEW, snapshotId: 'snp-other', instanceId: 'dsw-2' }, 9_000)
    const ids = async (descending: boolean, offset: number, limit: number) => {
      const page = await snapshots.list('dsw-1', { descending, offset, limit })
      return [page.total, page.records.map(({ snapshotId }) => snapshotId).join()]
    }
    assert.deepEqual(await ids(true, 0, 3), [5, 'snp-4,snp-3,snp-2'])
    assert.deepEqual(await ids(true, 3, 3), [5, 'snp-1,snp-0'])
    assert.deepEqual(await ids(false, 0, 2), [5, 'snp-0,snp-1'])
    assert.deepEqual(await ids(false, 9, 2), [5, ''])
    assert.deepEqual(await snapshots.list('dsw-3', { descending: true, offset: 0, limit: 10 }), {
      records: [],
      total: 0,
    })
    await snapshots.insert({ ...NEW, snapshotId: 'snp-"quoted"', name: 'línea\n', instanceId: 'dsw-3' }, 2 ** 42 + 1)
    const all = await snapshots.latestOf(['dsw-1', 'dsw-2', 'dsw-3', 'dsw-4'], { limit: 2 })
    const images = (of: typeof all) =>
      [...of].map(([id, found]) => [id, ...found.map(({ imageId }) => imageId)].join()).toSorted()
    assert.deepEqual(images(all), ['dsw-1,image-4,image-3', 'dsw-2,', 'dsw-3,', 'dsw-4'])
    const record = (await snapshots.findRecord('snp-4'))!
    const summary = all.get('dsw-1')?.[0]
    assert.equal(summary?.imageId, 'image-4')
    assert.deepEqual(summary, Object.fromEntries(SUMMARY_COLUMNS.map((column) => [column, record[column]])))
    assert.deepEqual(
      all.get('dsw-3')?.map((each) => [each.name, each.createdMs]),
      [['línea\n', 2 ** 42 + 1]],
    )
    assert.equal((await snapshots.latestOf([], { limit: 1 })).size, 0)
  })

  test('the newest ones are read while somebody writes', async () => {
    const { snapshots, transaction } = await open()
    const gate = Promise.withResolvers<void>()
    const writing = transaction(() => gate.promise)
    assert.equal((await snapshots.latestOf(['dsw-1'], { limit: 1 })).get('dsw-1')?.length, 0)
    gate.resolve()
    await writing
  })

  test('records stay when their instance goes, until they are removed', async () => {
    const { snapshots } = await open()
    await snapshots.insert(NEW, 1_000)
    await snapshots.markInstanceGone('dsw-1')
    assert.equal((await snapshots.findRecord('snp-1'))?.instanceGone, true)
    assert.equal(await snapshots.remove('snp-1'), true)
    assert.equal(await snapshots.remove('snp-1'), false)
    assert.equal((await snapshots.list('dsw-1', { descending: true, offset: 0, limit: 1 })).total, 0)
  })

  test('what a schedule has saved', async () => {
    const { snapshots, snapshotQueue } = await open()
    for (let i = 0; i < 3; i++) {
      await snapshots.insert({ ...NEW, snapshotId: `snp-${i}`, origin: 'schedule', scheduleId: 'sch-1' }, 1_000 + i)
      const claimed = await snapshotQueue.claimNext({ ...OWNER, nowMs: 2_000 })
      const failed = { status: 'Failed', reasonCode: 'X', reasonMessage: '' } as const
      await snapshotQueue.end(claimed!, i === 1 ? failed : { status: 'Saved', imageId: '' }, 3_000)
    }
    const saved = await snapshots.savedBySchedule('sch-1')
    assert.deepEqual(
      saved.map(({ snapshotId }) => snapshotId),
      ['snp-2', 'snp-0'],
    )
    assert.deepEqual(await snapshots.savedBySchedule('sch-2'), [])
  })
})
