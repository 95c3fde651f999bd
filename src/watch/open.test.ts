import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openCtimeWatch, type WatchOptions } from './open.ts'
import type { OpenTracefs } from './tracefs.ts'

const home = mkdtempSync(join(tmpdir(), 'open-'))
after(() => rmSync(home, { recursive: true }))
const upperdir = join(home, 'layer/diff')
mkdirSync(upperdir, { recursive: true })
const recordDirectory = join(home, 'records')

const fail = (code: string): OpenTracefs => {
  return () => {
    throw Object.assign(new Error(`${code}: fsopen tracefs`), { code })
  }
}

/** A tracefs of plain files: it takes every setting, and no event ever comes. */
function fakeTracefs(name: string, files: readonly string[]) {
  const path = join(home, name)
  for (const file of files) mkdirSync(join(path, file), { recursive: true })
  let closed = 0
  return { open: () => ({ path, [Symbol.dispose]: () => void closed++ }), path, closed: () => closed }
}

async function reason(options: Partial<WatchOptions>, open: OpenTracefs): Promise<string> {
  const opened = await openCtimeWatch({ upperdir, recordDirectory, ...options }, open)
  return 'reason' in opened ? opened.reason : 'opened'
}

const never: OpenTracefs = () => assert.fail('tracefs is not asked')

test('no right to use tracefs is a reason, and so is a kernel that has none', async () => {
  assert.equal(await reason({}, fail('EPERM')), 'tracefs may not be used here: EPERM: fsopen tracefs')
  assert.equal(await reason({}, fail('ENODEV')), 'tracefs may not be used here: ENODEV: fsopen tracefs')
})

test('an error of the program is none', async () => {
  const broken = () => {
    throw new TypeError('undefined is not a function')
  }
  await assert.rejects(reason({}, broken), TypeError)
})

test('a kernel without the tracepoints is a reason, and tracefs is closed', async () => {
  const tracefs = fakeTracefs('old', ['events/sched', 'instances', 'per_cpu/cpu0'])
  assert.match(await reason({}, tracefs.open), /^the kernel has no ctime tracepoints/)
  const half = fakeTracefs('half', ['events/timestamp/ctime_ns_xchg', 'instances', 'per_cpu/cpu0'])
  assert.match(await reason({}, half.open), /^the kernel has no ctime tracepoints/)
  assert.deepEqual([tracefs.closed(), half.closed()], [1, 1])
})

test('an instance that cannot be made is a reason, and leaves neither a record nor tracefs open', async () => {
  const events = ['events/timestamp/ctime_ns_xchg', 'events/timestamp/inode_set_ctime_to_ts', 'per_cpu/cpu0']
  const tracefs = fakeTracefs('shut', events) // no instances/ to make one in
  assert.match(await reason({}, tracefs.open), /^tracefs may not be used here: ENOENT/)
  assert.deepEqual([readdirSync(recordDirectory), tracefs.closed()], [[], 1])
})

test('an instance that cannot be set up is removed again', async () => {
  const events = ['events/timestamp/ctime_ns_xchg', 'events/timestamp/inode_set_ctime_to_ts', 'per_cpu/cpu0']
  const tracefs = fakeTracefs('plain', [...events, 'instances']) // a new directory in it stays without options/
  assert.match(await reason({}, tracefs.open), /^tracefs may not be used here: ENOENT/)
  assert.equal(tracefs.closed(), 1)
  assert.equal(readdirSync(recordDirectory).length, readdirSync(join(tracefs.path, 'instances')).length)
})

test('records that cannot be written are a reason', async () => {
  writeFileSync(join(home, 'a-file'), '')
  const events = ['events/timestamp/ctime_ns_xchg', 'events/timestamp/inode_set_ctime_to_ts', 'per_cpu/cpu0']
  const tracefs = fakeTracefs('unrecorded', [...events, 'instances'])
  assert.match(await reason({ recordDirectory: join(home, 'a-file') }, tracefs.open), /EEXIST|ENOTDIR/)
  assert.deepEqual([readdirSync(join(tracefs.path, 'instances')), tracefs.closed()], [[], 1])
})

test('an upperdir that is gone is a reason', async () => {
  assert.match(await reason({ upperdir: join(home, 'none') }, never), /ENOENT/)
})

test('a file system without a place beside the container is a reason', async () => {
  const place = 'the file system of the upperdir has no place for the self-test'
  assert.equal(await reason({ upperdir: '/proc' }, never), place, 'the directory above is on another file system')
  assert.equal(await reason({ upperdir: '/proc', scratch: home }, never), place, 'Tintype has none there either')
  assert.equal(await reason({ upperdir: '/' }, never), place, 'nothing is beside the root')
})

test('the place is never inside the container, whatever leads there', async () => {
  mkdirSync(join(upperdir, 'inside'))
  symlinkSync(join(upperdir, 'inside'), join(home, 'leads-in'))
  const rights = fail('EPERM')
  for (const scratch of [upperdir, join(upperdir, 'inside'), join(home, 'leads-in'), join(home, 'none')])
    assert.match(await reason({ scratch }, rights), /EPERM/, 'the directory beside the upperdir is taken')
  assert.deepEqual(readdirSync(upperdir), ['inside'])
  assert.ok(existsSync(join(home, 'leads-in')))
})

test('a capture that is cancelled opens nothing', async () => {
  await assert.rejects(reason({ signal: AbortSignal.abort() }, never), { code: 'cancelled' })
})
