/** Instances through the whole server on real engines: what a request asks for is what the container has, and what ends it is told. */
import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { labEngine, whyNoEngine } from '#lab/engine.ts'
import { startRegistry } from '#lab/registry.ts'
import type { CallOptions } from '#lab/signed-client.ts'
import { LOGIN, openWorld, privateImage, until, type Call } from './world.ts'

const MINUTE_MS = 60_000
const BUSY = 'while :; do :; done'
const GIB = 2 ** 30
const SMALL = { CPU: '0.5', Memory: '256Mi', SharedMemory: '64Mi' }

async function ok(call: Call, line: string, options: CallOptions = {}): Promise<Record<string, unknown>> {
  const answer = await call(line, options)
  assert.equal(answer.status, 200, `${line}: ${answer.text}`)
  return answer.json
}

for (const name of ['docker20', 'docker28'] as const)
  test(`${name}: instances, through the API`, { skip: whyNoEngine(name), timeout: 550_000 }, async (t) => {
    await using engine = await labEngine(name)
    await using registry = await startRegistry({ users: { [LOGIN.user]: LOGIN.password } })
    const image = await privateImage(engine, registry)
    await using world = await openWorld(engine)
    const { root, clock } = world
    const ImageAuth = btoa(`${LOGIN.user}:${LOGIN.password}`)
    const path = (id: string) => `/api/v2/instances/${id}`
    const get = (id: string) => ok(root, `GET ${path(id)}`)
    const create = async (body: object = {}) => {
      const whole = { ImageUrl: image, ImageAuth, RequestedResource: SMALL, ...body }
      return String((await ok(root, 'POST /api/v2/instances', { body: whole }))['InstanceId'])
    }
    const reaches = (id: string, ...statuses: readonly string[]) =>
      until(
        () => get(id),
        ({ Status }) => statuses.includes(String(Status)),
      )
    const running = async (body: object = {}) => {
      const id = await create(body)
      const seen = await reaches(id, 'Running', 'Failed')
      assert.equal(seen['Status'], 'Running', JSON.stringify(seen))
      return id
    }
    const containerOf = (id: string) =>
      engine.docker(['ps', '-aq', '--no-trunc', '--filter', `label=io.tintype.instance=${id}`])
    const sh = async (id: string, script: string) => engine.docker(['exec', await containerOf(id), 'sh', '-c', script])
    const events = async (id: string) =>
      ((await ok(root, `GET ${path(id)}/events`, { query: 'MaxEventsNum=100' }))['Events'] as string[]).join('\n')
    const stop = async (id: string) => {
      await ok(root, `PUT ${path(id)}/stop`)
      return reaches(id, 'Stopped')
    }

    // Those that time has to pass for begin first.
    const [busy, idle, timed] = await Promise.all([
      running({ InstanceName: 'busy', UserCommand: { OnStart: { Content: BUSY } } }),
      running({ InstanceName: 'idle' }),
      running({ InstanceName: 'timed' }),
    ])

    await t.test('an image that needs a login is pulled with ImageAuth, and nobody reads the login', async () => {
      const seen = await get(idle)
      assert.equal(seen['ImageUrl'], image)
      assert.ok(!JSON.stringify(seen).includes(ImageAuth), 'not as it came')
      assert.ok(!JSON.stringify(seen).includes(LOGIN.password))
    })

    await t.test('without a login, or with a wrong one, it ends Failed with ImagePullBackOff', async () => {
      const absent = image.replace(':v1', ':v2') // what the engine has is not pulled
      const ids = await Promise.all([
        create({ ImageAuth: undefined, ImageUrl: absent }),
        create({ ImageAuth: btoa('ann:wrong'), ImageUrl: absent }),
        create({ ImageUrl: image.replace('/base', '/nothing') }),
      ])
      for (const id of ids) {
        const failed = await reaches(id, 'Failed', 'Running')
        assert.deepEqual([failed['Status'], failed['ReasonCode']], ['Failed', 'ImagePullBackOff'])
        assert.ok(String(failed['ReasonMessage']).length > 10)
        assert.match(await events(id), /Error The instance could not be started/)
      }
    })

    await t.test('what was asked for is what the container sees', async () => {
      mkdirSync(`${world.datasets}/set`)
      writeFileSync(`${world.datasets}/set/file`, 'of the host\n')
      const id = await running({
        ImageUrl: image,
        EnvironmentVariables: { GREETING: 'two  spaces "and" $quotes' },
        UserCommand: { OnStart: { Content: 'echo started as $(id -u)\nexit 3' } },
        Datasets: [{ Uri: `file://${world.datasets}/set`, MountPath: '/mnt/data', MountAccess: 'RO', Dynamic: true }],
      })
      assert.equal(await sh(id, 'printf %s "$GREETING"'), 'two  spaces "and" $quotes')
      // cgroup v2, and v1 of Debian's older kernels.
      const limits = await sh(
        id,
        'cat /sys/fs/cgroup/cpu.max 2>/dev/null || { cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us; cat /sys/fs/cgroup/cpu/cpu.cfs_period_us; }',
      )
      const [quota = 0, period = 1] = limits.split(/\s+/).map(Number)
      assert.equal(quota / period, 0.5)
      const MEMORY = 'cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes'
      assert.equal(Number(await sh(id, MEMORY)), GIB / 4)
      assert.match(await sh(id, 'df -k /dev/shm'), / 65536 /)
      assert.equal(await sh(id, 'cat /mnt/data/file'), 'of the host')
      assert.equal(await sh(id, '(echo x > /mnt/data/new) 2> /dev/null || echo refused'), 'refused')

      const lines = async () => JSON.stringify(await ok(root, 'GET /api/v2/systemlogs', { query: `InstanceId=${id}` }))
      await until(lines, (text) => /started as 0/.test(text) && /OnStart has ended with 3/.test(text))

      await sh(id, 'echo mine > /file; echo kept > /mnt/workspace/file')
      await stop(id)
      const body = { RequestedResource: { ...SMALL, Memory: '512Mi' }, StartInstance: true }
      await ok(root, `PUT ${path(id)}`, { body })
      await reaches(id, 'Running')
      assert.equal(Number(await sh(id, MEMORY)), GIB / 2)
      assert.equal(await sh(id, 'cat /file /mnt/workspace/file'), 'mine\nkept', 'another memory keeps the files')

      await stop(id)
      await ok(root, `PUT ${path(id)}`, { body: { EnvironmentVariables: { GREETING: 'new' }, StartInstance: true } })
      await reaches(id, 'Running')
      assert.equal(await sh(id, 'printf %s "$GREETING"; cat /mnt/workspace/file; test -e /file || echo gone'), 'newkept\ngone') // prettier-ignore
      assert.match(await events(id), /Warning .*what was in it and not saved is lost/)

      const volumes = () => engine.docker(['volume', 'ls', '-q', '--filter', `label=io.tintype.instance=${id}`])
      assert.notEqual(await volumes(), '')
      await ok(root, `DELETE ${path(id)}`)
      await until(
        () => root(`GET ${path(id)}`),
        ({ status }) => status === 404,
      )
      assert.deepEqual([await containerOf(id), await volumes()], ['', ''])
    })

    await t.test('datasets outside of TINTYPE_DATASET_PATHS are refused, by whatever way', async () => {
      symlinkSync(world.elsewhere, `${world.datasets}/link`)
      const dataset = (Uri: string) => ({ Datasets: [{ Uri, MountPath: '/mnt/data' }] })
      for (const uri of [
        `file://${world.elsewhere}`,
        `file://${world.datasets}/link`,
        `file://${world.datasets}/../elsewhere`,
        `file://${world.datasets}/%2e%2e/elsewhere`,
        `file://${world.datasets}-beside`,
        'file:///',
        'oss://bucket/path',
      ]) {
        const body = { ImageUrl: image, RequestedResource: SMALL, ...dataset(uri) }
        const refused = await root('POST /api/v2/instances', { body })
        assert.deepEqual([refused.status, refused.json['Code']], [400, 'ValidationError'], `${uri}: ${refused.text}`)
        assert.match(String(refused.json['Message']), /Datasets\[0\]\.Uri/)
      }
    })

    await t.test('what is private is not there for another user; what is public is', async () => {
      const bob = await world.user('bob')
      assert.equal((await bob(`GET ${path(idle)}`)).status, 404)
      assert.equal((await bob(`PUT ${path(idle)}/stop`)).status, 404)
      const seen = async () => (await ok(bob, 'GET /api/v2/instances', { query: 'ResourceId=ALL' }))['TotalCount']
      assert.equal(await seen(), 0)
      await ok(root, `PUT ${path(idle)}`, { body: { Accessibility: 'PUBLIC' } })
      assert.equal((await ok(bob, `GET ${path(idle)}`))['Status'], 'Running')
      assert.equal(await seen(), 1)
    })

    await t.test('a container that somebody else ends is told of as it is', async () => {
      const killed = await running()
      await engine.docker(['kill', await containerOf(killed)])
      const failed = await reaches(killed, 'Failed', 'Stopped')
      assert.deepEqual([failed['Status'], failed['ReasonCode']], ['Failed', 'ContainerExited'])
      assert.match(String(failed['ReasonMessage']), /137/)
      await ok(root, `PUT ${path(killed)}/start`)
      await reaches(killed, 'Running')
      await engine.docker(['rm', '--force', await containerOf(killed)])
      const gone = await reaches(killed, 'Failed', 'Stopped')
      assert.equal(gone['Status'], 'Failed')
      assert.match(String(gone['ReasonCode']), /^Container(Gone|Exited)$/)
    })

    await t.test('what it uses is measured; an idle one and a due one are stopped, a busy one is not', async () => {
      for (const id of [busy, idle])
        await ok(root, `POST ${path(id)}/idleinstanceculler`, {
          body: { CpuPercentThreshold: 5, MaxIdleTimeInMinutes: 1 }, // what a busy one gets depends on the machine
        })
      await ok(root, `POST ${path(timed)}/shutdowntimer`, { body: { RemainingTimeInMs: 2 * MINUTE_MS } })
      const used = async (id: string) => {
        const { PodMetrics } = await ok(root, `GET /api/v2/instance/${id}/metrics`, {
          query: 'MetricType=CpuCoreUsage',
        })
        const points = (PodMetrics as { Metrics: { Value: number }[] }[])[0]?.Metrics ?? []
        return Math.max(-1, ...points.map(({ Value }) => Value))
      }
      await until(
        () => used(busy),
        (percent) => percent > 20,
      )
      const idleSince = async () => (await world.instances.parts.store.cullers.of([idle]))[0]?.idleSinceMs
      await until(
        async () => {
          clock.pass(15_000) // the next reading is due
          return idleSince()
        },
        (since) => typeof since === 'number',
      )
      assert.ok((await used(idle)) < 20)
      clock.pass(2 * MINUTE_MS)
      const [stopped, due] = await Promise.all([reaches(idle, 'Stopped'), reaches(timed, 'Stopped')])
      assert.deepEqual([stopped['ReasonCode'], due['ReasonCode']], ['Idle', 'ShutdownTimer'])
      assert.equal((await get(busy))['Status'], 'Running')
    })
  })
