import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { sql } from 'kysely'
import { systemClock } from '#base/clock.ts'
import { forEachStore, sharedPostgres, type OpenTestStore, type TestStore } from '#lab/stores.ts'
import { mustRun } from '#lab/workspace.ts'
import { connect } from '#store/database.ts'
import { countTriggers } from '#store/migrations/types.ts'
import { openStore } from '#store/open-store.ts'
import type { Schema } from '#store/schema.ts'

/** Ask the database by the program that comes with it. */
async function ask({ database }: TestStore, text: string): Promise<string> {
  if (database.kind === 'postgres') return await (await sharedPostgres()).query(database, text)
  return (await mustRun('sqlite3', [database.path, text])).toString().trimEnd()
}

forEachStore('transactions', (open) => {
  test('all of it is there when it resolves, and nothing when it rejects', async () => {
    const store = await open()
    await store.transaction(async ({ settings }) => {
      await settings.set('a', '1')
      assert.equal(await settings.get('a'), '1', 'it sees what it has done')
      assert.equal(await store.settings.get('a'), undefined, 'nobody else does')
    })
    assert.equal(await store.settings.get('a'), '1')
    const refused = new Error('no')
    await assert.rejects(
      store.transaction(async ({ settings }) => {
        await settings.set('a', '2')
        throw refused
      }),
      refused,
    )
    assert.equal(await store.settings.get('a'), '1')
  })

  test('after a statement that fails, and is caught, nothing of the transaction is kept by mistake', async () => {
    const store = await open()
    const tried = store.transaction(async ({ settings, policies }) => {
      await settings.set('a', '1')
      await policies
        .insertVersion({ policyName: 'none', versionId: 'v1', document: '', createdMs: 1 })
        .catch(() => undefined)
      throw new Error('given up')
    })
    await assert.rejects(tried, /given up/)
    assert.equal(await store.settings.get('a'), undefined)
    await store.settings.set('a', '2')
    assert.equal(await store.settings.get('a'), '2', 'the connection is usable')
  })

  test('forty that add one to a number, in two replicas, add forty', async () => {
    const store = await open()
    const other = await open({ sameAs: store })
    await store.settings.set('n', '0')
    const add = (one: TestStore) =>
      one.transaction(async ({ settings }) => {
        const n = Number(await settings.get('n'))
        await settings.set('n', `${n + 1}`)
      })
    await Promise.all(Array.from({ length: 40 }, (_, index) => add(index % 2 ? store : other)))
    assert.equal(await store.settings.get('n'), '40')
  })

  test('writes outside of a transaction wait for it, reads do not', async () => {
    const store = await open()
    await store.settings.set('a', '1')
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
    const { promise: started, resolve: start } = Promise.withResolvers<void>()
    const long = store.transaction(async ({ settings }) => {
      await settings.set('a', '2')
      start()
      await held
    })
    await started
    const write = store.settings.set('a', '3')
    assert.equal(await store.settings.get('a'), '1')
    letGo()
    await Promise.all([long, write])
    assert.equal(await store.settings.get('a'), '3')
  })

  test('numbers of 53 bits and every text come back as they were', async () => {
    const store = await open()
    const text = 'ü 漢 🙂 "\'\\ \n\t%_'
    await store.settings.set(text, text)
    assert.equal(await store.settings.get(text), text)
    await store.nonces.use({ accessKeyId: 'k', nonce: 'n', expiresMs: Number.MAX_SAFE_INTEGER })
    const lease = await store.leases.acquire({ name: 'l', owner: 'o', nowMs: 0, expiresMs: Number.MAX_SAFE_INTEGER })
    assert.equal(lease?.fence, 1)
    const asked = { name: 'l', owner: 'other', nowMs: Number.MAX_SAFE_INTEGER - 1, expiresMs: Number.MAX_SAFE_INTEGER }
    assert.equal(await store.leases.acquire(asked), undefined)
  })
})

forEachStore('opening', (open) => {
  test('six replicas that start at once on an empty database all come up, on one schema', async () => {
    const store = await emptyDatabase(open)
    const replicas = await Promise.all(Array.from({ length: 6 }, () => open({ sameAs: store })))
    await Promise.all(replicas.map((one, index) => one.settings.set(`k${index}`, 'v')))
    assert.equal(await ask(store, "select count(*) from settings where key like 'k_'"), '6')
    assert.equal(await ask(store, 'select count(*) from migrations'), '1')
  })

  test('a database that a newer version has changed is left alone', async () => {
    const store = await open()
    await ask(store, "insert into migrations (name) values ('9999-later')")
    await assert.rejects(open({ sameAs: store }), { code: 'store_unsupported', message: /9999-later/ })
  })

  test('a database of another secret key is refused before anything is written', async () => {
    const { database } = await open()
    const home = mkdtempSync(`${tmpdir()}/tintype-store-`)
    try {
      const opened = openStore({ database, home, clock: systemClock })
      await assert.rejects(opened, { code: 'store_unsupported', message: /secret\.key/ })
      const secretKey = randomBytes(32)
      await assert.rejects(openStore({ database, home, clock: systemClock, secretKey }), { code: 'store_unsupported' })
    } finally {
      rmSync(home, { recursive: true })
    }
  })

  test('a store that is closed says so, and closing it again is fine', async () => {
    const store = await open()
    await store.ping()
    await store[Symbol.asyncDispose]()
    await assert.rejects(store.settings.get('a'))
    await store[Symbol.asyncDispose]()
  })
})

/** A new database without tables: those that `open` made are dropped again. */
async function emptyDatabase(open: OpenTestStore): Promise<TestStore> {
  const store = await open()
  await store[Symbol.asyncDispose]()
  if (store.database.kind === 'sqlite') rmSync(store.database.path)
  else await ask(store, 'drop schema public cascade; create schema public')
  return store
}

/** Tables whose rows are counted, as instances and snapshots are. */
async function makeCounted(store: TestStore): Promise<void> {
  const statements = [
    'create table things (id text primary key, owner text not null, place text not null, note text)',
    'create table thing_counts (owner text, place text, total bigint not null, primary key (owner, place))',
    ...countTriggers(store.kind, { table: 'things', counts: 'thing_counts', by: ['owner', 'place'] }),
  ]
  for (const statement of statements) await ask(store, statement)
}

forEachStore('counts that triggers keep', (open) => {
  const counts = (store: TestStore) =>
    ask(store, 'select owner, place, total from thing_counts order by owner, place').then((text) => text.split('\n'))

  test('rows are counted as they come, change hands, and go', async () => {
    const store = await open()
    await makeCounted(store)
    const rows = ["('1', 'u', 'x', '')", "('2', 'u', 'x', '')", "('3', 'u', 'y', '')", "('4', 'v', 'x', '')"]
    await ask(store, `insert into things values ${rows.join(', ')}`)
    assert.deepEqual(await counts(store), ['u|x|2', 'u|y|1', 'v|x|1'])
    await ask(store, "update things set place = 'y' where id = '1'")
    await ask(store, "update things set note = 'changed'")
    assert.deepEqual(await counts(store), ['u|x|1', 'u|y|2', 'v|x|1'])
    await ask(store, "update things set owner = 'v'")
    assert.deepEqual(await counts(store), ['v|x|2', 'v|y|2'])
    await ask(store, "delete from things where place = 'y'")
    assert.deepEqual(await counts(store), ['v|x|2'])
    await ask(store, 'delete from things')
    assert.deepEqual(await counts(store), [''])
  })

  test('what is rolled back is not counted; an insert that meets a conflict is not either', async () => {
    const store = await open()
    await makeCounted(store)
    await ask(store, "insert into things values ('1', 'u', 'x', '')")
    await ask(store, "insert into things values ('1', 'u', 'x', '') on conflict do nothing")
    await ask(store, "begin; insert into things values ('2', 'u', 'x', ''); rollback")
    assert.deepEqual(await counts(store), ['u|x|1'])
  })

  test('of twenty made and half of them removed at the same time, in two replicas, ten are counted', async () => {
    const store = await open()
    await makeCounted(store)
    await using one = connect(store.database)
    await using other = connect(store.database)
    const work = Array.from({ length: 20 }, async (_, number) => {
      const db = number % 2 ? one : other
      await sql`insert into things values (${`${number}`}, ${'u'}, ${'x'}, ${''})`.execute(db)
      if (number < 10) await sql`delete from things where id = ${`${number}`}`.execute(db)
    })
    await Promise.all(work)
    assert.deepEqual(await counts(store), ['u|x|10'])
  })
})

forEachStore('the schema', (open) => {
  /** One table of each, to see that the columns that the code names are there. */
  const TABLES = {
    ...{ settings: 1, users: 1, accessKeys: 1, policies: 1, policyVersions: 1, attachments: 1, roles: 1, nonces: 1 },
    ...{ audit: 1, leases: 1, instances: 1, instanceLabels: 1, instanceCounts: 1, lifecycle: 1, instanceEvents: 1 },
    ...{ metrics: 1, cullers: 1, timers: 1, snapshots: 1, snapshotCounts: 1, images: 1, imageLabels: 1 },
    ...{ registries: 1, schedules: 1, tempFiles: 1, tempFileTasks: 1, sanityChecks: 1 },
  } as const satisfies Record<keyof Schema, 1>

  test('every table is there', async () => {
    const store = await open()
    await using db = connect(store.database)
    for (const table of Object.keys(TABLES) as (keyof Schema)[])
      assert.ok((await db.selectFrom(table).selectAll().limit(1).execute()).length <= 1)
  })
})
