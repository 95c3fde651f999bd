import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { findFreezerCgroup, thawCgroup } from '#freezer/cgroup.ts'
import { identifyProcess } from '#freezer/process-identity.ts'
import { writeRecord } from '#freezer/record.ts'
import { startContainer } from '#lab/container.ts'
import { engineAt, labEngine, ping, removeContainers, type Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { clearWorkspace, mustRun, openWorkspace, startDaemon } from '#lab/workspace.ts'
import { openBench, type Bench } from './command.ts'

/** Hosts that lack something: room, rights, an engine, a library, overlay. */
let engine: Engine
let bench: Bench
before(async () => {
  engine = await labEngine('docker20')
  bench = await openBench(engine)
  chmodSync(bench.root, 0o755)
})
after(async () => {
  await bench[Symbol.asyncDispose]()
  await engine.stop()
})

const NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--']
/** The checkout at a path that everybody reaches: its own may lie where only root can go. */
async function openPublicCheckout() {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-public-'))
  chmodSync(directory, 0o755)
  const checkout = join(directory, 'checkout')
  mkdirSync(checkout)
  await mustRun('mount', ['--bind', process.cwd(), checkout])
  return {
    checkout,
    async [Symbol.asyncDispose]() {
      await mustRun('umount', ['--lazy', checkout])
      for (const empty of [checkout, directory]) rmdirSync(empty)
    },
  }
}

/** In a mount namespace of its own the library is an empty file. */
const HIDE_ISAL =
  'for f in /usr/lib/*/libisal.so.2* /usr/lib*/libisal.so.2*; do [ -f "$f" ] && mount --bind /dev/null "$f"; done; exec "$@"'
const OWN_RECORDS = 'mkdir -p /run/tintype && mount --bind "$0" /run/tintype && exec "$@"'
const WITHOUT_ISAL = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', HIDE_ISAL, 'sh']

test('a disk that is full of the spool', async () => {
  const disk = `${bench.root}/disk`
  mkdirSync(disk)
  await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk])
  try {
    const target = bench.freshTarget()
    const refusal = { exitCode: 8, code: 'spool_full', says: /TINTYPE_HOME to a larger disk/ }
    await bench.refusesAlone(['snapshot', bench.boxName, target], refusal, { env: { TINTYPE_HOME: disk } })
    assert.deepEqual(readdirSync(`${disk}/spool`), [])
    assert.ok(!existsSync(`${target.slice('oci:'.length, -':v1'.length)}/index.json`))
  } finally {
    await mustRun('umount', ['--lazy', disk]) // the kernel lets go of a process's files a moment after its end
  }
})

test('a spool that is larger than TINTYPE_SPOOL_BYTES', async () => {
  const says = /TINTYPE_SPOOL_BYTES allows 1\.0 MiB, and the image on its way needs at least [\d.]+ MiB: raise it/
  const refusal = { exitCode: 8, code: 'spool_full', says }
  const env = { TINTYPE_SPOOL_BYTES: '1MiB' }
  const target = bench.freshTarget()
  await bench.refusesAlone(['snapshot', bench.boxName, target], refusal, { env })
  await bench.refusesAlone(['snapshot', bench.boxName, target, '--single-pass'], refusal, { env })
  assert.ok(!existsSync(`${target.slice('oci:'.length, -':v1'.length)}/index.json`))
})

test('who is not root is told to be', async () => {
  const refusal = { exitCode: 5, code: 'permission_denied', says: /run (it )?(as root|with sudo)/ }
  await using shared = await openPublicCheckout()
  const options = { prefix: NOBODY, checkout: shared.checkout }
  await bench.refuses(['snapshot', bench.boxName, bench.freshTarget()], refusal, options)
  await bench.refuses(['preview', bench.boxName], refusal, options)
})

test('an engine that does not run', async () => {
  const socketPath = `${bench.root}/none.sock`
  const says = new RegExp(
    `engine at ${socketPath} did not answer .*: see whether its daemon runs, and whether DOCKER_HOST`,
  )
  await bench.refuses(
    ['snapshot', bench.boxName, bench.freshTarget()],
    { exitCode: 5, code: 'engine_unavailable', says },
    { env: { DOCKER_HOST: `unix://${socketPath}` } },
  )
})

test('an exclusion that matches nothing is a warning, and what matches is left out', async () => {
  const args = ['--exclude', '/nothing/here', '--exclude', '/work/cache', '--json', '--quiet']
  const { code, out, err } = await bench.run(['snapshot', bench.boxName, bench.freshTarget(), ...args])
  assert.deepEqual([code, err], [0, ''])
  const { warnings, rawBytes } = JSON.parse(out) as { warnings: string[]; rawBytes: number }
  // Other tests may have pushed the same base to registries that are gone, which is a warning of its own.
  const ofExclusions = warnings.filter((sentence) => sentence.includes('exclusion'))
  assert.deepEqual(ofExclusions, ['The exclusion /nothing/here matches nothing that the container changed.'])
  assert.ok(rawBytes < 1_000_000)
})

test('without ISA-L it works, and says what is lost and how to get it', async () => {
  const args = ['snapshot', bench.boxName, bench.freshTarget(), '--quiet']
  const { code, out, err } = await bench.run(args, { prefix: WITHOUT_ISAL })
  assert.deepEqual([code, err], [0, ''])
  assert.match(
    out,
    /\nWarning: ISA-L is not installed, so compression takes about four times the CPU: apt-get install libisal2/,
  )
})

interface Check {
  readonly name: string
  readonly ok: boolean
  readonly needed: boolean
  readonly remedy: string
}

test('doctor names the remedy of each thing that is missing', async () => {
  const env = { DOCKER_HOST: `unix://${bench.root}/none.sock` }
  await using shared = await openPublicCheckout()
  const prefix = [...WITHOUT_ISAL, ...NOBODY]
  const { code, out } = await bench.run(['doctor', '--json'], { env, prefix, checkout: shared.checkout })
  const checks: readonly Check[] = JSON.parse(out).checks
  const remedies = new Map(checks.filter(({ ok }) => !ok).map(({ name, remedy }) => [name, remedy]))
  assert.match(remedies.get('user') ?? '', /sudo/)
  assert.match(remedies.get('engine') ?? '', /Start it, or name its socket in DOCKER_HOST/)
  assert.match(remedies.get('ISA-L') ?? '', /apt-get install libisal2/)
  for (const [name, remedy] of remedies) assert.match(remedy, /^[A-Z].*\.$/, name)
  assert.deepEqual([code, JSON.parse(out).ok], [5, false])
  const people = await bench.run(['doctor'], { env })
  assert.match(people.out, /\nMISSING +engine +No engine answers at \S+ \(ENOENT\)\.\n +-> Start it/)
  assert.match(people.out, /\n\nThis host cannot save containers yet: see the lines with MISSING\.\n$/)
  assert.deepEqual([people.code, people.err], [5, ''])
})

test('doctor says what it has done about a container that a killed run left behind', async () => {
  const { box } = bench
  const cgroup = findFreezerCgroup(box.pid, box.id)
  const init = identifyProcess(box.pid)
  assert.ok(cgroup !== undefined && init)
  // As a watchdog leaves it whose engine did not answer: the processes run, and the engine takes them for paused.
  await box.pause()
  await thawCgroup(cgroup)
  const freezer = { kind: 'engine', socketPath: engine.socketPath, containerId: box.id, cgroup } as const
  const owner = { pid: 2 ** 22, startTime: '1' }
  const records = `${bench.root}/records`
  writeRecord(`${records}/freeze-test-1.json`, { freezer, init, owner, deadlineMs: 0, engineBehind: true })
  // Records of its own: any other run on this host would put it right at its start.
  const ownRecords = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', OWN_RECORDS, records]
  const { out } = await bench.run(['doctor'], { prefix: ownRecords })
  assert.match(out, /leftover freezes +A container .* runs, and the engine, which took it for paused, knows that again/)
  assert.deepEqual(readdirSync(records), [])
  assert.equal(await engine.docker(['inspect', '--format', '{{.State.Status}}', box.id]), 'running')
})

test('a container whose root is no overlay', async () => {
  const workspace = await openWorkspace('vfs')
  const { directory } = workspace
  const socketPath = `${directory}/docker.sock`
  const paths = [
    '--data-root',
    `${directory}/data`,
    '--exec-root',
    `${directory}/exec`,
    '--pidfile',
    `${directory}/pid`,
  ]
  const options = ['--storage-driver', 'vfs', '--bridge', 'none', '--iptables=false', '--host', `unix://${socketPath}`]
  const vfs = engineAt({ name: 'docker20', socketPath, root: `${directory}/data`, directory }, async () => {
    await removeContainers(vfs)
    await clearWorkspace(workspace)
  })
  try {
    const isReady = () => ping(socketPath)
    await startDaemon(workspace, { name: 'dockerd', program: 'dockerd', args: [...paths, ...options], isReady })
    await using box = await startContainer(vfs, await busyboxImage(vfs))
    const says = /stores containers with vfs: Tintype needs overlay2/
    const refusal = { exitCode: 5, code: 'overlay_unsupported', says }
    const env = { DOCKER_HOST: `unix://${socketPath}` }
    await bench.refuses(['snapshot', box.id, bench.freshTarget()], refusal, { env })
    const { code, out } = await bench.run(['doctor'], { env })
    assert.match(out, /MISSING +storage driver +vfs .*\n +-> Tintype reads overlay: set the storage driver/)
    assert.equal(code, 5)
    assert.equal(await box.exec(['echo', 'it runs']), 'it runs')
  } finally {
    await vfs.stop()
  }
})
