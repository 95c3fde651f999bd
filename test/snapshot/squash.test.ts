/** The squashed image: what it says, where it goes, and what it never does to a tag. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stackTar, storedTar } from '#lab/layer-stack.ts'
import type { MemberSpec } from '#lab/layer-stack.ts'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import type { Digest } from '#oci/digest.ts'
import { squash } from '#snapshot/squash/squash.ts'
import type { SquashOptions } from '#snapshot/squash/squash.ts'
import { hostPlatform } from '#snapshot/squash/stored-image.ts'
import { fakeRepository } from '../support/fake-repository.ts'
import type { FakeRepository } from '../support/fake-repository.ts'
import { putStackImage } from '../support/stack-image.ts'
import type { StackImageOptions } from '../support/stack-image.ts'

const home = mkdtempSync(join(tmpdir(), 'squash-image-'))
after(() => rmSync(home, { recursive: true }))

const BASE: MemberSpec[] = ['etc/', 'etc/passwd']
const OURS: MemberSpec[][] = [['a=1', 'b'], ['.wh.b'], ['a=2']]
const BASE_DIGEST = digestOf('the base')
const SAVED: StackImageOptions = { tag: 'v1', base: { layers: 1, digest: BASE_DIGEST } }
const layersOf = (specs: readonly MemberSpec[][]) => specs.map((each) => storedTar(stackTar(each)))

async function saved(repository: FakeRepository, options: StackImageOptions = SAVED, specs = [BASE, ...OURS]) {
  return putStackImage(repository, layersOf(specs), options)
}

function run(repository: FakeRepository, change: Partial<SquashOptions> = {}) {
  return squash({
    image: { repository, tagOrDigest: 'v1', text: 'r/a:v1' },
    target: repository,
    tag: 'small',
    reference: 'r/a:small',
    overwrite: false,
    isInPlace: false,
    home,
    compression: 'gzip',
    zstdEverywhere: false,
    signal: new AbortController().signal,
    ...change,
  })
}

interface Config {
  readonly config: { readonly Labels?: Record<string, string>; readonly Env?: readonly string[] }
  readonly created: string
  readonly history: readonly object[]
  readonly rootfs: { readonly diff_ids: readonly string[] }
}

function imageIn(repository: FakeRepository, tag: string) {
  const json = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString())
  const manifest = json(repository.manifests.get(tag)!.bytes) as {
    config: Descriptor
    layers: Descriptor[]
    annotations?: Record<string, string>
  }
  return { manifest, config: json(repository.blobs.get(manifest.config.digest)!) as Config }
}

test('the layers above the base become one; all else that the image says stays', async () => {
  const repository = fakeRepository('r/a')
  const history = [
    { created_by: 'base' },
    { created_by: 'ENV', empty_layer: true },
    { created_by: '1' },
    { created_by: '2' },
    { created_by: '3' },
  ]
  const annotations = { 'org.opencontainers.image.title': 'T', team: 'ml' }
  await saved(repository, { ...SAVED, labels: { team: 'ml' }, history, annotations })
  const squashed = await run(repository)
  assert.deepEqual([squashed.baseLayers, squashed.squashedLayers, squashed.layers.length], [1, 3, 1])
  assert.deepEqual([squashed.baseDigest, squashed.warnings, squashed.files], [BASE_DIGEST, [], 1])
  const { manifest, config } = imageIn(repository, 'small')
  assert.equal(repository.manifests.get('small')!.descriptor.digest, squashed.digest)
  assert.deepEqual(
    manifest.layers.map(({ digest }) => digest),
    [layersOf([BASE])[0]!.descriptor.digest, squashed.layers[0]!.digest],
  )
  assert.deepEqual(manifest.annotations, { ...annotations, 'org.opencontainers.image.base.digest': BASE_DIGEST })
  assert.deepEqual(config.config.Labels, {
    team: 'ml',
    'io.tintype.base.layers': '1',
    'io.tintype.base.digest': BASE_DIGEST,
  })
  assert.equal(config.created, '2026-11-24T00:00:00Z')
  assert.deepEqual(config.rootfs.diff_ids, [layersOf([BASE])[0]!.diffID, squashed.layers[0]!.diffID])
  assert.deepEqual(config.history, [
    ...history.slice(0, 2),
    { created: '2026-11-24T00:00:00Z', created_by: 'tintype squash', comment: '3 layers squashed' },
  ])
})

test('the same image gives the same digest, and squashing it again gives that too', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository)
  const first = await run(repository)
  const second = await run(repository, { tag: 'other', reference: 'r/a:other' })
  assert.equal(second.digest, first.digest)
  const again = await run(repository, { image: { repository, tagOrDigest: 'small', text: 'r/a:small' }, tag: 'twice' })
  assert.deepEqual(
    again.layers.map(({ diffID }) => diffID),
    first.layers.map(({ diffID }) => diffID),
  )
})

test('an image that says nothing of a base becomes one layer on nothing, and that is said', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository, { tag: 'v1' })
  const squashed = await run(repository)
  assert.deepEqual([squashed.baseLayers, squashed.squashedLayers, squashed.layers.length], [0, 4, 1])
  assert.match(squashed.warnings[0]!, /all its 4 layers become one/)
  const { manifest, config } = imageIn(repository, 'small')
  assert.equal(manifest.layers.length, 1)
  assert.deepEqual(config.config.Labels, {}, 'it is a base like any other')
})

test('what the registries want their users to read is in the warnings, once', async () => {
  const repository = fakeRepository('r/a', { notices: ['r says: moves.'] })
  await saved(repository)
  assert.deepEqual((await run(repository)).warnings, ['r says: moves.'])
})

test('--onto keeps the layers of another image, and says so', async () => {
  const repository = fakeRepository('r/a')
  const base = await saved(repository, { tag: 'base' }, [BASE, OURS[0]!])
  await saved(repository, { tag: 'v1' })
  const squashed = await run(repository, { onto: { repository, tagOrDigest: 'base', text: 'r/a:base' } })
  assert.deepEqual([squashed.baseLayers, squashed.squashedLayers, squashed.warnings], [2, 2, []])
  const { manifest, config } = imageIn(repository, 'small')
  assert.deepEqual(config.config.Labels, { 'io.tintype.base.layers': '2', 'io.tintype.base.digest': base.digest })
  assert.equal(manifest.annotations?.['org.opencontainers.image.base.name'], 'r/a:base')
})

test('--onto an image between leaves what it says of the first base; below that it is said anew', async () => {
  for (const [count, expected] of [
    [2, '1'],
    [0, '0'],
  ] as const) {
    const repository = fakeRepository('r/a')
    await saved(repository)
    await saved(repository, { tag: 'base' }, [BASE, ...OURS].slice(0, count))
    await run(repository, { onto: { repository, tagOrDigest: 'base', text: 'r/a:base' } })
    assert.equal(imageIn(repository, 'small').config.config.Labels?.['io.tintype.base.layers'], expected)
  }
})

test('--onto an image on which this one was not built is refused', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository)
  await saved(repository, { tag: 'base' }, [['other']])
  const onto = { repository, tagOrDigest: 'base', text: 'r/a:base' }
  await assert.rejects(run(repository, { onto }), {
    code: 'image_unsupported',
    message: /not built on r\/a:base: its layer 1 is another/,
  })
})

test('of layers of which nothing is left, none is made', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository, SAVED, [BASE, ['a'], ['.wh.a']])
  const squashed = await run(repository)
  assert.deepEqual(squashed.layers, [])
  assert.equal(imageIn(repository, 'small').manifest.layers.length, 1)
})

test('a tag that exists is refused before a layer is read, and moved with --overwrite', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository)
  await saved(repository, { tag: 'small' }, [['other']])
  await assert.rejects(run(repository), { code: 'tag_exists' })
  assert.equal(repository.count('openBlob'), 0)
  const { digest } = await run(repository, { overwrite: true })
  assert.equal(repository.manifests.get('small')!.descriptor.digest, digest)
})

test('a tag that appears meanwhile is not moved; one that is ours is no conflict', async () => {
  for (const isOurs of [false, true]) {
    const hook: { then?: () => Promise<unknown> } = {}
    const repository: FakeRepository = fakeRepository('r/a', {
      onCall: async (call) => void (call.startsWith('pushBlob') && (await hook.then?.())),
    })
    await saved(repository)
    const { digest } = await run(repository, { tag: 'first', reference: 'r/a:first' })
    const ours = repository.manifests.get('first')!
    hook.then = async () => void repository.manifests.set('small', isOurs ? ours : repository.manifests.get('v1')!)
    if (isOurs) assert.equal((await run(repository)).digest, digest)
    else await assert.rejects(run(repository), { code: 'tag_exists' })
  }
})

const IN_PLACE = { tag: 'v1', reference: 'r/a:v1', overwrite: true, isInPlace: true }

test('in place, a tag that somebody has moved meanwhile is not taken back', async () => {
  const hook: { then?: () => Promise<unknown> } = {}
  const repository: FakeRepository = fakeRepository('r/a', {
    onCall: async (call) => void (call.startsWith('pushBlob') && (await hook.then?.())),
  })
  await saved(repository)
  const other = await saved(repository, { tag: 'newer' }, [BASE, ['newer']])
  hook.then = async () => void repository.manifests.set('v1', repository.manifests.get('newer')!)
  await assert.rejects(run(repository, IN_PLACE), { code: 'tag_exists', message: /was moved .* while it was squashed/ })
  assert.equal(repository.manifests.get('v1')!.descriptor.digest, other.digest)
})

test('in place, the tag moves to the squashed image', async () => {
  const repository = fakeRepository('r/a')
  const { digest: before } = await saved(repository)
  const squashed = await run(repository, IN_PLACE)
  assert.equal(squashed.sourceDigest, before)
  assert.equal(repository.manifests.get('v1')!.descriptor.digest, squashed.digest)
})

test('of an index the image of this machine is squashed; the index itself is not replaced', async () => {
  const repository = fakeRepository('r/a')
  const image = await saved(repository, { ...SAVED, tag: 'one' })
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [{ ...image, platform: hostPlatform() }],
  }
  await repository.putManifest(Buffer.from(JSON.stringify(index)), MEDIA_TYPES.ociIndex, { tag: 'v1' })
  assert.equal((await run(repository)).squashedLayers, 3)
  await assert.rejects(run(repository, IN_PLACE), { code: 'image_unsupported', message: /index of several platforms/ })
})

test('in another repository of the registry the base is mounted, not sent; in another registry it is streamed', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository)
  const base = layersOf([BASE])[0]!.descriptor.digest
  const beside = fakeRepository('r/b')
  await run(repository, { target: beside })
  assert.ok(beside.calls.includes(`mountBlob ${base}`))
  assert.equal(beside.count('pushBlob'), 2, 'the layer and the config')
  const elsewhere = fakeRepository('other/b')
  await run(repository, { target: elsewhere })
  assert.ok(elsewhere.blobs.has(base))
})

test('what the registry has lost is sent again, and asked for once more', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository)
  const lost = new Set<Digest>()
  let isFirst = true
  const target: FakeRepository = fakeRepository('r/b', {
    lost,
    onCall: (call) => {
      const ours = [...target.blobs.keys()].at(-1)
      if (call.startsWith('resolve') || !call.startsWith('checkBlob') || !isFirst || ours === undefined) return
      if (target.count('pushBlob') < 2) return
      isFirst = false
      for (const digest of target.blobs.keys()) lost.add(digest)
    },
  })
  const squashed = await run(repository, { target })
  assert.ok(!lost.has(squashed.layers[0]!.digest as Digest))
  assert.ok(target.manifests.has('small'))
})

test('at whatever call it is cancelled or a registry fails, no tag has moved unsaid and the spool is gone', async () => {
  const whole = fakeRepository('r/a')
  await saved(whole)
  const puts = whole.calls.length
  await run(whole)
  const calls = whole.calls.slice(puts)
  const last = calls.findIndex((call) => call.startsWith('putManifest'))
  assert.ok(last > 5)
  for (let n = 1; n <= last + 1; n++) {
    for (const how of ['cancel', 'fail'] as const) {
      const stop = new AbortController()
      let seen = -1
      const repository: FakeRepository = fakeRepository('r/a', {
        onCall: () => {
          if (seen < 0 || ++seen !== n) return
          if (how === 'cancel') return stop.abort(new AppError('cancelled', 'Cancelled by a test.'))
          throw new AppError('registry_unavailable', 'The registry is away.')
        },
      })
      await saved(repository)
      seen = 0
      const squashing = run(repository, { signal: stop.signal })
      const isTooLate = how === 'cancel' && n > last // the manifest is on its way: what happens to it is told
      if (isTooLate) await squashing
      else {
        const code = how === 'cancel' ? 'cancelled' : 'registry_unavailable'
        await assert.rejects(squashing, { code }, `${how} at ${calls[n - 1]}`)
      }
      assert.equal(repository.manifests.has('small'), isTooLate)
      assert.deepEqual(readdirSync(join(home, 'spool')), [])
    }
  }
})

test('a spool that may not be larger ends it', async () => {
  const repository = fakeRepository('r/a')
  await saved(repository)
  await assert.rejects(run(repository, { spoolBytes: 10 }), { code: 'spool_full' })
  assert.deepEqual(readdirSync(join(home, 'spool')), [])
})
