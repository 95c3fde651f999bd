/** The saves of an instance through the whole server, on a real engine: deltas, what is kept of them, and the registry's garbage collection. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { labEngine, whyNoEngine, type Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry, type DistributionRegistry } from '#lab/registry.ts'
import type { CallOptions } from '#lab/signed-client.ts'
import { openWorld, until } from './world.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const KIB = 1024
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const FILES = 'for file in /a /b /c; do [ ! -e $file ] || sha256sum $file; done'

interface Layer {
  readonly Digest: string
  readonly Reused: boolean
  readonly SizeBytes: number
}

interface Saved {
  readonly id: string
  readonly imageUrl: string
  readonly mode: string
  readonly reason: string
  readonly layers: readonly Layer[]
  /** Those that no snapshot before has sent. */
  readonly added: readonly Layer[]
}

type World = Awaited<ReturnType<typeof openWorld>>

/** What a test does with instances and their snapshots, by the API. */
function clientOf({ root }: World, engine: Engine) {
  const ok = async (line: string, options: CallOptions = {}) => {
    const answer = await root(line, options)
    assert.equal(answer.status, 200, `${line}: ${answer.text}`)
    return answer.json
  }
  const reaches = (id: string, status: string) =>
    until(
      () => ok(`GET /api/v2/instances/${id}`),
      ({ Status }) => Status === status || Status === 'Failed',
    )
  const newest = async (instanceId: string) => {
    const { Snapshots } = await ok(`GET /api/v2/instances/${instanceId}/snapshots`, { query: 'Order=Desc&PageSize=1' })
    return (Snapshots as { SnapshotId: string; Status: string; ReasonMessage: string }[])[0]
  }
  /** The newest snapshot, when it is another than `before`, and has ended. */
  const ended = async (instanceId: string, before: string | undefined): Promise<Saved> => {
    const found = await until(
      () => newest(instanceId),
      (seen) => seen !== undefined && seen.SnapshotId !== before && ['Saved', 'Failed'].includes(seen.Status),
    )
    assert.equal(found?.Status, 'Saved', `${found?.ReasonMessage}`)
    const id = String(found?.SnapshotId)
    const { ImageUrl, Result } = await ok(`GET /tintype/v1/instances/${instanceId}/snapshots/${id}`)
    const { Mode, ModeReason, Layers } = Result as { Mode: string; ModeReason: string; Layers: readonly Layer[] }
    const added = Layers.filter(({ Reused }) => !Reused)
    return { id, imageUrl: String(ImageUrl), mode: Mode, reason: ModeReason, layers: Layers, added }
  }
  /** What the call, or the time that it lets pass, has saved. */
  const savedBy = async (instanceId: string, work: () => unknown): Promise<Saved> => {
    const before = (await newest(instanceId))?.SnapshotId
    await work()
    return await ended(instanceId, before)
  }
  return {
    ok,
    reaches,
    savedBy,
    async running(name: string, image: string) {
      const body = { InstanceName: name, EcsSpec: 'ecs.n4.small', ImageUrl: image }
      const id = String((await ok('POST /api/v2/instances', { body }))['InstanceId'])
      const seen = await reaches(id, 'Running')
      assert.equal(seen['Status'], 'Running', JSON.stringify(seen))
      return id
    },
    async sh(id: string, script: string) {
      const container = await engine.docker(['ps', '-aq', '--filter', `label=io.tintype.instance=${id}`])
      return engine.docker(['exec', container, 'sh', '-c', script])
    },
    save: (instanceId: string, ImageUrl: string) =>
      savedBy(instanceId, () =>
        ok(`POST /api/v2/instances/${instanceId}/snapshots`, { body: { SnapshotName: 'by-hand', ImageUrl } }),
      ),
    remove: (instanceId: string, id: string) =>
      ok(`DELETE /api/v2/instances/${instanceId}/snapshots/${id}`, { query: 'DeleteImage=true' }),
  }
}

async function tagsOf({ host }: DistributionRegistry, repository: string): Promise<readonly string[]> {
  const response = await fetch(`http://${host}/v2/${repository}/tags/list`)
  return ((await response.json()) as { tags: string[] | null }).tags ?? []
}

/** Every blob of the image is in the registry, and is what its digest says. */
async function assertWhole(imageUrl: string): Promise<void> {
  const [, host = '', repository = '', tag = ''] = /^([^/]+)\/(.+):([^:]+)$/.exec(imageUrl) ?? []
  const url = (rest: string) => `http://${host}/v2/${repository}/${rest}`
  const manifest = await (await fetch(url(`manifests/${tag}`), { headers: { accept: MANIFEST } })).json()
  const { config, layers } = manifest as { config: { digest: string }; layers: { digest: string }[] }
  for (const { digest } of [config, ...layers]) {
    const bytes = Buffer.from(await (await fetch(url(`blobs/${digest}`))).arrayBuffer())
    assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest, `${imageUrl} has lost a blob`)
  }
}

async function filesOf(engine: Engine, imageUrl: string): Promise<string> {
  await engine.docker(['pull', '--quiet', imageUrl])
  const seen = await engine.docker(['run', '--rm', imageUrl, 'sh', '-c', FILES])
  await engine.docker(['rmi', imageUrl])
  return seen
}

const write = (name: string, kib: number) => `head -c ${kib * KIB} /dev/urandom > /${name}`

const NAME = 'docker28: saves by call, by night and by stop, and what is left of them'
test(NAME, { skip: whyNoEngine('docker28'), timeout: 550_000 }, async (t) => {
  await using engine = await labEngine('docker28')
  await using registry = await startRegistry({ hasBlobCache: true })
  const at = (repository: string) => `${registry.host}/team/${repository}`
  await using world = await openWorld(engine, { TINTYPE_DEFAULT_REPOSITORY: at('stopped') })
  const { ok, reaches, running, save, savedBy, sh, remove } = clientOf(world, engine)
  const base = await busyboxImage(engine)
  const [id, other] = [await running('kept', base), await running('gone', base)]
  const previewed = async () => (await ok(`GET /tintype/v1/instances/${id}/preview`))['Mode']
  const assertSame = async (imageUrl: string) => assert.equal(await filesOf(engine, imageUrl), await sh(id, FILES))

  await t.test('by a call: the second one is a delta of one small layer, and the preview says so', async () => {
    await sh(id, write('a', 1024))
    assert.equal(await previewed(), 'full')
    const one = await save(id, `${at('notebook')}:one`)
    assert.equal(one.mode, 'full', one.reason)
    await sh(id, write('b', 64))
    assert.equal(await previewed(), 'delta')
    const two = await save(id, `${at('notebook')}:two`)
    assert.equal(two.mode, 'delta', two.reason)
    assert.equal(two.added.length, 1)
    assert.ok(two.added[0]!.SizeBytes < 80 * KIB, `${two.added[0]!.SizeBytes} bytes`)
  })

  await t.test('by night, into another repository: of an idle instance no layer, and the last is kept', async () => {
    const night = (new Date(world.clock.wallMs()).getUTCHours() + 12) % 24 // far from now, so that no other one comes
    const body = { InstanceId: id, Cron: `0 ${night} * * *`, ImageUrl: at('nightly'), KeepLast: 1 }
    await ok('POST /tintype/v1/schedules', { body })
    const nights = [await savedBy(id, () => world.clock.pass(DAY_MS)), await savedBy(id, () => world.clock.pass(DAY_MS))] // prettier-ignore
    for (const { mode, reason, added } of nights) assert.deepEqual([mode, added], ['delta', []], reason)
    world.clock.pass(HOUR_MS)
    const tags = await until(
      () => tagsOf(registry, 'team/nightly'),
      (seen) => seen.length === 1,
    )
    assert.equal(at(`nightly:${tags[0]}`), nights[1]?.imageUrl)
  })

  let unique = ''
  await t.test('the collector takes what only deleted images had, and the living chain stays whole', async () => {
    await sh(other, write('a', 512))
    const gone = await save(other, `${at('notebook')}:gone`)
    unique = gone.added.toSorted((a, b) => b.SizeBytes - a.SizeBytes)[0]!.Digest
    await ok(`DELETE /api/v2/instances/${other}`)
    await until(
      () => world.root(`GET /api/v2/instances/${other}`),
      ({ status }) => status === 404,
    )
    await remove(other, gone.id)
    const { Snapshots } = await ok(`GET /api/v2/instances/${id}/snapshots`, { query: 'Order=Desc&PageSize=10' })
    const [last, two] = Snapshots as { SnapshotId: string; ImageUrl: string }[]
    await remove(id, two!.SnapshotId)
    const withImage = { query: 'DeleteImage=true' }
    const refused = await world.root(`DELETE /api/v2/instances/${id}/snapshots/${last!.SnapshotId}`, withImage)
    assert.match(refused.text, /The next snapshot of \S+ adds to/)
    assert.deepEqual(await tagsOf(registry, 'team/notebook'), ['one'])

    await collect(registry)
    assert.equal(await hasBlob(registry, 'team/notebook', unique), false)
    for (const imageUrl of [`${at('notebook')}:one`, last!.ImageUrl]) await assertWhole(imageUrl)
    await assertSame(last!.ImageUrl)
    await sh(id, write('c', 32))
    const next = await save(id, `${at('notebook')}:three`)
    assert.deepEqual([next.mode, next.added.length], ['delta', 1], next.reason)
    await assertSame(next.imageUrl)
  })

  await t.test('by a stop: a delta, and another one after the start', async () => {
    await sh(id, write('b', 16))
    const stopped = await savedBy(id, () => ok(`PUT /api/v2/instances/${id}/stop`, { query: 'SaveImage=true' }))
    assert.equal((await reaches(id, 'Stopped'))['Status'], 'Stopped')
    assert.match(stopped.imageUrl, /\/team\/notebook:stop-/)
    assert.deepEqual([stopped.mode, stopped.added.length], ['delta', 1], stopped.reason)
    await ok(`PUT /api/v2/instances/${id}/start`)
    assert.equal((await reaches(id, 'Running'))['Status'], 'Running')
    const next = await save(id, `${at('notebook')}:four`)
    assert.equal(next.mode, 'delta', next.reason)
    await assertSame(next.imageUrl)
  })

  await t.test(
    'the collector has taken the chain, and its cache says that it is there: a full one, and right',
    async () => {
      for (const repository of ['team/notebook', 'team/nightly'])
        for (const tag of await tagsOf(registry, repository)) await deleteManifest(registry, repository, tag)
      await registry.collectGarbage({ untagged: true })
      await sh(id, 'rm /c')
      const full = await save(id, `${at('notebook')}:five`)
      assert.equal(full.mode, 'full')
      assert.match(full.reason, /gone from the registry|has lost a layer/)
      await assertWhole(full.imageUrl)
      await assertSame(full.imageUrl)
    },
  )
})

/** As docs/operations.md says: nobody pushes meanwhile, and the cache begins anew. */
async function collect(registry: DistributionRegistry): Promise<void> {
  await registry.halt()
  await registry.collectGarbage({ untagged: true })
  await registry.restart()
}

async function hasBlob({ host }: DistributionRegistry, repository: string, digest: string): Promise<boolean> {
  return (await fetch(`http://${host}/v2/${repository}/blobs/${digest}`, { method: 'HEAD' })).ok
}

/** As somebody does who knows nothing of chains: with the manifest all its tags go. */
async function deleteManifest({ host }: DistributionRegistry, repository: string, tag: string): Promise<void> {
  const url = `http://${host}/v2/${repository}/manifests`
  const found = await fetch(`${url}/${tag}`, { method: 'HEAD', headers: { accept: MANIFEST } })
  const { status } = await fetch(`${url}/${found.headers.get('docker-content-digest')}`, { method: 'DELETE' })
  assert.ok([202, 404].includes(status), `${status}`)
}
