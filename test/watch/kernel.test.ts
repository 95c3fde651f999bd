/** The watch on the kernel of this machine: through an overlay and in a plain directory, flooded, left behind, and disturbed. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { ensurePackages } from '#lab/packages.ts'
import { openCtimeWatch, type WatchOptions } from '#watch/open.ts'
import { sweepWatches } from '#watch/sweep.ts'
import { openTracefs } from '#watch/tracefs.ts'
import type { CtimeWatch } from '#watch/watch.ts'
import { SmallDisk } from '../consistency/small-disk.ts'
import { OverlayMount } from '../snapshot/overlay-mount.ts'

/** Of its own: on the disk of other tests there is always something, and a small buffer is soon full of it. */
const disk = new SmallDisk(30_000)
const home = disk.directory
const recordDirectory = join(home, 'records')
after(() => disk[Symbol.dispose]())

function directory(name: string): string {
  mkdirSync(join(home, name))
  return join(home, name)
}

/** A watch, or a failed test that says why the kernel of this machine has none. */
async function open(options: Omit<WatchOptions, 'recordDirectory'>): Promise<CtimeWatch> {
  const opened = await openCtimeWatch({ ...options, recordDirectory })
  assert.ok('watch' in opened, `no watch on this machine: ${'reason' in opened ? opened.reason : ''}`)
  return opened.watch
}

const recordNames = () => (existsSync(recordDirectory) ? readdirSync(recordDirectory) : [])

/** The instances of tracefs that this process, or `pid`, has made. */
function instancesOf(pid = process.pid): readonly string[] {
  using tracefs = openTracefs()
  return readdirSync(join(tracefs.path, 'instances')).filter((name) => name.startsWith(`tintype-${pid}-`))
}

/** A file below tracefs of the only instance that this process has. */
function withInstance(change: (instance: string) => void): void {
  using tracefs = openTracefs()
  const [name = ''] = instancesOf()
  change(join(tracefs.path, 'instances', name))
}

async function* linesOf(child: ChildProcess): AsyncGenerator<string> {
  yield* createInterface({ input: child.stdout! })
}

interface Change {
  readonly name: string
  readonly paths: readonly string[]
}

/** Everything that changes.py does in `container` is named by the watch of `upperdir`, which shows the same names. */
async function everyKind(t: TestContext, container: string, upperdir: string, lower: readonly string[]): Promise<void> {
  const script = join(import.meta.dirname, 'changes.py')
  const child = spawn('python3', [script, container, ...lower], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = linesOf(child)
  assert.equal((await lines.next()).value, 'ready')
  await using watch = await open({ upperdir, scratch: home })
  for (const path of readdirSync(upperdir, { recursive: true, encoding: 'utf8' })) lstatSync(join(upperdir, path))
  watch.drain()
  watch.forget()
  child.stdin!.end('go\n')
  const changes: Change[] = []
  for await (const line of lines) changes.push(JSON.parse(line) as Change)
  const named = watch.drain()
  assert.equal(watch.lost(), undefined)
  assert.equal(child.exitCode ?? (await once(child, 'exit'))[0], 0)
  for (const { name, paths } of changes)
    await t.test(name, () => {
      for (const path of paths) assert.ok(named.has(lstatSync(join(upperdir, path)).ino), path)
    })
}

before(() => ensurePackages(['python3']))

test('every kind of change in a plain directory is named', async (t) => {
  const upperdir = directory('plain')
  await everyKind(t, upperdir, upperdir, [])
})

const LOWER_KINDS = ['chmod', 'utimes', 'setxattr', 'open-to-write', 'append', 'link', 'rename', 'unlink']
LOWER_KINDS.push('rmtree', 'rmtree-and-mkdir', 'create')

test('every kind of change in an overlay is named by the inodes of its upperdir', async (t) => {
  using overlay = new OverlayMount((lower) => {
    for (const kind of LOWER_KINDS) {
      mkdirSync(join(lower, 'base', kind, 'sub'), { recursive: true })
      writeFileSync(join(lower, 'base', kind, 'file'), 'lower')
      writeFileSync(join(lower, 'base', kind, 'sub/inner'), 'lower')
    }
  })
  await everyKind(t, overlay.merged, overlay.upper, ['base'])
})

test('what nobody changes is not named, and what is only read neither', async () => {
  const upperdir = directory('still')
  writeFileSync(join(upperdir, 'file'), 'x')
  const { ino } = lstatSync(join(upperdir, 'file'))
  await using watch = await open({ upperdir })
  readdirSync(upperdir)
  assert.deepEqual([watch.drain().has(ino), watch.drain().has(lstatSync(upperdir).ino)], [false, false])
  assert.equal(watch.lost(), undefined)
})

test('after a drain, what is named anew can be told from what was named before', async () => {
  const upperdir = directory('anew')
  await using watch = await open({ upperdir })
  writeFileSync(join(upperdir, 'file'), '')
  const first = watch.drain()
  const { ino } = lstatSync(join(upperdir, 'file'))
  watch.forget()
  assert.deepEqual([first.has(ino), watch.drain().has(ino)], [true, false])
  chmodSync(join(upperdir, 'file'), 0o600)
  assert.deepEqual([watch.drain().has(ino), watch.lost()], [true, undefined])
})

test('the self-test leaves nothing behind, nor does the watch', async () => {
  const upperdir = directory('clean')
  {
    await using watch = await open({ upperdir })
    assert.deepEqual([recordNames().length, instancesOf().length], [1, 1])
    assert.equal(recordNames()[0], `watch-${instancesOf()[0]}`)
    assert.ok(!readdirSync(home).some((name) => name.startsWith('.tintype-self-test-')))
    assert.equal(watch.lost(), undefined)
  }
  assert.deepEqual([recordNames(), instancesOf(), readdirSync(upperdir)], [[], [], []])
})

/** Two threads that change files of their own as fast as they can; returns how many times each did. */
async function flood(upperdir: string, changes: number): Promise<void> {
  const source = `
    const { chmodSync, closeSync, openSync, writeFileSync } = require('node:fs')
    const { upperdir, name, changes } = require('node:worker_threads').workerData
    for (let n = 0; n < changes; n++) chmodSync(upperdir + '/' + name + (n % 500), n % 2 ? 0o600 : 0o644)`
  const worker = (name: string) => new Worker(source, { eval: true, workerData: { upperdir, name, changes } })
  await Promise.all(['a', 'b'].map((name) => once(worker(name), 'exit')))
}

function floodFiles(upperdir: string): readonly number[] {
  const names = ['a', 'b'].flatMap((name) => Array.from({ length: 500 }, (_, n) => join(upperdir, `${name}${n}`)))
  for (const name of names) writeFileSync(name, '')
  return names.map((name) => lstatSync(name).ino)
}

test('two threads that flood: all is there', async () => {
  const upperdir = directory('flooded')
  const inodes = floodFiles(upperdir)
  await using watch = await open({ upperdir })
  await flood(upperdir, 20_000)
  const named = watch.drain()
  assert.equal(watch.lost(), undefined)
  assert.deepEqual(inodes.filter((inode) => !named.has(inode)), []) // prettier-ignore
})

test('a flood of a buffer that is too small: it says so, and goes on saying so', async () => {
  const upperdir = directory('overrun')
  floodFiles(upperdir)
  await using watch = await open({ upperdir, bufferKb: 64 })
  // In this thread nothing is polled meanwhile: one buffer holds about 1500 events.
  for (let round = 0; round < 20; round++) for (let n = 0; n < 500; n++) chmodSync(join(upperdir, `a${n}`), 0o600 + round % 2) // prettier-ignore
  watch.drain()
  assert.match(watch.lost() ?? 'whole', /overran by \d+ events|LOST \d+ EVENTS/)
  chmodSync(join(upperdir, 'b1'), 0o600)
  watch.drain()
  assert.match(watch.lost() ?? 'whole', /overran by \d+ events|LOST \d+ EVENTS/)
})

const DISTURBED: readonly [string, (instance: string) => void, RegExp][] = [
  ['somebody switches tracing off', (path) => writeFileSync(`${path}/tracing_on`, '0'), /tracing was switched off/],
  ['somebody switches an event off', (path) => writeFileSync(`${path}/events/timestamp/ctime_ns_xchg/enable`, '0'), /the event ctime_ns_xchg was switched off/],
  ['somebody switches all events off', (path) => writeFileSync(`${path}/events/enable`, '0'), /was switched off/],
  // A filter that lets nothing pass: one that is taken away would let others' events in, and they are a flaw of their own.
  ['somebody changes a filter', (path) => writeFileSync(`${path}/events/timestamp/inode_set_ctime_to_ts/filter`, 'dev == 0 && ino == 1'), /the filter of inode_set_ctime_to_ts was changed/],
  ['somebody empties the trace', (path) => writeFileSync(`${path}/trace`, ''), /events that were read from the trace/],
  ['somebody writes into the trace', (path) => writeFileSync(`${path}/trace_marker`, 'hello'), /the trace says "tracing_mark_write: hello"/],
] // prettier-ignore

for (const [why, disturb, lost] of DISTURBED)
  test(`a watch says that it may not be whole: ${why}`, async () => {
    const upperdir = directory(why)
    await using watch = await open({ upperdir })
    writeFileSync(join(upperdir, 'file'), '')
    watch.drain()
    assert.equal(watch.lost(), undefined)
    withInstance(disturb)
    watch.drain()
    assert.match(watch.lost() ?? 'whole', lost)
  })

test('a process that is killed leaves a watch, which the next start sweeps; that of a living one stays', async () => {
  const upperdir = directory('killed')
  await using watch = await open({ upperdir })
  const script = join(import.meta.dirname, 'left-behind.ts')
  const child = spawn(process.execPath, [script, upperdir, recordDirectory], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = linesOf(child)
  assert.match((await lines.next()).value ?? '', /watch-tintype-/)
  const [left] = instancesOf(child.pid)
  assert.deepEqual(await sweepWatches(recordDirectory), [], 'its owner lives')
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.deepEqual(await sweepWatches(recordDirectory), [left])
  assert.deepEqual([instancesOf(child.pid), instancesOf().length], [[], 1])
  assert.deepEqual(recordNames(), [`watch-${instancesOf()[0]}`])
  writeFileSync(join(upperdir, 'file'), '')
  assert.ok(watch.drain().has(lstatSync(join(upperdir, 'file')).ino))
  assert.equal(watch.lost(), undefined)
})

/** CPU time, not wall: other tests run beside this one. */
function cpuMs(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

test('what it costs to drain 20 000 inodes, and nothing', async (t) => {
  const upperdir = directory('cost')
  await using watch = await open({ upperdir })
  for (let n = 0; n < 20_000; n++) writeFileSync(join(upperdir, String(n)), '')
  const full = cpuMs(() => assert.ok(watch.drain().size >= 20_000))
  const empty = cpuMs(() => watch.drain())
  const look = cpuMs(() => assert.equal(watch.lost(), undefined))
  t.diagnostic(`20 000 inodes: ${full} ms; nothing: ${empty} ms; the counters: ${look} ms`)
  assert.ok(full < 1000, `${full} ms`)
  assert.ok(empty < 50 && look < 50, `${empty} and ${look} ms`)
})
