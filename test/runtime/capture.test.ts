/** Captures for a server: in a process of its own, which tells what it does, asks before the last step, and leaves nothing. */
import assert from 'node:assert/strict'
import { createHash, randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { findFreezerCgroup, readCgroupState } from '#freezer/cgroup.ts'
import { labEngine, whyNoEngine } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { startTimeOf } from '#lab/workspace.ts'
import type { CaptureEvent, CaptureRequest, CaptureRun, PullProgress, RuntimeHandle } from '#runtime/runtime.ts'
import { openDockerRuntime } from '#runtime/docker/docker-runtime.ts'
import { eventually, instanceEngines, openTestRuntime, type TestRuntime } from './instances.ts'
import type { ServerOrders } from './server.ts'

/** TINTYPE_TEST_SEED repeats the moments of an earlier run. */
const SEED = Number(process.env['TINTYPE_TEST_SEED'] ?? randomInt(2 ** 31))
const KILLS = process.env['TINTYPE_TEST_LONG'] === '1' ? 30 : 4
const LOGIN = { username: 'ann', password: 'correct horse' }

interface Lab {
  readonly lab: TestRuntime
  readonly registry: Registry
  readonly handle: RuntimeHandle
}

function request({ registry }: Lab, tag: string, changes: Partial<CaptureRequest> = {}): CaptureRequest {
  return {
    captureId: `capture-${tag}`,
    reference: `${registry.host}/saved/box:${tag}`,
    labels: { team: 'a' },
    exclusions: [],
    overwrite: false,
    compression: 'auto',
    full: false,
    registries: { target: { host: registry.host, login: LOGIN }, others: [] },
    ...changes,
  }
}

/** Confirm at once; all events but progress, and the phases. */
async function follow(run: CaptureRun) {
  const events: CaptureEvent[] = []
  const phases = new Set<string>()
  for await (const event of run.events) {
    if (event.type === 'progress') phases.add(event.phase)
    else events.push(event)
    if (event.type === 'manifest') run.confirmManifest()
  }
  return { events, phases }
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

function askTag({ registry }: Lab, tag: string, { headers, ...how }: RequestInit) {
  const authorization = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`
  const url = `http://${registry.host}/v2/saved/box/manifests/${tag}`
  return fetch(url, { ...how, headers: { ...headers, authorization } })
}

async function tagOf(lab: Lab, tag: string) {
  const response = await askTag(lab, tag, { headers: { accept: MANIFEST } })
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) }
}

async function putTag(lab: Lab, tag: string, manifest: Buffer<ArrayBuffer>): Promise<void> {
  const put = { method: 'PUT', headers: { 'content-type': MANIFEST }, body: manifest }
  assert.equal((await askTag(lab, tag, put)).status, 201)
}

interface Child {
  readonly pid: number
  readonly startTime: string
}

/** The processes of captures that a server of ours has started. */
function childrenOf(server: number): readonly Child[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const isOne = /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('capture-child')
      const parent = isOne ? /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1] : undefined
      const startTime = Number(parent) === server ? startTimeOf(Number(name)) : undefined
      return startTime === undefined ? [] : [{ pid: Number(name), startTime }]
    } catch {
      return [] // it has ended meanwhile
    }
  })
}

/** Throws unless the instance runs, by the engine's and by the kernel's word. */
async function assertRuns({ lab, handle }: Lab): Promise<void> {
  const { engine, runtime } = lab
  const pid = Number(await engine.docker(['inspect', '--format', '{{.State.Pid}}', handle.containerId]))
  const cgroup = findFreezerCgroup(pid, handle.containerId)!
  await eventually(
    async () => [(await runtime.inspect(handle))?.status, readCgroupState(cgroup)].join(),
    (state) => state === 'running,thawed',
  )
  assert.equal(await lab.exec(handle, 'echo', 'alive'), 'alive')
}

const spoolOf = ({ lab }: Lab) => readdirSync(join(lab.home, 'spool'))

for (const name of instanceEngines())
  test(`${name}: captures for a server`, { skip: whyNoEngine(name) }, async (t) => {
    t.diagnostic(`TINTYPE_TEST_SEED=${SEED}`)
    await using engine = await labEngine(name)
    await using registry = await startRegistry({ users: { [LOGIN.username]: LOGIN.password } })
    await using lab = await openTestRuntime(engine)
    const fill = 'mkdir /data; for i in $(seq 400); do head -c 20000 /dev/urandom > /data/$i; done; echo filled'
    const handle = await lab.run({ onStart: `${fill}; while :; do date > /data/now; usleep 20000; done` })
    await eventually(
      () => lab.runtime.logs(handle, { source: 'system', tail: 5 }),
      (lines) => lines.includes('filled'),
    )
    const all: Lab = { lab, registry, handle }
    const { runtime } = lab
    const start = (tag: string, changes?: Partial<CaptureRequest>) =>
      runtime.startCapture(handle, request(all, tag, changes))

    await t.test('a capture tells what it does, in order, and its manifest before it is put', async () => {
      await using run = start('first', { name: 'first', exclusions: ['/data/1'] })
      const { events, phases } = await follow(run)
      const captured = await run.result
      assert.deepEqual(
        events.map(({ type }) => type),
        ['thawed', 'manifest'],
      )
      for (const phase of ['reading', 'frozen', 'uploading', 'finishing']) assert.ok(phases.has(phase), phase)
      const manifest = events.find((event) => event.type === 'manifest')!
      const { status, bytes } = await tagOf(all, 'first')
      assert.deepEqual([status, bytes.toString()], [200, manifest.manifest])
      assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, manifest.digest)
      assert.equal(captured.digest, manifest.digest)
      assert.deepEqual(captured.unsavedMounts, ['/mnt/workspace'], 'and nothing of what Tintype mounts for itself')
      assert.deepEqual(spoolOf(all), [])
    })

    await t.test('what it made is an image from which an instance starts', async () => {
      const imageUrl = `${registry.host}/saved/box:first`
      await assert.rejects(runtime.create(lab.spec({ imageUrl })), { code: 'registry_denied', message: /ImageAuth/ })
      const wrong = { ...LOGIN, password: 'wrong' }
      await assert.rejects(runtime.create(lab.spec({ imageUrl, imageAuth: wrong })), { code: 'registry_denied' })
      const missing = lab.spec({ imageUrl: `${registry.host}/saved/box:missing`, imageAuth: LOGIN })
      await assert.rejects(runtime.create(missing), { code: 'image_not_found' })
      const spec = lab.spec({ imageUrl, imageAuth: LOGIN })
      const seen: PullProgress[] = []
      const restored = await runtime.create(spec, undefined, (progress) => seen.push(progress))
      const last = seen.at(-1)
      // containerd tells every 100 ms of the downloads it knows of by then, and may have done them all before the next.
      if (name === 'docker20') assert.ok(last && last.bytes === last.bytesTotal && last.bytesTotal > 7_000_000)
      for (const { phase, bytes, bytesTotal } of seen) assert.ok(bytes <= bytesTotal, `${phase} ${bytes}/${bytesTotal}`)
      await runtime.start(restored)
      assert.equal(await lab.exec(restored, 'sh', '-c', 'ls /data | wc -l'), '400', '399, and `now`')
      assert.equal(await lab.exec(restored, 'sh', '-c', 'wc -c < /data/400'), '20000')
      await runtime.remove(restored.instanceId, { volumes: true })
      await engine.docker(['rmi', imageUrl])
    })

    await t.test('nothing is put until it is confirmed', async () => {
      await using run = start('unconfirmed')
      for await (const event of run.events) if (event.type === 'manifest') break
      await wait(300)
      assert.equal((await tagOf(all, 'unconfirmed')).status, 404)
      run.cancel()
      await assert.rejects(run.result, { code: 'cancelled' })
      assert.equal((await tagOf(all, 'unconfirmed')).status, 404)
      assert.deepEqual(spoolOf(all), [])
    })

    await t.test('a tag that appears before the manifest is put is not moved', async () => {
      await using run = start('meanwhile')
      const waiting = await untilManifest(run)
      const { bytes } = await tagOf(all, 'first')
      await putTag(all, 'meanwhile', bytes)
      waiting.confirm()
      await assert.rejects(run.result, { code: 'tag_exists' })
      assert.deepEqual((await tagOf(all, 'meanwhile')).bytes, bytes)
    })

    await t.test('a layer above the limit of the server fails the capture', async () => {
      const { socketPath } = engine
      await lab.exec(handle, 'sh', '-c', 'head -c 1100000 /dev/urandom > /single') // no layer can hold less
      const strict = openDockerRuntime({ socketPath, home: lab.home, zstdEverywhere: false, maxLayerBytes: 1_000_000 })
      await using run = strict.startCapture(handle, request(all, 'large', { full: true }))
      await assert.rejects(run.result, { code: 'layer_too_large', message: /1000000 bytes/ })
      assert.equal((await tagOf(all, 'large')).status, 404)
      assert.deepEqual(spoolOf(all), [])
      await lab.exec(handle, 'rm', '/single')
    })

    await t.test('errors are those of the capture, with their code and details', async () => {
      await using taken = start('first')
      await assert.rejects(taken.result, { code: 'tag_exists', message: /exists already/ })
      const target = { host: registry.host, login: { ...LOGIN, password: 'wrong' } }
      await using denied = start('denied', { registries: { target, others: [] } })
      await assert.rejects(denied.result, { code: 'registry_denied' })
      await using path = start('path', { exclusions: ['relative'] })
      await assert.rejects(path.result, { code: 'exclusion_invalid' })
      const gone = { kind: 'docker', containerId: 'f'.repeat(64), instanceId: 'dsw-gone' } as const
      await using lost = runtime.startCapture(gone, request(all, 'gone'))
      await assert.rejects(lost.result, { code: 'container_not_found' })
      assert.deepEqual(spoolOf(all), [])
    })

    await t.test('only the registries of the request are spoken to', async () => {
      const elsewhere = { target: { host: 'registry.example.com' }, others: [{ host: registry.host }] }
      await using other = start('elsewhere', { registries: elsewhere })
      await assert.rejects(other.result, { code: 'reference_invalid' })
    })

    await t.test('credentials are on no command line and in no environment', async () => {
      await using _run = start('secret')
      const [child] = await eventually(
        async () => childrenOf(process.pid),
        (found) => found.length > 0,
      )
      const visible = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${child!.pid}/${file}`, 'utf8')).join()
      assert.ok(!visible.includes(LOGIN.password) && !visible.includes('TINTYPE_'))
    })

    await t.test('two at once: the second waits a little, then says that the first is not done', async () => {
      await using first = start('one')
      const waiting = await untilManifest(first)
      await using second = start('two')
      await assert.rejects(second.result, { code: 'capture_in_progress', retry: true })
      waiting.confirm()
      await first.result
      assert.equal((await tagOf(all, 'one')).status, 200)
    })

    await t.test('a capture that begins while another is being cancelled waits for it', async () => {
      await using first = start('given-up')
      await untilManifest(first)
      await using second = start('taken-over')
      first.cancel()
      await Promise.all([assert.rejects(first.result, { code: 'cancelled' }), follow(second), second.result])
    })

    await t.test('a preview', async () => {
      const found = await runtime.preview(handle, ['/data/2'])
      assert.ok(found.entries >= 400, `${found.entries} entries`)
      assert.ok(found.rawBytes >= 399 * 20_000, `${found.rawBytes} bytes`) // `now` may be empty at that moment
      assert.deepEqual(found.unsavedMounts, ['/mnt/workspace'])
      assert.equal(found.excluded[0]?.path, '/data/2')
      await assert.rejects(runtime.preview(handle, ['data']), { code: 'exclusion_invalid' })
    })

    const random = seeded(SEED)
    for (let round = 0; round < KILLS; round++) {
      const delayMs = Math.round(random() * 2500)
      const way = (['SIGKILL', 'SIGTERM', 'cancel', 'server'] as const)[round % 4]!
      await t.test(`${way} after ${delayMs} ms: nothing is frozen or left, the next one works`, async (each) => {
        const end = way === 'server' ? killServer : endChild
        const { outcome, child } = await end(all, { delayMs, way, start: () => start('ended', { overwrite: true }) })
        each.diagnostic(outcome)
        assert.ok(['saved', 'cancelled', 'capture_lost', 'killed'].includes(outcome), outcome)
        await assertRuns(all)
        await using next = start('next', { overwrite: true })
        await follow(next)
        await next.result
        assert.ok(child === undefined || startTimeOf(child.pid) !== child.startTime, 'the process has ended')
        assert.deepEqual(spoolOf(all), [])
      })
    }
  })

interface Ending {
  readonly delayMs: number
  readonly way: 'SIGKILL' | 'SIGTERM' | 'cancel' | 'server'
  readonly start: () => CaptureRun
}

async function endChild(_: Lab, { delayMs, way, start }: Ending) {
  const run = start()
  const followed = follow(run)
  await Promise.race([wait(delayMs), followed])
  const [child] = childrenOf(process.pid)
  if (way === 'cancel') run.cancel()
  else if (child) process.kill(child.pid, way)
  const outcome = await run.result.then(
    () => 'saved',
    (error) => String(error.code),
  )
  await followed
  return { outcome, child }
}

/** kill -9 of the server: nobody cancels, nobody waits. */
async function killServer(all: Lab, { delayMs }: Ending) {
  const { lab, handle } = all
  const server = spawn(process.execPath, ['test/runtime/server.ts'], { stdio: ['pipe', 'ignore', 'inherit'] })
  const orders: ServerOrders = {
    socketPath: lab.engine.socketPath,
    home: lab.home,
    handle,
    request: request(all, 'ended', { overwrite: true }),
  }
  server.stdin.end(JSON.stringify(orders))
  const [child] = await eventually(
    async () => childrenOf(server.pid!),
    (found) => found.length > 0,
  )
  await Promise.race([wait(delayMs), once(server, 'exit')])
  server.kill('SIGKILL')
  return { outcome: server.exitCode === 0 ? 'saved' : 'killed', child }
}

/** Follows the events up to the manifest, which `confirm` answers. */
async function untilManifest(run: CaptureRun): Promise<{ readonly confirm: () => void }> {
  for await (const event of run.events) if (event.type === 'manifest') return { confirm: () => run.confirmManifest() }
  await run.result
  throw new Error('It ended without a manifest.')
}

/** Mulberry32: the same numbers from 0 to 1 for the same seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
