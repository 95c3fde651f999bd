import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, renameSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freezerHierarchies, startCountingGroup, untilThawed, type CountingGroup } from '#lab/counting-group.ts'
import { FAKE_ID, startFakeEngine, type FakeEngine } from '#lab/fake-engine.ts'
import { freezeCgroup, readCgroupState, thawCgroup } from './cgroup.ts'
import { openFreezer, type FreezerOptions } from './freeze.ts'
import { isAlive } from './process-identity.ts'
import { readRecord } from './record.ts'

const OWNER = fileURLToPath(import.meta.resolve('#lab/freeze-owner.ts'))
/** No freeze here lasts so long by itself, however busy the machine is. */
const BUDGET_MS = 60_000
/** A thaw that comes within it was not that of the budget. */
const SOON_MS = 30_000

/** Where the test's freezes are recorded, and what is there. */
function recordHome() {
  const home = mkdtempSync(join(tmpdir(), 'tintype-run-'))
  return {
    home,
    records: () => readdirSync(home),
    record: () => readRecord(join(home, readdirSync(home)[0]!)),
    [Symbol.dispose]: () => rmSync(home, { recursive: true }),
  }
}

const byCgroup = (group: CountingGroup, home: string): FreezerOptions => ({
  freezer: { kind: 'cgroup', cgroup: group.file },
  init: group.init,
  home,
  maxFreezeMs: BUDGET_MS,
})
const byEngine = (group: CountingGroup, engine: FakeEngine, home: string): FreezerOptions => ({
  ...byCgroup(group, home),
  freezer: { kind: 'engine', socketPath: engine.socketPath, containerId: FAKE_ID, cgroup: group.file },
})

/** The watchdog of the process: its youngest child that runs the program. One of a freezer before may not have ended yet. */
function watchdogOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
  return children.findLast((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('watchdog.ts'))!
}

/** Another process that froze, in a process group of its own, and what it says afterwards. */
async function startOwner(options: FreezerOptions) {
  const child = spawn(process.execPath, [OWNER, JSON.stringify(options)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = new Promise((resolve) => child.once('exit', resolve))
  assert.equal((await lines.next()).value, 'frozen')
  return {
    pid: child.pid!,
    watchdog: watchdogOf(child.pid!),
    nextLine: async () => (await lines.next()).value,
    kill: (signal: NodeJS.Signals) => process.kill(-child.pid!, signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

for (const hierarchy of freezerHierarchies())
  test(`${hierarchy.name}: between freeze and thaw the container stands still, and a record says so`, async () => {
    await using group = await startCountingGroup(hierarchy)
    using run = recordHome()
    await using freezer = openFreezer(byCgroup(group, run.home))
    const frozen = await freezer.freeze()
    assert.equal(readCgroupState(group.file), 'frozen')
    assert.equal(await group.isCounting(), false)
    assert.deepEqual(run.record()?.init, group.init)
    assert.equal(run.record()?.owner.pid, process.pid)
    await frozen.stillFrozen()
    const { frozenMs } = await frozen.thaw()
    assert.equal(await group.isCounting(5000), true)
    assert.ok(frozenMs >= 100 && frozenMs < BUDGET_MS, `${frozenMs} ms`)
    assert.ok(frozen.f0Ns <= frozen.f1Ns)
    assert.deepEqual(run.records(), [])
  })

test('a barrier leaves the container running', async () => {
  await using group = await startCountingGroup()
  using run = recordHome()
  await using freezer = openFreezer(byCgroup(group, run.home))
  const before = BigInt(Date.now()) * 1_000_000n
  const barrier = await freezer.barrier()
  assert.equal(readCgroupState(group.file), 'thawed')
  assert.ok(barrier.beforeNs >= before && barrier.beforeNs <= BigInt(Date.now()) * 1_000_000n)
  assert.ok(barrier.durationMs > 0 && barrier.durationMs < SOON_MS)
  assert.deepEqual(run.records(), [])
})

test('with an engine, the engine pauses and unpauses', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  const frozen = await freezer.freeze()
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [true, 'frozen'])
  await frozen.stillFrozen()
  await frozen.thaw()
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [false, 'thawed'])
  assert.deepEqual(engine.calls, ['GET json', 'POST pause', 'POST unpause'])
})

test('a pause that fails is undone and tried again', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  engine.failingPauses = 3
  let firstMs: number | undefined
  engine.onInspect = () => void (firstMs ??= performance.now()) // before each pause
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  const { durationMs } = await freezer.barrier()
  const wholeMs = performance.now() - (firstMs ?? Infinity)
  assert.equal(engine.calls.filter((call) => call === 'POST pause').length, 4)
  // Between them it waits for 50, 100 and 150 ms.
  assert.ok(wholeMs - durationMs > 250, 'the failed ones do not count')
  assert.equal(engine.paused, false)
})

test('a pause that always fails is an error, with the container running', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  engine.failingPauses = 1000
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  await assert.rejects(freezer.freeze(), { code: 'freeze_failed', message: /unable to freeze/ })
  assert.equal(engine.calls.filter((call) => call === 'POST pause').length, 10)
  assert.equal(readCgroupState(group.file), 'thawed')
  assert.deepEqual(run.records(), [])
})

test('a container that someone else has paused is refused, and stays paused', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  engine.paused = true
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  await assert.rejects(freezer.freeze(), { code: 'container_paused' })
  assert.equal(engine.paused, true)
  assert.deepEqual(engine.calls, ['GET json'])
})

test('a container whose cgroup someone else has frozen is refused, and stays frozen', async () => {
  await using group = await startCountingGroup()
  using run = recordHome()
  await freezeCgroup(group.file)
  await using freezer = openFreezer(byCgroup(group, run.home))
  await assert.rejects(freezer.freeze(), { code: 'container_paused' })
  assert.equal(readCgroupState(group.file), 'frozen')
  assert.deepEqual(run.records(), [])
})

test('a pause by someone else between the look and ours is not undone', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  // The first look says running; the pause then meets the other's.
  engine.onInspect = () => void (engine.paused = true)
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  await assert.rejects(freezer.freeze(), { code: 'container_paused' })
  assert.equal(engine.paused, true)
  assert.ok(!engine.calls.includes('POST unpause'))
  assert.deepEqual(run.records(), [])
})

test('a container that was restarted is not the one that was located', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  engine.pid = group.init.pid + 1
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  await assert.rejects(freezer.freeze(), { code: 'container_gone' })
  await using other = openFreezer({ ...byCgroup(group, run.home), init: { ...group.init, startTime: '1' } })
  await assert.rejects(other.freeze(), { code: 'container_gone' })
  assert.equal(readCgroupState(group.file), 'thawed')
})

test('a thaw by someone else voids the freeze', async () => {
  await using group = await startCountingGroup()
  using run = recordHome()
  await using freezer = openFreezer(byCgroup(group, run.home))
  const frozen = await freezer.freeze()
  await thawCgroup(group.file)
  await assert.rejects(frozen.stillFrozen(), { code: 'container_gone', message: /Someone else thawed/ })
  await frozen.thaw()
})

test('an upperdir that was replaced voids the freeze', async () => {
  await using group = await startCountingGroup()
  using run = recordHome()
  const upperdir = mkdtempSync(join(tmpdir(), 'tintype-upper-'))
  await using freezer = openFreezer({ ...byCgroup(group, run.home), upperdir })
  const frozen = await freezer.freeze()
  await frozen.stillFrozen()
  renameSync(upperdir, `${upperdir}.old`)
  await assert.rejects(frozen.stillFrozen(), { code: 'container_gone', message: /upperdir/ })
  mkdirSync(upperdir)
  await assert.rejects(frozen.stillFrozen(), { code: 'container_gone' })
  await frozen.thaw()
  rmSync(upperdir, { recursive: true })
  rmSync(`${upperdir}.old`, { recursive: true })
})

test('kill -9 of the owner and its whole process group: thawed within a second', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  await using owner = await startOwner(byEngine(group, engine, run.home))
  assert.notEqual(statSync(`/proc/${owner.watchdog}`).ino, undefined)
  owner.kill('SIGKILL')
  await untilThawed(group.file, SOON_MS)
  assert.equal(engine.paused, false, 'through the engine, so that it knows')
  await untilGone(owner.watchdog)
  assert.deepEqual(run.records(), [])
})

test('a hanging owner: thawed a second after the budget, and the owner is told when it wakes up', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  await using owner = await startOwner({ ...byEngine(group, engine, run.home), maxFreezeMs: 3000 })
  const { deadlineMs } = run.record()!
  owner.kill('SIGSTOP')
  await untilThawed(group.file, SOON_MS)
  assert.ok(Date.now() >= deadlineMs - 10, `${deadlineMs - Date.now()} ms before the deadline`)
  assert.equal(engine.paused, false)
  owner.kill('SIGCONT')
  assert.equal(await owner.nextLine(), 'lost freeze_budget_exceeded')
})

test('Ctrl-C and terminate do not end a watchdog that is needed', async () => {
  await using group = await startCountingGroup()
  using run = recordHome()
  await using owner = await startOwner(byCgroup(group, run.home))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(owner.watchdog, signal)
  owner.kill('SIGKILL')
  await untilThawed(group.file, SOON_MS)
})

test('a watchdog that dies thaws the container and fails the freeze', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  const frozen = await freezer.freeze()
  const lost = new Promise((resolve) => frozen.lost.addEventListener('abort', resolve))
  process.kill(watchdogOf(process.pid), 'SIGKILL')
  await lost
  await untilThawed(group.file, SOON_MS)
  await assert.rejects(frozen.stillFrozen(), { code: 'freeze_failed', message: /watchdog/ })
  await frozen.thaw()
  await assert.rejects(freezer.freeze(), { code: 'freeze_failed' })
  assert.equal(engine.paused, false)
  assert.deepEqual(run.records(), [])
})

test('a watchdog lives in a session of its own, and in no freezer with its owner', async () => {
  await using group = await startCountingGroup()
  await using cell = await startCountingGroup()
  using run = recordHome()
  const shell = spawn(
    'sh',
    [
      '-c',
      `echo $$ > ${cell.directory}/cgroup.procs; exec ${process.execPath} ${OWNER} "$0"`,
      JSON.stringify({ ...byCgroup(group, run.home), maxFreezeMs: 5000 }),
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const ended = new Promise((resolve) => shell.once('exit', resolve))
  await new Promise((resolve) => shell.stdout.once('data', resolve))
  const watchdog = watchdogOf(shell.pid!)
  const session = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[3]
  assert.equal(session(watchdog), String(watchdog))
  // The owner's own container is frozen together with it: only who is outside can still thaw.
  await freezeCgroup(cell.file)
  process.kill(shell.pid!, 'SIGKILL')
  assert.ok(isAlive({ pid: watchdog, startTime: readFileSync(`/proc/${watchdog}/stat`, 'latin1').split(' ')[21]! }))
  await untilThawed(group.file, SOON_MS)
  await thawCgroup(cell.file)
  await ended
})

test('an engine that hangs: thawed by the cgroup, and put right when the engine is back', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  await using freezer = openFreezer(byEngine(group, engine, run.home))
  const frozen = await freezer.freeze()
  engine.hangs = true
  const { frozenMs } = await frozen.thaw()
  assert.ok(frozenMs >= 2000 && frozenMs < SOON_MS, `${frozenMs} ms`)
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [true, 'thawed'])
  assert.equal(run.record()?.engineBehind, true)
  engine.resume()
  while (engine.paused || run.records().length > 0) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(await group.isCounting(5000), true)
  await freezer.barrier()
})

test('an engine that hangs when the owner dies: the watchdog does the same', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  await using owner = await startOwner(byEngine(group, engine, run.home))
  engine.hangs = true
  owner.kill('SIGKILL')
  await untilThawed(group.file, SOON_MS)
  assert.equal(engine.paused, true)
  engine.resume()
  await untilGone(owner.watchdog)
  assert.equal(engine.paused, false)
  assert.deepEqual(run.records(), [])
})

test('a cancel while the pause is on its way waits for it and undoes it', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  const cancel = new AbortController()
  engine.onPause = () => cancel.abort()
  await using freezer = openFreezer({ ...byEngine(group, engine, run.home), signal: cancel.signal })
  await assert.rejects(freezer.freeze(), { code: 'cancelled' })
  assert.deepEqual([engine.paused, readCgroupState(group.file)], [false, 'thawed'])
  assert.deepEqual(run.records(), [])
})

test('an engine without a known cgroup is believed', async () => {
  await using group = await startCountingGroup()
  await using engine = await startFakeEngine(group)
  using run = recordHome()
  const options = byEngine(group, engine, run.home)
  await using freezer = openFreezer({
    ...options,
    freezer: { kind: 'engine', socketPath: engine.socketPath, containerId: FAKE_ID },
  })
  const frozen = await freezer.freeze()
  await frozen.stillFrozen()
  engine.paused = false
  await assert.rejects(frozen.stillFrozen(), { code: 'container_gone' })
  engine.paused = true
  await frozen.thaw()
  assert.equal(readCgroupState(group.file), 'thawed')
})

test('closing the freezer thaws what is still frozen, and ends its watchdog', async () => {
  await using group = await startCountingGroup()
  using run = recordHome()
  const freezer = openFreezer(byCgroup(group, run.home))
  await freezer.freeze()
  const watchdog = watchdogOf(process.pid)
  await freezer[Symbol.asyncDispose]()
  assert.equal(readCgroupState(group.file), 'thawed')
  await untilGone(watchdog)
})

async function untilGone(pid: number): Promise<void> {
  const state = () => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]![0]
    } catch {
      return 'X'
    }
  }
  const start = performance.now()
  while (!'ZX'.includes(state()!)) {
    assert.ok(performance.now() - start < SOON_MS, `process ${pid} does not end`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
