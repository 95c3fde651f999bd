import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { startCountingGroup, type CountingGroup } from '#lab/counting-group.ts'
import { FAKE_ID, startFakeEngine, type FakeEngine } from '#lab/fake-engine.ts'
import { freezeCgroup, readCgroupState } from './cgroup.ts'
import type { Freezer, InitProcess } from './freezer.ts'
import { identifyProcess } from './process-identity.ts'
import { recordPath, writeRecord, type FreezeRecord } from './record.ts'
import { thawLeftovers } from './recover.ts'

const SELF = identifyProcess(process.pid)!
const DEAD: InitProcess = { pid: process.pid, startTime: '1' }
const clockAt = (wallMs: number) => ({ ...systemClock, wallMs: () => wallMs })

/** A home with one record in it: of a group that is frozen, unless told otherwise. */
function leftover(group: CountingGroup, change: Partial<FreezeRecord> = {}) {
  const home = mkdtempSync(join(tmpdir(), 'tintype-left-'))
  const freezer: Freezer = change.freezer ?? { kind: 'cgroup', cgroup: group.file }
  const record = { freezer, init: group.init, owner: DEAD, deadlineMs: 1000, engineBehind: false, ...change }
  writeRecord(recordPath(home, freezer, record.owner), record)
  return {
    home,
    run: async (nowMs: number) => (await thawLeftovers({ home, clock: clockAt(nowMs) })).map(({ did }) => did),
    left: () => readdirSync(home),
    [Symbol.dispose]: () => rmSync(home, { recursive: true }),
  }
}
const engineFreezer = (group: CountingGroup, engine: FakeEngine): Freezer => ({
  kind: 'engine',
  socketPath: engine.socketPath,
  containerId: FAKE_ID,
  cgroup: group.file,
})

test('what a dead owner left frozen is thawed before its deadline', async () => {
  await using group = await startCountingGroup()
  using left = leftover(group)
  await freezeCgroup(group.file)
  assert.deepEqual(await left.run(0), ['thawed'])
  assert.equal(readCgroupState(group.file), 'thawed')
  assert.deepEqual(left.left(), [])
})

test('what a living owner holds is left alone until its deadline has passed', async () => {
  await using group = await startCountingGroup()
  using left = leftover(group, { owner: SELF })
  await freezeCgroup(group.file)
  assert.deepEqual(await left.run(999), ['held'])
  assert.equal(readCgroupState(group.file), 'frozen')
  assert.deepEqual(await left.run(1000), ['thawed'])
  assert.equal(readCgroupState(group.file), 'thawed')
})

test('a zombie holds nothing', async () => {
  await using group = await startCountingGroup()
  // The shell becomes a program that never waits for its child.
  const parent = spawn('sh', ['-c', 'sh -c "kill -STOP \\$\\$" & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = new Promise((resolve) => parent.once('exit', resolve))
  const pid = Number(await new Promise((resolve) => parent.stdout.once('data', (text) => resolve(String(text)))))
  const owner = identifyProcess(pid)!
  using left = leftover(group, { owner })
  await freezeCgroup(group.file)
  assert.deepEqual(await left.run(0), ['held'])
  process.kill(pid, 'SIGKILL')
  while (identifyProcess(pid) !== undefined) await new Promise((resolve) => setTimeout(resolve, 2))
  assert.deepEqual(await left.run(0), ['thawed'])
  parent.kill('SIGKILL')
  await ended
})

test('a container whose init is another process now is never thawed', async () => {
  await using group = await startCountingGroup()
  using left = leftover(group, { init: { ...group.init, startTime: '1' } })
  await freezeCgroup(group.file)
  assert.deepEqual(await left.run(2000), ['gone'])
  assert.equal(readCgroupState(group.file), 'frozen')
  assert.deepEqual(left.left(), [])
})

test('a container of an engine is unpaused through the engine', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using left = leftover(group, { freezer: engineFreezer(group, engine) })
  engine.paused = true
  await freezeCgroup(group.file)
  assert.deepEqual(await left.run(0), ['thawed'])
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [false, 'thawed'])
})

test('a crash before the freeze leaves a record and nothing to thaw', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using left = leftover(group, { freezer: engineFreezer(group, engine) })
  assert.deepEqual(await left.run(0), ['thawed'])
  assert.deepEqual(left.left(), [])
})

test('a container that was thawed behind its engine: the engine is put right at the start at which it answers', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using left = leftover(group, { freezer: engineFreezer(group, engine) })
  engine.paused = true
  engine.hangs = true
  await freezeCgroup(group.file)
  assert.deepEqual(await left.run(0), ['thawed'])
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [true, 'thawed'])
  assert.equal(left.left().length, 1)
  assert.deepEqual(await left.run(0), ['failed'], 'it still hangs')
  engine.resume()
  assert.deepEqual(await left.run(0), ['repaired'])
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [false, 'thawed'])
  assert.equal(await group.isCounting(5000), true)
  assert.deepEqual(left.left(), [])
})

test('a pause that the engine carried out late is undone', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using left = leftover(group, { freezer: engineFreezer(group, engine), owner: SELF, engineBehind: true })
  engine.paused = true
  await freezeCgroup(group.file)
  assert.deepEqual(await left.run(0), ['repaired'])
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [false, 'thawed'])
})

test('an engine that knows already needs no repair', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using left = leftover(group, { freezer: engineFreezer(group, engine), engineBehind: true })
  assert.deepEqual(await left.run(0), ['repaired'])
  assert.deepEqual(engine.calls, ['GET json'])
})

test('a container that the engine has removed needs nothing', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  const freezer = { ...engineFreezer(group, engine), containerId: 'cd'.repeat(32) } as Freezer
  using left = leftover(group, { freezer })
  assert.deepEqual(await left.run(0), ['thawed'])
  using behind = leftover(group, { freezer, engineBehind: true })
  assert.deepEqual(await behind.run(0), ['repaired'])
})

test('what is no record is removed, a record of one failure does not keep others from being thawed', async () => {
  await using group = await startCountingGroup()
  using left = leftover(group)
  await freezeCgroup(group.file)
  writeFileSync(join(left.home, 'freeze-0-1.json'), '{"freezer":')
  writeFileSync(join(left.home, 'freeze-1-1.json'), '{"freezer":{"kind":"engine"}}')
  writeFileSync(join(left.home, `freeze-2-1.${2 ** 22 + 1}.tmp`), 'a writer that died')
  writeFileSync(join(left.home, `freeze-2-1.${process.pid}.tmp`), 'a writer that lives')
  writeFileSync(join(left.home, 'other.json'), 'not ours')
  assert.deepEqual((await left.run(0)).sort(), ['gone', 'gone', 'thawed'])
  assert.deepEqual(left.left().sort(), [`freeze-2-1.${process.pid}.tmp`, 'other.json'])
})

test('a first start finds no home and nothing to do', async () => {
  assert.deepEqual(await thawLeftovers({ home: '/nowhere/tintype' }), [])
})
