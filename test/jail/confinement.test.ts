import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { loadIsal } from '#posix/isal.ts'
import type { CodecName } from '#snapshot/codec.ts'
import { ReaderRun } from '../snapshot/reader-run.ts'
import { buildLibrary, PLANTED_EXIT_CODE, plantCode } from './planted-code.ts'
import { startByHand, withoutRight, type HandOptions } from './reader-by-hand.ts'
import { readersBelow, threadsOf, type KernelThread } from './reader-processes.ts'

/** attacks.md A3 to A5: what the jail is made of, looked at from outside while a reader is in it. */
const scratch = mkdtempSync(join(tmpdir(), 'jail-'))
const upperdir = join(scratch, 'upper')
let reader: ReaderRun
let pid: number
let threads: readonly KernelThread[]
before(async () => {
  mkdirSync(upperdir)
  for (let i = 0; i < 50; i++) writeFileSync(join(upperdir, `file-${i}`), Buffer.alloc(100_000, i))
  reader = await ReaderRun.open(upperdir, { workers: 3 })
  const found = readersBelow(process.pid)
  assert.equal(found.length, 1)
  pid = found[0]!
  await reader.pass() // every thread that Node makes late is there now
  threads = threadsOf(pid)
})
after(async () => {
  await reader[Symbol.asyncDispose]()
  rmSync(scratch, { recursive: true })
})

const each = (of: (thread: KernelThread) => string) => [...new Set(threads.map(of))]

test('namespaces: no thread of the reader is in the network, mounts or IPC of the host', () => {
  assert.ok(threads.length > 4, `${threads.length} threads`)
  for (const name of ['net', 'mnt', 'ipc']) {
    const found = each((thread) => thread.link(`ns/${name}`))
    assert.equal(found.length, 1, `all threads are in one ${name} namespace`)
    assert.notEqual(found[0], readlinkSync(`/proc/self/ns/${name}`))
  }
})

test('capabilities: every thread has the four that it needs, and can get no more', () => {
  // CAP_DAC_READ_SEARCH 2, CAP_FOWNER 3, CAP_SYS_CHROOT 18, CAP_SYS_ADMIN 21 (capabilities(7)).
  const four = (2 ** 2 + 2 ** 3 + 2 ** 18 + 2 ** 21).toString(16).padStart(16, '0')
  for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
    assert.deepEqual(
      each((thread) => thread.status(set)),
      [four],
      set,
    )
  for (const set of ['CapInh', 'CapAmb'])
    assert.deepEqual(
      each((thread) => thread.status(set)),
      ['0'.repeat(16)],
      set,
    )
  assert.deepEqual(
    each((thread) => thread.status('NoNewPrivs')),
    ['1'],
  )
})

test('chroot: root and working directory of every thread are the jail', () => {
  for (const name of ['root', 'cwd']) {
    const found = each((thread) => thread.link(name))
    assert.equal(found.length, 1)
    assert.match(found[0]!, /\/spool\/capture-\w+\/jail$/)
  }
})

test('mounts: the reader sees one, and nothing can be written, run or be a device there', () => {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'latin1').trim().split('\n')
  assert.equal(lines.length, 1, lines.join('\n'))
  const [, , , root = '', mountPoint, options = ''] = lines[0]!.split(' ')
  assert.deepEqual([mountPoint, root.endsWith(upperdir)], ['/', true])
  assert.deepEqual(options.split(',').sort(), ['noatime', 'nodev', 'noexec', 'nosuid', 'ro'])
})

test('network: there is a loopback device that is down, and nothing else', () => {
  const read = (name: string) => readFileSync(`/proc/${pid}/net/${name}`, 'latin1')
  const devices = read('dev').trim().split('\n').slice(2)
  assert.deepEqual(
    devices.map((line) => line.trim().split(':')[0]),
    ['lo'],
  )
  assert.equal(read('if_inet6'), '', 'an interface that is up has an address')
  assert.doesNotMatch(read('fib_trie'), /127\.0\.0\.1/)
})

test('descriptors: its own pipes, the two files of the spool, its index, and no directory', () => {
  const links = readdirSync(`/proc/${pid}/fd`).map(
    (name) => [Number(name), readlinkSync(`/proc/${pid}/fd/${name}`)] as const,
  )
  const files = links.filter(([, link]) => link.startsWith('/') && link !== '/dev/null')
  assert.deepEqual(
    files.map(([number, link]) => [number, link.replace(/.*\/|reader-run.*(?=\.rows)/g, '')]),
    [
      [3, 'frames'],
      [4, 'tail'],
      [6, '.rows'],
    ],
  )
  for (const [number, link] of links.filter(([, link]) => link.startsWith('socket:')))
    assert.ok(number <= 2, `descriptor ${number} is ${link}`)
})

test('what the parent of the command has left open does not reach the reader', () => {
  // A program of its own, because it has to be started with the descriptors.
  const program = `
    import { readdirSync, readlinkSync } from 'node:fs'
    const { ReaderRun } = await import('${process.cwd()}/test/snapshot/reader-run.ts')
    const { readersBelow } = await import('${process.cwd()}/test/jail/reader-processes.ts')
    await using run = await ReaderRun.open('${upperdir}')
    const [pid] = readersBelow(process.pid)
    const links = readdirSync('/proc/' + pid + '/fd').map((name) => readlinkSync('/proc/' + pid + '/fd/' + name))
    process.stdout.write(links.join('\\n'))`
  // Node itself takes care of low numbers only.
  const script = 'exec 200</etc/passwd 201</etc; exec "$@"'
  const args = ['-c', script, 'sh', process.execPath, '--input-type=module', '--eval', program]
  const links = execFileSync('/bin/bash', args, { timeout: 60_000 }).toString().split('\n')
  assert.ok(links.some((link) => link.endsWith('/frames')))
  assert.deepEqual(
    links.filter((link) => link.startsWith('/etc')),
    [],
  )
})

test('environment: nothing of the command that started it', () => {
  const names = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').filter(Boolean)
  const expected = ['LC_ALL=C', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'PWD=/', 'TZ=UTC']
  assert.deepEqual(names.sort(), expected)
})

const REFUSED: readonly (readonly [reason: string, options: HandOptions, message: RegExp])[] = [
  ['a root that is another directory', { init: { root: { dev: 1, ino: 1 } } }, /does not see the writable layer/],
  ['an attribute of overlay that is not there', { hasProbeAttribute: false }, /CAP_SYS_ADMIN is missing/],
  ['attributes of overlay that it may not see', { launcher: withoutRight('sys_admin') }, /CAP_SYS_ADMIN is missing/],
  ['a chroot that it may not make', { launcher: withoutRight('sys_chroot') }, /CAP_SYS_CHROOT is missing/],
  ['files that it may not read', { launcher: withoutRight('dac_read_search') }, /CAP_DAC_READ_SEARCH is missing/],
  ['times that it would change', { launcher: withoutRight('fowner') }, /CAP_FOWNER is missing/],
  ['all rights of root', { launcher: [] }, /may do more than read.*CAP_SETPCAP/],
  ['an inherited directory', { inherited: '/etc' }, /descriptor 7 is an open directory/],
  ['an inherited file', { inherited: '/etc/passwd' }, /descriptor 7 is an open file/],
]

test('a reader whose jail holds says that it is ready', async () => {
  assert.deepEqual(await startByHand(), { events: [{ event: 'ready' }], exitCode: 0 })
})

for (const [reason, options, message] of REFUSED) {
  test(`a reader does not start with ${reason}`, async () => {
    const { events, exitCode } = await startByHand(options)
    assert.deepEqual([events.map(({ event }) => event), exitCode], [['failed'], 1])
    assert.match(events[0]!.message!, message)
  })
}

test('after the seal nothing of the jail can be run; before it, all of it could be', () => {
  const jail = join(scratch, 'attempts')
  mkdirSync(join(jail, 'node_modules/planted'), { recursive: true })
  for (const name of ['planted.mjs', 'planted.cjs', 'node_modules/planted/index.js'])
    writeFileSync(join(jail, name), '')
  writeFileSync(join(jail, 'planted.json'), '{}')
  const attempt = (...args: readonly string[]): readonly string[] => {
    const out = execFileSync(process.execPath, ['test/jail/attempt.ts', jail, ...args], { timeout: 60_000, env: {} })
    return JSON.parse(out.toString()) as readonly string[]
  }
  assert.equal(attempt().length, 8, 'the attempts are real ones')
  assert.deepEqual(attempt('sealed'), [])
})

test('planted code ends who runs it', () => {
  const root = join(scratch, 'planted-alone')
  plantCode(root)
  assert.equal(spawnSync(process.execPath, [join(root, process.cwd(), 'dist/reader.mjs')]).status, PLANTED_EXIT_CODE)
  const library = buildLibrary()
  if (library === undefined) return
  assert.equal(spawnSync('/bin/true', { env: { LD_PRELOAD: library } }).status, PLANTED_EXIT_CODE)
  rmSync(join(library, '..'), { recursive: true })
})

test('a container that has code at every path of the reader is read, and none of it runs', async () => {
  const root = join(scratch, 'planted')
  plantCode(root)
  const gzip = loadIsal(1) ? 'isal' : 'zlib'
  for (const name of [gzip, 'zstd', 'none'] as const) await readAll(root, name)
})

/** Everything that a reader does: two live passes, a freeze, the report, a preview, and errors in a worker and in the reader. */
async function readAll(root: string, codec: CodecName): Promise<void> {
  await using run = await ReaderRun.open(root, { codec: { name: codec, level: 1 } })
  assert.ok((await run.pass()).files > 100)
  writeFileSync(join(root, 'changed'), codec)
  await run.pass()
  writeFileSync(join(root, 'changed'), `${codec} again`)
  assert.equal((await run.keep()).isWithinBudget, true)
  await run.pack()
  assert.deepEqual((await run.report()).torn, [])
  execFileSync('setfattr', ['-n', 'trusted.overlay.metacopy', join(root, 'changed')])
  await assert.rejects(run.pass(), (error) => error instanceof AppError && error.code === 'overlay_unsupported')
  rmSync(join(root, 'changed'))
}
