import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachStore } from '#lab/stores.ts'
import type { TestStore } from '#lab/stores.ts'

const begin = (store: TestStore, n: number, imageUrl = `r.example.com/a:v${n}`) =>
  store.snapshots.insert(
    {
      snapshotId: `snp-${n}`,
      instanceId: `dsw-${n}`,
      workspaceId: '1',
      userId: '7',
      name: `v${n}`,
      description: '',
      imageUrl,
      overwrite: false,
      excludePaths: [],
      labels: [],
      origin: 'api',
    },
    1_000 + n,
  )
const claim = (store: TestStore, owner: string, nowMs: number) =>
  store.snapshotQueue.claimNext({ owner, nowMs, leaseMs: 100 })
const SAVED = { status: 'Saved', imageId: 'image-1' } as const

forEachStore('the queue of snapshots', (open) => {
  test('the oldest first, each to one server only', async () => {
    const store = await open()
    const replica = await open({ sameAs: store })
    for (let n = 0; n < 10; n++) await begin(store, n)
    const first = await claim(store, 'one', 2_000)
    assert.deepEqual([first?.snapshotId, first?.owner, first?.fence, first?.attempts], ['snp-0', 'one', 1, 1])
    const rest = await Promise.all(
      Array.from({ length: 12 }, (_, i) => claim(i % 2 ? store : replica, `server-${i}`, 2_000)),
    )
    const ids = rest.filter((found) => found !== undefined).map(({ snapshotId }) => snapshotId)
    assert.equal(new Set(ids).size, ids.length, 'none twice')
    const left = []
    for (;;) {
      const next = await claim(store, 'one', 2_000)
      if (!next) break
      left.push(next.snapshotId)
    }
    assert.equal(ids.length + left.length, 9, 'and none is lost')
  })

  test('the unfinished are counted by their status', async () => {
    const store = await open()
    const counted = async () => Object.fromEntries(await store.snapshotQueue.countUnfinished())
    assert.deepEqual(await counted(), {})
    for (let n = 0; n < 3; n++) await begin(store, n)
    const first = await claim(store, 'one', 2_000)
    assert.ok(first)
    await store.snapshotQueue.renew(first, { nowMs: 2_000, leaseMs: 100 }, { status: 'Pushing' })
    assert.deepEqual(await counted(), { Committing: 2, Pushing: 1 })
    await store.snapshotQueue.end(first, SAVED, 2_050)
    assert.deepEqual(await counted(), { Committing: 2 })
  })

  test('two captures never write to one reference at a time', async () => {
    const store = await open()
    const replica = await open({ sameAs: store })
    await begin(store, 1, 'r.example.com/a:same')
    await begin(store, 2, 'r.example.com/a:same')
    await begin(store, 3, 'r.example.com/a:other')
    const claimed = await Promise.all([claim(store, 'one', 2_000), claim(replica, 'two', 2_000)])
    const first = claimed.find((found) => found?.imageUrl.endsWith('same'))
    assert.ok(first)
    const more = [await claim(store, 'one', 2_000), await claim(replica, 'two', 2_000)]
    const running = [...claimed, ...more].filter((found) => found !== undefined).map(({ imageUrl }) => imageUrl)
    assert.deepEqual(running.sort(), ['r.example.com/a:other', 'r.example.com/a:same'])
    await store.snapshotQueue.end(first, SAVED, 2_050)
    assert.equal((await claim(replica, 'two', 2_050))?.imageUrl, 'r.example.com/a:same', 'its turn has come')
  })

  test('a server that is silent beyond its lease loses the snapshot, and may change nothing any more', async () => {
    const store = await open()
    await begin(store, 1)
    const lost = await claim(store, 'one', 2_000)
    assert.ok(lost)
    assert.equal(await claim(store, 'two', 2_100), undefined, 'the lease holds')
    const taken = await claim(store, 'two', 2_101)
    assert.deepEqual([taken?.owner, taken?.fence, taken?.attempts], ['two', 2, 2])
    const times = { nowMs: 2_102, leaseMs: 100 }
    assert.equal(await store.snapshotQueue.renew(lost, times, { status: 'Pushing' }), undefined)
    assert.equal(await store.snapshotQueue.end(lost, SAVED, 2_102), false)
    await store.snapshotQueue.release(lost)
    const found = await store.snapshots.find('snp-1')
    assert.deepEqual([found?.owner, found?.status], ['two', 'Committing'])
  })

  test('a lease that is renewed holds; progress, status and manifest are kept', async () => {
    const store = await open()
    await begin(store, 1)
    const claimed = await claim(store, 'one', 2_000)
    assert.ok(claimed)
    const change = { status: 'Pushing', progress: '{"pass":1}', manifest: { digest: 'sha256:1', text: '{}' } } as const
    assert.deepEqual(await store.snapshotQueue.renew(claimed, { nowMs: 2_090, leaseMs: 100 }, change), {
      cancelRequested: false,
    })
    assert.equal(await claim(store, 'two', 2_150), undefined)
    const found = await store.snapshots.find('snp-1')
    assert.deepEqual([found?.status, found?.progress, found?.manifestDigest, found?.manifest], ['Pushing', '{"pass":1}', 'sha256:1', '{}']) // prettier-ignore
    await store.snapshotQueue.renew(claimed, { nowMs: 2_150, leaseMs: 100 }, { manifest: null })
    assert.equal((await store.snapshots.find('snp-1'))?.manifest, undefined)
  })

  test('a wish to cancel reaches whoever works on it', async () => {
    const store = await open()
    const replica = await open({ sameAs: store })
    await begin(store, 1)
    const claimed = await claim(store, 'one', 2_000)
    assert.ok(claimed)
    assert.equal(await replica.snapshots.requestCancel('snp-1'), true)
    assert.deepEqual(await store.snapshotQueue.renew(claimed, { nowMs: 2_010, leaseMs: 100 }), {
      cancelRequested: true,
    })
    await store.snapshotQueue.end(claimed, SAVED, 2_020)
    assert.equal(await replica.snapshots.requestCancel('snp-1'), false, 'too late')
  })

  test('one that waits for its turn may be taken to be ended, though its reference is in use', async () => {
    const store = await open()
    await begin(store, 1, 'r.example.com/a:same')
    await begin(store, 2, 'r.example.com/a:same')
    await claim(store, 'one', 2_000)
    const options = { owner: 'two', nowMs: 2_000, leaseMs: 100 }
    assert.equal(await store.snapshotQueue.claimToEnd('snp-1', options), undefined, 'somebody works on it')
    const waiting = await store.snapshotQueue.claimToEnd('snp-2', options)
    assert.equal(waiting?.snapshotId, 'snp-2')
    assert.equal(await store.snapshotQueue.claimToEnd('snp-9', options), undefined)
  })

  test('a server that ends gives its snapshots back at once, and this was no attempt', async () => {
    const store = await open()
    await begin(store, 1)
    const claimed = await claim(store, 'one', 2_000)
    assert.ok(claimed)
    await store.snapshotQueue.release(claimed)
    const again = await claim(store, 'two', 2_001)
    assert.deepEqual([again?.snapshotId, again?.fence, again?.attempts], ['snp-1', 2, 1])
  })
})
