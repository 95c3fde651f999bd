import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openSpool, sweepSpools } from './spool.ts'

function home(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('a spool is for its owner alone, and gone when it is closed', async (t) => {
  const place = home(t)
  const spool = await openSpool(place)
  assert.equal(statSync(spool.directory).mode & 0o777, 0o700)
  assert.equal(statSync(join(place, 'spool')).mode & 0o777, 0o700)
  for (const name of ['frames', 'tail', 'probe'])
    assert.equal(statSync(join(spool.directory, name)).mode & 0o777, 0o600, name)
  assert.ok((await spool.freeBytes()) > 0)
  await spool[Symbol.asyncDispose]()
  assert.deepEqual(readdirSync(join(place, 'spool')), [])
})

test('what a killed capture left is swept by the next one; what a living one holds is not', async (t) => {
  const place = home(t)
  await using living = await openSpool(place)
  const dead = join(place, 'spool', 'capture-dead')
  mkdirSync(dead)
  writeFileSync(join(dead, 'lock'), '')
  writeFileSync(join(dead, 'frames'), 'secret')
  await sweepSpools(place)
  assert.deepEqual([existsSync(dead), existsSync(living.directory)], [false, true])
})

test('captures that begin together do not sweep each other', async (t) => {
  const place = home(t)
  await using opened = new AsyncDisposableStack()
  const spools = await Promise.all(Array.from({ length: 50 }, () => openSpool(place)))
  for (const spool of spools) opened.use(spool)
  await sweepSpools(place)
  assert.deepEqual(
    spools.filter(({ directory }) => !existsSync(join(directory, 'probe'))),
    [],
  )
})

test('room for the tail is reserved, and what no disk has is refused before the freeze', async (t) => {
  await using spool = await openSpool(home(t))
  spool.reserveTail(1 << 20)
  assert.equal((await spool.tail.stat()).blocks * 512 >= 1 << 20, true)
  assert.throws(() => spool.reserveTail(2 ** 50), { code: 'spool_full' })
})

test('a home that cannot be written is said in a sentence', async (t) => {
  const place = home(t)
  writeFileSync(join(place, 'spool'), 'a file where the directory should be')
  await assert.rejects(openSpool(place))
})
