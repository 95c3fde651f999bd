/** The life of instances on real engines: what they are made of, what runs in them, and what is refused. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { labEngine, whyNoEngine } from '#lab/engine.ts'
import { openDockerRuntime } from '#runtime/docker/docker-runtime.ts'
import type { RuntimeEvent } from '#runtime/runtime.ts'
import { eventually, imageWith, instanceEngines, openTestRuntime } from './instances.ts'

/** Puts a program of this name before all others. */
async function fakeNvidiaSmi(directory: string, script: string): Promise<AsyncDisposable> {
  writeFileSync(join(directory, 'nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const path = process.env['PATH']
  process.env['PATH'] = `${directory}:${path}`
  return {
    async [Symbol.asyncDispose]() {
      process.env['PATH'] = path
    },
  }
}

for (const name of instanceEngines())
  test(`${name}: what an instance is made of`, { skip: whyNoEngine(name) }, async (t) => {
    await using engine = await labEngine(name)
    await using lab = await openTestRuntime(engine)
    const { runtime } = lab

    await t.test('made once, however often and however much at once it is asked for', async () => {
      const spec = lab.spec()
      const handles = await Promise.all([runtime.create(spec), runtime.create(spec), runtime.create(spec)])
      handles.push(await runtime.create(spec))
      assert.equal(new Set(handles.map(({ containerId }) => containerId)).size, 1)
      assert.deepEqual(await runtime.find(spec.instanceId), handles[0])
      assert.equal((await runtime.inspect(handles[0]!))?.status, 'created')
    })

    await t.test('starting, stopping and removing again is fine', async () => {
      const handle = await lab.run()
      await runtime.start(handle)
      const running = await runtime.inspect(handle)
      assert.equal(running?.status, 'running')
      assert.ok(Math.abs(running!.startedMs! - Date.now()) < 60_000)
      await runtime.stop(handle, { graceSeconds: 5 })
      await runtime.stop(handle, { graceSeconds: 5 })
      const stopped = await runtime.inspect(handle)
      assert.equal(stopped?.status, 'exited')
      assert.ok(stopped!.finishedMs! >= running!.startedMs!)
      await runtime.start(handle)
      await Promise.all([
        runtime.remove(handle.instanceId, { volumes: true }),
        runtime.remove(handle.instanceId, { volumes: true }),
      ])
      await runtime.remove(handle.instanceId, { volumes: true })
      await runtime.stop(handle, { graceSeconds: 5 })
      assert.equal(await runtime.inspect(handle), undefined)
      assert.equal(await runtime.find(handle.instanceId), undefined)
      assert.deepEqual(await runtime.logs(handle, { source: 'container', tail: 10 }), [])
      assert.equal(await runtime.stats(handle), undefined)
      assert.equal(existsSync(join(lab.home, 'instances', handle.instanceId)), false)
      await assert.rejects(runtime.start(handle), { code: 'container_not_found' })
    })

    await t.test('what one server has made another one starts and removes, whatever its TINTYPE_HOME is', async () => {
      const home = mkdtempSync(join(tmpdir(), 'tintype-other-home-'))
      const other = openDockerRuntime({ socketPath: engine.socketPath, home, zstdEverywhere: false })
      const spec = lab.spec({ onStart: 'echo first' })
      const made = await runtime.create(spec)
      const handle = await other.create({ ...spec, onStart: 'echo second' })
      assert.deepEqual(handle, made)
      await other.update(handle, { onStart: 'echo third' })
      await other.start(handle)
      const said = () => other.logs(handle, { source: 'system', tail: 10 })
      await eventually(said, (lines) => lines.some((line) => line.includes('third')))
      assert.ok((await other.running()).some(({ containerId }) => containerId === handle.containerId))
      await other.remove(spec.instanceId, { volumes: true })
      assert.ok(!(await other.running()).some(({ containerId }) => containerId === handle.containerId))
      assert.equal(existsSync(join(lab.home, 'instances', spec.instanceId)), false)
      rmSync(home, { recursive: true })
    })

    await t.test('its environment, with whatever is in it', async () => {
      const environment = {
        PLAIN: 'value',
        'with spaces': '  two  ',
        QUOTES: `'"\`$(id)\\`,
        LINES: 'one\ntwo\n',
        UNICODE: 'ſčḥ 中 🎞',
        EMPTY: '',
        EQUALS: 'a=b=c',
      }
      const handle = await lab.run({ environment })
      const pid = await engine.docker(['inspect', '--format', '{{.State.Pid}}', handle.containerId])
      const seen = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
      for (const [key, value] of Object.entries(environment)) assert.ok(seen.includes(`${key}=${value}`), key)
    })

    const REFUSED = [
      ['a name with =', { environment: { 'A=B': '1' } }, /"A=B"/],
      ['no name', { environment: { '': '1' } }, /environment/],
      ['a NUL', { environment: { A: '1\x002' } }, /NUL/],
      [
        'a mount over the workspace',
        { binds: [{ source: '/tmp', target: '/mnt/workspace/', readOnly: true }] },
        /mount/,
      ],
      ['a mount over the root', { binds: [{ source: '/tmp', target: '/', readOnly: true }] }, /absolute path/],
      ['a mount that climbs', { binds: [{ source: '/tmp', target: '/data/../etc', readOnly: true }] }, /absolute/],
      [
        'a source that is not there',
        { binds: [{ source: '/nowhere/at/all', target: '/data', readOnly: true }] },
        /exist/,
      ],
      ['an id that is a path', { instanceId: '../x' }, /no id/],
    ] as const
    for (const [why, changes, message] of REFUSED)
      await t.test(`refused: ${why}`, async () => {
        await assert.rejects(runtime.create(lab.spec(changes)), { code: 'parameter_invalid', message })
      })

    await t.test('cores, memory and shared memory are limits', async () => {
      const handle = await lab.run({ cpuMilli: 500, memoryBytes: 128 << 20, shmBytes: 16 << 20 })
      const format = '{{json .HostConfig}}'
      const host = JSON.parse(await engine.docker(['inspect', '--format', format, handle.containerId]))
      assert.deepEqual(
        [host.NanoCpus, host.Memory, host.ShmSize, host.Privileged, host.RestartPolicy.Name, host.Init],
        [500_000_000, 128 << 20, 16 << 20, false, 'no', true],
      )
      assert.match(await lab.exec(handle, 'df', '-k', '/dev/shm'), / 16384 /)
    })

    await t.test('more cores than the host has are refused', async () => {
      const { cores } = await runtime.host()
      const spec = lab.spec({ cpuMilli: (cores + 1) * 1000 })
      await assert.rejects(runtime.create(spec), { code: 'insufficient_resource', message: /CPU/ })
    })

    await t.test('GPUs that the host has not got are refused', async () => {
      const spec = lab.spec({ gpus: { count: 1 } })
      await assert.rejects(runtime.create(spec), { code: 'insufficient_resource', message: /0 GPUs, and 1/ })
      assert.equal(await runtime.find(spec.instanceId), undefined)
    })

    await t.test('GPUs that the host has, and the engine cannot give, are told at the start', async () => {
      await using _ = await fakeNvidiaSmi(lab.home, 'echo "NVIDIA A100-SXM4-40GB, 40960"')
      assert.deepEqual((await runtime.host()).gpus, [{ model: 'NVIDIA A100-SXM4-40GB', memoryBytes: 40_960 * 2 ** 20 }])
      const handle = await runtime.create(lab.spec({ gpus: { count: 1, type: 'a100' } }))
      await assert.rejects(runtime.start(handle), { code: 'insufficient_resource', message: /device driver/ })
      const other = runtime.create(lab.spec({ gpus: { count: 1, type: 'V100' } }))
      await assert.rejects(other, { code: 'insufficient_resource', message: /0 GPUs of type V100/ })
    })

    await t.test('directories of the host, to read or to write', async () => {
      for (const directory of ['read', 'write']) mkdirSync(join(lab.home, directory))
      writeFileSync(join(lab.home, 'read/file'), 'from the host')
      const handle = await lab.run({
        binds: [
          { source: join(lab.home, 'read'), target: '/mnt/read', readOnly: true },
          { source: join(lab.home, 'write'), target: '/mnt/write/', readOnly: false },
        ],
      })
      assert.equal(await lab.exec(handle, 'cat', '/mnt/read/file'), 'from the host')
      await assert.rejects(lab.exec(handle, 'touch', '/mnt/read/new'), /Read-only/)
      await lab.exec(handle, 'touch', '/mnt/write/new')
      assert.ok(existsSync(join(lab.home, 'write/new')))
    })

    await t.test('the workspace outlives the container, until it is removed with it', async () => {
      const spec = lab.spec()
      const first = await runtime.create(spec)
      await runtime.start(first)
      await lab.exec(first, 'sh', '-c', 'echo kept > /mnt/workspace/file')
      await runtime.remove(first.instanceId, { volumes: false })
      const second = await runtime.create(spec)
      await runtime.start(second)
      assert.equal(await lab.exec(second, 'cat', '/mnt/workspace/file'), 'kept')
      await runtime.remove(second.instanceId, { volumes: true })
      const volumes = await engine.docker(['volume', 'ls', '--quiet'])
      assert.ok(!volumes.split('\n').includes(spec.workspaceVolume))
    })

    await t.test('a volume that another container uses stays', async () => {
      const handle = await lab.run()
      const volume = `tintype-${handle.instanceId}`
      const image = lab.spec().imageUrl
      const other = await engine.docker(['create', '--network', 'none', '-v', `${volume}:/v`, image])
      await runtime.remove(handle.instanceId, { volumes: true })
      assert.equal(await engine.docker(['volume', 'inspect', '--format', '{{.Name}}', volume]), volume)
      await engine.docker(['rm', other])
      await engine.docker(['volume', 'rm', volume])
    })

    await t.test('an image without a shell is refused, however often', async () => {
      const imageUrl = await imageWith(engine, 'no-shell', { from: 'scratch', files: { 'bin/true': '' } })
      const spec = lab.spec({ imageUrl })
      const unsupported = { code: 'image_unsupported', message: /no \/bin\/sh/ }
      await assert.rejects(runtime.create(spec), unsupported)
      await assert.rejects(runtime.create(spec), unsupported)
    })

    await t.test('limits and OnStart are changed, and what was written stays', async () => {
      const handle = await lab.run({ cpuMilli: 500, memoryBytes: 64 << 20, onStart: 'echo old' })
      await lab.exec(handle, 'sh', '-c', 'echo mine > /file')
      await runtime.update(handle, { cpuMilli: 1000, memoryBytes: 128 << 20 })
      await runtime.stop(handle, { graceSeconds: 5 })
      await runtime.update(handle, { onStart: 'echo new' })
      await runtime.start(handle)
      const system = () => runtime.logs(handle, { source: 'system', tail: 10 })
      await eventually(system, (lines) => lines.includes('new'))
      assert.equal(await lab.exec(handle, 'cat', '/file'), 'mine')
      const format = '{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}'
      const now = await engine.docker(['inspect', '--format', format, handle.containerId])
      assert.equal(now, `1000000000 ${128 << 20}`)
      await assert.rejects(runtime.update(handle, { cpuMilli: 1_000_000 }), { code: 'insufficient_resource' })
      const gone = { ...handle, containerId: 'f'.repeat(64) }
      await assert.rejects(runtime.update(gone, { cpuMilli: 500 }), { code: 'container_not_found' })
    })

    await t.test('what is no image reference is refused', async () => {
      for (const imageUrl of ['', '../x', 'a b', 'x:y:z'])
        await assert.rejects(runtime.create(lab.spec({ imageUrl })), { code: 'reference_invalid' })
    })

    await t.test('another container of its name is told, not taken', async () => {
      const spec = lab.spec()
      const other = await engine.docker([
        'create',
        '--name',
        `tintype-${spec.instanceId}`,
        '--network',
        'none',
        spec.imageUrl,
      ])
      await assert.rejects(runtime.create(spec), { code: 'name_taken' })
      await engine.docker(['rm', other])
    })

    await t.test('a cancel ends a call', async () => {
      const signal = AbortSignal.abort()
      await assert.rejects(runtime.create(lab.spec(), signal), { code: 'cancelled' })
      await assert.rejects(runtime.host(signal), { code: 'cancelled' })
    })

    await t.test('the host', async () => {
      const host = await runtime.host()
      assert.equal(host.cores, Number(await engine.docker(['info', '--format', '{{.NCPU}}'])))
      assert.equal(host.memoryBytes, Number(await engine.docker(['info', '--format', '{{.MemTotal}}'])))
      assert.deepEqual(host.gpus, [])
    })

    await t.test('what happens to instances is told, and nothing of other containers', async () => {
      const stop = new AbortController()
      const told: RuntimeEvent[] = []
      const connected = Promise.withResolvers<void>()
      const { instanceId } = lab.spec()
      const watching = (async () => {
        for await (const event of runtime.watch(stop.signal)) {
          if (event.type === 'connected') connected.resolve()
          told.push(event)
          if (event.type === 'removed' && event.instanceId === instanceId) stop.abort()
        }
      })()
      await connected.promise
      const image = lab.spec().imageUrl
      const other = await engine.docker(['create', '--network', 'none', image, 'true'])
      await engine.docker(['start', '--attach', other])
      await engine.docker(['rm', other])
      const handle = await lab.run({ instanceId })
      await engine.docker(['pause', handle.containerId])
      assert.equal((await runtime.inspect(handle))?.status, 'paused')
      await engine.docker(['unpause', handle.containerId])
      await runtime.stop(handle, { graceSeconds: 60 })
      await runtime.remove(handle.instanceId, { volumes: true })
      await watching
      assert.equal(told[0]?.type, 'connected')
      // The engine is shared: instances of tests that run beside this one are told too, and rightly.
      const ofContainers = told.filter((event) => event.type !== 'connected')
      assert.ok(ofContainers.every(({ containerId }) => containerId !== other))
      const seen = ofContainers.filter((event) => event.instanceId === instanceId)
      assert.deepEqual(
        seen.map(({ type }) => type),
        ['started', 'paused', 'unpaused', 'exited', 'removed'],
      )
      for (const event of seen) {
        assert.ok(Math.abs(event.timeMs - Date.now()) < 60_000)
        assert.equal(event.containerId, handle.containerId)
        if (event.type === 'exited') assert.equal(event.exitCode, 143)
      }
    })

    await t.test('what is used of the processor and the memory', async () => {
      const handle = await lab.run({ onStart: 'while :; do :; done', cpuMilli: 1000, memoryBytes: 256 << 20 })
      const idle = await lab.run()
      await eventually(
        () => runtime.logs(idle, { source: 'system', tail: 1 }),
        (lines) => lines.length > 0,
      )
      // How much a busy loop gets depends on what else the machine does.
      const busy = await eventually(
        () => runtime.stats(handle),
        (stats) => stats !== undefined && stats.cpuPercent > 3,
      )
      await eventually(
        () => runtime.stats(idle),
        (stats) => stats !== undefined && stats.cpuPercent < 1,
      )
      assert.ok(busy!.cpuPercent <= 100 && busy!.memoryPercent <= 100 && busy!.memoryBytes < 256 << 20)
      await runtime.stop(handle, { graceSeconds: 1 })
      assert.equal(await runtime.stats(handle), undefined)
    })
  })
