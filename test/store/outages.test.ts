import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { startPostgres } from '#lab/postgres.ts'
import { mustRun } from '#lab/workspace.ts'
import { openStore } from '#store/open-store.ts'

const KILLS = process.env['TINTYPE_TEST_LONG'] ? 50 : 10

/** Start the writing program, let it report some writes, and kill it; what it said was written. */
async function writeAndKill(home: string, reports: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, ['test/store/writer.ts', home], { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = once(child, 'exit')
  const written: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    written.push(line)
    // What it reports after the kill was written too: the lines that are in the pipe are read to its end.
    if (written.length === reports) child.kill('SIGKILL')
  }
  await gone
  assert.equal(child.signalCode, 'SIGKILL')
  return written
}

test(`a server that is killed ${KILLS} times while it writes loses nothing that it reported, and no file is damaged`, async () => {
  const home = mkdtempSync(`${tmpdir()}/tintype-store-`)
  const path = `${home}/tintype.db`
  try {
    const written: string[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      written.push(...(await writeAndKill(home, 1 + ((kill * 7) % 20))))
      assert.equal((await mustRun('sqlite3', [path, 'pragma integrity_check'])).toString(), 'ok\n')
    }
    assert.equal(new Set(written).size, written.length)
    await using store = await openStore({ database: { kind: 'sqlite', path }, home, clock: systemClock })
    for (const line of written) {
      assert.equal(await store.settings.get(`${line} first`), 'v', line)
      assert.equal(await store.settings.get(`${line} second`), 'v', line)
    }
    // A transaction that was cut off left neither of its two rows.
    const query = `select count(*) from settings a where key like '% first' and not exists
      (select 1 from settings b where b.key = replace(a.key, ' first', ' second'))`
    assert.equal((await mustRun('sqlite3', [path, query])).toString(), '0\n')
  } finally {
    rmSync(home, { recursive: true })
  }
})

test('while PostgreSQL is away the store says so, and goes on when it is back', async () => {
  const home = mkdtempSync(`${tmpdir()}/tintype-store-`)
  await using cluster = await startPostgres()
  try {
    const database = await cluster.createDatabase()
    await using store = await openStore({ database, home, clock: systemClock })
    await store.settings.set('a', '1')
    const isAway = { code: 'store_unavailable', message: /does not answer/ }
    const { promise: open, resolve: letGo } = Promise.withResolvers<void>()
    const { promise: started, resolve: start } = Promise.withResolvers<void>()
    const cut = store.transaction(async ({ settings }) => {
      await settings.set('a', '2')
      start()
      await open
      await settings.set('a', '3')
    })
    await started
    await cluster.kill()
    letGo()
    await assert.rejects(cut, isAway)
    await assert.rejects(store.ping(), isAway)
    await assert.rejects(openStore({ database, home, clock: systemClock }), isAway)
    await cluster.restart()
    assert.equal(await store.settings.get('a'), '1')
  } finally {
    rmSync(home, { recursive: true })
  }
})
