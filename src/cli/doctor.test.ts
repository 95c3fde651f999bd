import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { runDoctor } from './doctor.ts'
import type { DoctorParts } from './doctor.ts'
import type { EngineFacts, Host } from './doctor-checks.ts'

const FACTS: EngineFacts = {
  name: 'Docker',
  version: '28.5.2',
  storageDriver: 'overlay2',
  store: "the engine's own store",
  rootDirectory: '/var/lib/docker',
  isRootless: false,
  insecureRegistries: [],
}
const FILES: Readonly<Record<string, string>> = {
  '/proc/filesystems': 'nodev\tproc\nnodev\toverlay\n',
  '/sys/module/overlay/parameters/redirect_dir': 'N\n',
  '/proc/self/mountinfo': '30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
}
/** These, and the engine's directory. */
function has(...paths: readonly string[]) {
  return async (path: string) => path === FACTS.rootDirectory || paths.includes(path)
}

const GOOD: Host = {
  uid: 0,
  nodeVersion: 'v26.10.0',
  kernelRelease: '6.18.1-amd64',
  home: '/var/lib/tintype',
  readText: async (path) => FILES[path],
  hasPath: has('/sys/kernel/tracing/events', '/sys/kernel/tracing/events/timestamp'),
  findProgram: async (name) => `/usr/bin/${name}`,
  room: async () => ({ isWritable: true, freeBytes: 50e9 }),
  hasIsal: async () => true,
  engine: async () => FACTS,
}
interface Report {
  readonly ok: boolean
  readonly checks: readonly {
    readonly name: string
    readonly ok: boolean
    readonly needed: boolean
    readonly found: string
    readonly remedy: string
  }[]
}

async function start(host: Partial<Host>, args: readonly string[] = ['--json'], change: Partial<DoctorParts> = {}) {
  let out = ''
  const terminal = {
    out: (text: string) => void (out += text),
    err: () => assert.fail(),
    isInteractive: false,
    columns: () => 80,
  }
  const parts = {
    terminal,
    host: { ...GOOD, ...host },
    thawLeftovers: async () => [],
    checkRegistry: async () => 'answers',
    ...change,
  }
  return { exitCode: await runDoctor(args, parts, new AbortController().signal), out }
}
const report = (out: string): Report => JSON.parse(out)

test('a good host is fit, and nothing has a remedy', async () => {
  const { exitCode, out } = await start({})
  const { ok, checks } = report(out)
  assert.deepEqual([exitCode, ok], [0, true])
  assert.deepEqual(
    checks.filter((check) => !check.ok || check.remedy !== ''),
    [],
  )
  assert.deepEqual(
    checks.map(({ name }) => name),
    [
      'user',
      'node',
      'engine',
      'storage driver',
      'overlay',
      'freezer',
      'kernel',
      'home',
      'ISA-L',
      'programs',
      'leftover freezes',
    ],
  )
})

const text = (changes: Readonly<Record<string, string | undefined>>): Partial<Host> => ({
  readText: async (path) => (path in changes ? changes[path] : FILES[path]),
})
const V1 = '31 20 0:27 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n'

const FINDINGS: readonly (readonly [string, Partial<Host>, string, boolean, RegExp])[] = [
  ['an ordinary user', { uid: 1000 }, 'user', true, /uid 1000.*sudo/],
  ['an old Node', { nodeVersion: 'v20.20.2' }, 'node', true, /v20.*Install Node 26/],
  [
    'a rootless engine',
    { engine: async () => ({ ...FACTS, isRootless: true }) },
    'engine',
    true,
    /rootless.*DOCKER_HOST/,
  ],
  ['an engine in a virtual machine', { hasPath: async () => false }, 'engine', true, /not on this host.*same path/],
  [
    'another storage driver',
    { engine: async () => ({ ...FACTS, storageDriver: 'btrfs' }) },
    'storage driver',
    true,
    /btrfs.*overlay2/,
  ],
  ['no overlay', text({ '/proc/filesystems': 'ext4\n' }), 'overlay', true, /modprobe overlay/],
  [
    'redirect_dir on',
    text({ '/sys/module/overlay/parameters/redirect_dir': 'Y\n' }),
    'overlay',
    true,
    /redirect_dir on by default.*echo N > \/sys/,
  ],
  ['no freezer', text({ '/proc/self/mountinfo': '' }), 'freezer', true, /no cgroup freezer.*Mount/],
  ['cgroup v2 on an old kernel', { kernelRelease: '4.19.0' }, 'freezer', true, /without a freezer/],
  [
    'a kernel before the tracepoints',
    { kernelRelease: '6.12.1', hasPath: has() },
    'kernel',
    false,
    /without ctime tracepoints.*6\.13/,
  ],
  ['a tracefs without them', { hasPath: has('/sys/kernel/tracing/events') }, 'kernel', false, /without ctime/],
  [
    'a home that cannot be written',
    { room: async () => ({ isWritable: false, freeBytes: 1 }) },
    'home',
    true,
    /cannot be written.*TINTYPE_HOME/,
  ],
  [
    'a full disk',
    { room: async () => ({ isWritable: true, freeBytes: 4e9 }) },
    'home',
    true,
    /4.00 GB free.*Free some room/,
  ],
  ['no ISA-L', { hasIsal: async () => false }, 'ISA-L', false, /apt-get install libisal2/],
  [
    'no setpriv',
    { findProgram: async (name) => (name === 'setpriv' ? undefined : `/bin/${name}`) },
    'programs',
    true,
    /setpriv not found.*util-linux/,
  ],
]
for (const [reason, host, name, isNeeded, pattern] of FINDINGS) {
  test(`${reason} is found, with a remedy`, async () => {
    const { exitCode, out } = await start(host)
    const bad = report(out).checks.filter(({ ok }) => !ok)
    assert.deepEqual(
      bad.map((check) => [check.name, check.needed]),
      [[name, isNeeded]],
    )
    assert.match(`${bad[0]!.found} ${bad[0]!.remedy}`, pattern)
    assert.equal(exitCode, isNeeded ? 5 : 0)
  })
}

test('an engine that is down spoils its own checks only, and its sentence is taken apart', async () => {
  const engine = () => Promise.reject(new AppError('engine_unavailable', 'No engine answers: start it.'))
  const { exitCode, out } = await start({ engine })
  assert.equal(exitCode, 5)
  assert.equal(report(out).checks.find(({ ok }) => !ok)?.remedy, 'Start it.')
  assert.deepEqual(
    report(out)
      .checks.filter(({ ok }) => !ok)
      .map(({ name, found }) => [name, found]),
    [
      ['engine', 'No engine answers.'],
      ['storage driver', 'No engine answers.'],
    ],
  )
})

test('a v1 freezer does too, and the version stands in for a tracefs that is not mounted', async () => {
  const { out } = await start({ ...text({ '/proc/self/mountinfo': V1 }), hasPath: async () => false })
  assert.match(out, /cgroup v1 freezer/)
  assert.match(out, /6\.18\.1-amd64, with ctime tracepoints/)
})

test('a registry is asked when a reference is given, and one that refuses makes the host unfit', async () => {
  const { out } = await start({}, ['reg.example/a', '--json'], {
    checkRegistry: async (reference) => `${reference} answers`,
  })
  assert.equal(report(out).checks.at(-1)?.found, 'reg.example/a answers')
  const refuse = () => Promise.reject(new AppError('registry_denied', 'Wrong password.'))
  assert.equal((await start({}, ['reg.example/a', '--json'], { checkRegistry: refuse })).exitCode, 5)
})

test('what was thawed is named', async () => {
  const { out } = await start({}, ['--json'], { thawLeftovers: async () => ['One was thawed.', 'Another, too.'] })
  assert.equal(report(out).checks.at(-1)?.found, 'One was thawed. Another, too.')
})

test('the text marks what is missing, and shows no control character', async () => {
  const { out } = await start({ uid: 5, hasIsal: async () => false, kernelRelease: '6.18\x1b[2J' }, [])
  assert.match(out, /^MISSING {2}user {14}uid 5\n {27}-> Run it with sudo/)
  assert.match(out, /\nbetter {3}ISA-L /)
  assert.match(out, /cannot save containers yet/)
  assert.doesNotMatch(out, /\x1b/)
})

test('cancelling ends it', async () => {
  const engine = () => Promise.reject(new AppError('cancelled', 'Cancelled.'))
  await assert.rejects(start({ engine }), /Cancelled/)
})
