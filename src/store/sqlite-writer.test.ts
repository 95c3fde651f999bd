import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, test } from 'node:test'
import { runProgram } from '#base/process.ts'
import { SqliteWriter } from './sqlite-writer.ts'

const directory = mkdtempSync(`${tmpdir()}/tintype-writer-`)
after(() => rmSync(directory, { recursive: true, force: true }))

/** For a few hundred milliseconds. */
const LONG = 'with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000000) select count(*) from n'

async function openWriter(name: string) {
  const writer = await SqliteWriter.open(`${directory}/${name}`)
  await writer.exec('create table t (id integer primary key, value text unique)')
  return writer
}

test('while it works, others go on', async () => {
  const writer = await openWriter('long')
  const order: string[] = []
  const long = writer.run(LONG, []).then(({ rows }) => order.push(`counted ${String(rows[0]?.[0])}`))
  await new Promise(setImmediate)
  order.push('another')
  await long
  assert.deepEqual(order, ['another', 'counted 1000000'])
  await writer.close()
})

test('requests are carried out in the order of the calls, each with its own answer', async () => {
  const writer = await openWriter('order')
  const answers = await Promise.allSettled([
    writer.run('insert into t (value) values (?)', ['a']),
    writer.run('insert into t (value) values (?)', ['a']),
    writer.run('insert into t (value) values (?)', [new Uint8Array([1, 255])]),
    writer.run('select id, value from t order by id', []),
  ])
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  )
  const [first, , , last] = answers
  assert.ok(first.status === 'fulfilled' && last.status === 'fulfilled')
  assert.deepEqual([first.value.changes, first.value.lastInsertRowid], [1, 1])
  assert.deepEqual(last.value.columns, ['id', 'value'])
  assert.deepEqual(last.value.rows, [
    [1, 'a'],
    [2, new Uint8Array([1, 255])],
  ])
  await writer.close()
})

test('an error keeps its codes', async () => {
  const writer = await openWriter('errors')
  await writer.run('insert into t (value) values (?)', ['a'])
  const again = writer.run('insert into t (value) values (?)', ['a'])
  await assert.rejects(again, { message: /UNIQUE/, code: 'ERR_SQLITE_ERROR', errcode: 2067 })
  await writer.close()
})

test('it knows whether a transaction is open, also after a statement that failed', async () => {
  const writer = await openWriter('transaction')
  const states = [writer.isInTransaction()]
  for (const text of ['begin immediate', 'nonsense', 'insert into t values (1, 1)', 'rollback']) {
    await writer.exec(text).catch(() => {})
    states.push(writer.isInTransaction())
  }
  assert.deepEqual(states, [false, true, true, true, false])
  await writer.close()
})

test('a file that cannot be opened is told at once', async () => {
  await assert.rejects(SqliteWriter.open(`${directory}/none/file`), { code: 'ERR_SQLITE_ERROR', errcode: 14 })
})

test('whoever asks after its end is told so', async () => {
  const writer = await openWriter('closed')
  await writer.close()
  await assert.rejects(writer.exec('select 1'), { code: 'store_unavailable' })
})

test('it keeps the process for as long as somebody waits, and no longer', async () => {
  const script = `
    import { SqliteWriter } from '${new URL('sqlite-writer.ts', import.meta.url).href}'
    const writer = await SqliteWriter.open('${directory}/alive')
    writer.run(${JSON.stringify(LONG)}, []).then(({ rows }) => console.log(rows[0][0]))`
  writeFileSync(`${directory}/alive.mjs`, script)
  const { exitCode, stdout } = await runProgram(process.execPath, [`${directory}/alive.mjs`])
  assert.deepEqual([exitCode, stdout.toString().trim()], [0, '1000000'])
})
