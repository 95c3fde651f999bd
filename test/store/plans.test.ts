/** How the databases find few things among many: by their plans, which do not depend on how busy a machine is. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CompiledQuery, KyselyPlugin, RootOperationNode } from 'kysely'
import { anInstance } from '#lab/instances.ts'
import { forEachStore, sharedPostgres, type OpenTestStore, type TestStore } from '#lab/stores.ts'
import { connect } from '#store/database.ts'
import type { InstanceFilter, InstancePage } from '#store/instance-list.ts'
import { openStore } from '#store/open-store.ts'
import type { Db } from '#store/schema.ts'
import { tablesOf, type Tables } from '#store/tables.ts'
import { fillStore, instanceIdOf } from '../../bench/fill-store.ts'

/** Enough for a planner to care; instance N is `train_N`, every tenth has failed. */
const [INSTANCES, SNAPSHOTS] = [5_000, 50_000]
const USER = '100'
const PAGE: InstancePage = { sortBy: 'createdMs', order: 'desc', offset: 0, limit: 10 }
const FILTER: InstanceFilter = { workspaceId: '1', paymentType: 'PayAsYouGo', visibleTo: USER }

async function openFull(open: OpenTestStore): Promise<TestStore> {
  const store = await open()
  await store.instances.insert(anInstance({ instanceId: 'template' }))
  const fill = { instances: INSTANCES, snapshots: SNAPSHOTS, userId: USER, template: 'template' }
  await fillStore(store.database, fill, store.kind === 'postgres' ? await sharedPostgres() : undefined)
  return store
}

interface Asked {
  readonly queries: readonly CompiledQuery[]
  /** How the database goes about them, one text for each. */
  readonly plans: readonly string[]
  readonly executed: number
}

/** What `work` asks the database. */
async function watch({ database, kind }: TestStore, work: (tables: Tables) => Promise<unknown>): Promise<Asked> {
  await using db = connect(database)
  const nodes: RootOperationNode[] = []
  let executed = 0
  const watcher: KyselyPlugin = {
    transformQuery({ node }) {
      nodes.push(node)
      return node
    },
    async transformResult({ result }) {
      executed++
      return result
    },
  }
  await work(tablesOf(db.withPlugin(watcher)))
  const executor = db.getExecutor()
  const queries = nodes.map((node) => executor.compileQuery(node, { queryId: 'plan' }))
  const explain = kind === 'sqlite' ? 'explain query plan' : 'explain'
  const plans: string[] = []
  for (const query of queries) plans.push(await planOf(db, { ...query, sql: `${explain} ${query.sql}` }))
  return { queries, plans, executed }
}

async function planOf(db: Db, query: CompiledQuery): Promise<string> {
  const { rows } = await db.executeQuery<Record<string, unknown>>(query)
  return rows.map((row) => row['detail'] ?? row['QUERY PLAN']).join('\n')
}

const largest = ({ queries }: Asked) =>
  Math.max(...queries.flatMap(({ parameters }) => parameters.filter((value) => typeof value === 'number')))

forEachStore('many instances', (open) => {
  test('what is asked for', async (t) => {
    const store = await openFull(open)

    await t.test('the last page is as near as the first', async () => {
      const last = { ...PAGE, offset: INSTANCES - 100, limit: 100 }
      const account = { workspaceId: '1', paymentType: 'PayAsYouGo' } as const
      const asked = await watch(store, ({ instances }) => instances.list(account, last))
      assert.ok(largest(asked) <= 100, `it passes over ${largest(asked)} entries`)
      const failed = { ...account, status: 'Failed' } as const
      const filtered = await watch(store, ({ instances }) => instances.list(failed, { ...PAGE, offset: 490 }))
      assert.ok(largest(filtered) <= 10, `it passes over ${largest(filtered)} entries`)
      const { instances, total } = await store.instances.list(failed, { ...PAGE, offset: 490 })
      const ids = instances.map(({ instanceId }) => instanceId)
      const expected = [90, 80, 70, 60, 50, 40, 30, 20, 10, 0].map(instanceIdOf)
      assert.deepEqual([ids, total], [expected, 500])
    })

    await t.test('a part of a name is found by an index', async () => {
      const filter = { ...FILTER, nameContains: 'TRAIN_77' }
      const { plans } = await watch(store, ({ instances }) => instances.list(filter, PAGE))
      if (store.kind === 'sqlite') {
        assert.match(plans[0] ?? '', /VIRTUAL TABLE/)
        assert.doesNotMatch(plans.slice(1).join('\n'), /SCAN instances|instances_filter|instances_created/)
      } else assert.match(plans.join('\n'), /Bitmap Index Scan on instances_search_name/)
      const { instances, total } = await store.instances.list(filter, { ...PAGE, limit: 100 })
      const expected = [77, 770, 771, 772, 773, 774, 775, 776, 777, 778, 779].filter(
        (number) => number % 3 === 0 || number % 100 === 7,
      )
      const names = instances.map(({ name }) => name).toReversed()
      assert.deepEqual([names, total], [expected.map((number) => `train_${number}`), expected.length])
    })

    await t.test('the latest snapshots of an instance are the end of an index', async () => {
      const ids = [instanceIdOf(1), instanceIdOf(2)]
      const options = { limit: 3 }
      const asked = await watch(store, ({ snapshots }) => snapshots.latestOf(ids, options))
      const expected =
        store.kind === 'sqlite'
          ? /CO-ROUTINE newest\nSEARCH snapshots USING INDEX snapshots_instance \(/
          : /Limit .*\n.*Index Scan Backward using snapshots_instance/
      assert.match(asked.plans.join('\n'), expected)
      assert.doesNotMatch(asked.plans.join('\n'), /WindowAgg|SCAN snapshots|Seq Scan on snapshots/)
    })

    await t.test('what belongs to the instances of a page is asked for at once, and in the same words', async () => {
      const askFor = (count: number) =>
        watch(store, async ({ instanceLabels, cullers, timers, users, snapshots }) => {
          const ids = Array.from({ length: count }, (_, i) => instanceIdOf(i))
          for (const table of [instanceLabels, cullers, timers]) await table.of(ids)
          await users.ownerNames(ids)
          await snapshots.latestOf(ids, { limit: 10 })
        })
      const [one, hundred] = [await askFor(1), await askFor(100)]
      assert.deepEqual([one.executed, hundred.executed], [5, 5])
      const wordsOf = ({ queries }: Asked) => queries.map(({ sql }) => sql)
      assert.deepEqual(wordsOf(hundred), wordsOf(one))
    })

    await t.test('a part that so many names have is looked for in all names', async () => {
      const filter = { ...FILTER, nameContains: 'train' }
      const { plans } = await watch(store, ({ instances }) => instances.list(filter, { ...PAGE, offset: 1_000 }))
      assert.doesNotMatch(plans.slice(1).join('\n'), /VIRTUAL TABLE|Bitmap/)
      const { instances, total } = await store.instances.list(filter, PAGE)
      assert.deepEqual([instances.length, total], [10, 1_701])
    })
  })
})

forEachStore('the index of names', (open) => {
  test('it follows what is renamed and what goes, and takes every text as it is', async () => {
    const { instances } = await open()
    const found = async (nameContains: string) =>
      (await instances.list({ nameContains }, PAGE)).instances.map(({ instanceId }) => instanceId).join()
    await instances.insert(anInstance({ instanceId: 'dsw-a', name: 'Alpha_1', createdMs: 2 }))
    await instances.insert(anInstance({ instanceId: 'dsw-b', name: 'alpha_2', createdMs: 1 }))
    assert.equal(await found('ALPHA'), 'dsw-a,dsw-b')
    await instances.update({ instanceId: 'dsw-a', version: 1 }, { name: 'beta' })
    assert.deepEqual([await found('alpha'), await found('bet')], ['dsw-b', 'dsw-a'])
    await instances.update({ instanceId: 'dsw-a', version: 2 }, { status: 'Failed' })
    assert.equal(await found('beta'), 'dsw-a')
    await instances.remove({ instanceId: 'dsw-b', version: 1 })
    await instances.insert(anInstance({ instanceId: 'dsw-c', name: 'other' }))
    assert.deepEqual([await found('alpha'), await found('the')], ['', 'dsw-c'])
    for (const text of ['"', 'a"b', 'x" OR "other', 'other AND', '*', 'ot*', 'éé é', '^oth', '-other'])
      assert.equal(await found(text), '', JSON.stringify(text))
  })

  test('it finds by name and image together, and among ids', async () => {
    const { instances } = await open()
    const rows = [
      ['dsw-a', 'train_a', 'torch:v1'],
      ['dsw-b', 'train_b', 'jax:v1'],
      ['dsw-c', 'serve_c', 'torch:v2'],
    ] as const
    for (const [instanceId, name, imageName] of rows)
      await instances.insert(anInstance({ instanceId, name, imageName }))
    const found = async (filter: InstanceFilter) =>
      (await instances.list(filter, { ...PAGE, order: 'asc' })).instances.map(({ instanceId }) => instanceId).join()
    assert.equal(await found({ nameContains: 'train', imageNameContains: 'torch:' }), 'dsw-a')
    assert.equal(await found({ imageNameContains: 'TORCH' }), 'dsw-a,dsw-c')
    assert.equal(await found({ nameContains: 'train', instanceIds: ['dsw-b', 'dsw-c'] }), 'dsw-b')
    assert.equal(await found({ nameContains: 'a', imageNameContains: 'torch' }), 'dsw-a')
  })
})

describe('PostgreSQL without pg_trgm', () => {
  test('whoever may not add it has lists by a part of a name all the same', async () => {
    const cluster = await sharedPostgres()
    const admin = await cluster.createDatabase()
    await cluster.query(admin, 'create role plain login')
    await cluster.query(admin, 'grant create, usage on schema public to plain')
    const url = admin.url.replace('postgres@', 'plain@')
    const clock = { wallMs: () => 0, wallNs: () => 0n, monotonicMs: () => 0 }
    await using store = await openStore({
      database: { kind: 'postgres', url },
      home: '/nowhere',
      clock,
      secretKey: new Uint8Array(32),
    })
    assert.equal(await cluster.query(admin, "select count(*) from pg_extension where extname = 'pg_trgm'"), '0')
    await store.instances.insert(anInstance({ name: 'Alpha' }))
    assert.equal((await store.instances.list({ nameContains: 'PHA' }, PAGE)).total, 1)
  })
})
