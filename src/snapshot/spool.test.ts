import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { mustRun } from '#lab/workspace.ts'
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

test('the room is what limit and disk leave, less what is spared and what is still to be reserved', async (t) => {
  await using spool = await openSpool(home(t), 10_000_000)
  assert.equal(await spool.roomBytes(0), 9_500_000)
  assert.equal(await spool.roomBytes(1_000_000), 8_500_000)
  spool.reserveTail(1_000_000)
  assert.equal(await spool.roomBytes(1_000_000), 8_550_000)
  spool.growFrames(4_000_000)
  assert.equal(await spool.roomBytes(1_000_000), 4_750_000)
  assert.ok((await spool.roomBytes(20_000_000)) < 0)
  await using unlimited = await openSpool(home(t))
  const { bavail, bsize } = await statfs(unlimited.directory)
  const room = await unlimited.roomBytes(0)
  assert.ok(room > bavail * bsize * 0.9 && room < bavail * bsize, `${room} of ${bavail * bsize}`)
})

test('frames that are released take no blocks, do not count any more, and leave the others as they are', async (t) => {
  await using spool = await openSpool(home(t), 3 << 20)
  const bytes = Buffer.alloc(2 << 20, 'x')
  await spool.frames.write(bytes)
  spool.growFrames(2 << 20)
  assert.ok(
    spool.releaseFrames([
      { offset: 0, size: 1 << 20 },
      { offset: 1 << 20, size: 0 },
    ]),
  )
  const { blocks, size } = await spool.frames.stat()
  assert.deepEqual([blocks * 512 <= (1 << 20) + 8192, size], [true, 2 << 20])
  const { buffer } = await spool.frames.read(Buffer.alloc(1 << 20), 0, 1 << 20, 1 << 20)
  assert.ok(buffer.equals(bytes.subarray(1 << 20)))
  spool.growFrames(4 << 20)
  assert.throws(() => spool.growFrames((4 << 20) + 1), { code: 'spool_full', message: /3\.0 MiB/ })
})

test('a home that cannot be written is said in a sentence', async (t) => {
  const place = home(t)
  writeFileSync(join(place, 'spool'), 'a file where the directory should be')
  await assert.rejects(openSpool(place))
})

test('a spool that could not be made whole leaves nothing, neither a file nor a descriptor', async (t) => {
  const place = home(t)
  await mustRun('mount', ['-t', 'tmpfs', '-o', 'nr_inodes=6', 'tmpfs', place])
  try {
    await assert.rejects(openSpool(place), { code: 'spool_full' })
    assert.deepEqual(readdirSync(join(place, 'spool')), [])
  } finally {
    await mustRun('umount', [place]) // busy, if a descriptor were left
  }
})
