import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import type { Digest } from '#oci/digest.ts'
import type { Repository } from '#registry/repository.ts'
import { findBase } from '#snapshot/base-image.ts'
import type { BaseImage } from '#snapshot/source.ts'
import { fakeImage, storeImage } from '../support/fake-image.ts'
import type { FakeImage } from '../support/fake-image.ts'
import { fakeRepository } from '../support/fake-repository.ts'
import type { FakeRepository } from '../support/fake-repository.ts'

const NAME = 'r.io/base'
const knownAs = (image: FakeImage, more: Partial<BaseImage> = {}): BaseImage => ({
  ...image.base,
  repoDigests: [{ repository: NAME, digest: image.manifestDigest }],
  ...more,
})
const only =
  (...repositories: readonly Repository[]) =>
  (name: string): Promise<Repository> => {
    const found = repositories.find((repository) => repository.name === name)
    return found
      ? Promise.resolve(found)
      : Promise.reject(new AppError('registry_unavailable', `${name} is not there.`))
  }

async function stored(image: FakeImage, name = NAME): Promise<FakeRepository> {
  const repository = fakeRepository(name)
  await storeImage(image, repository)
  return repository
}

test('found by the digest that it was pulled by', async () => {
  for (const isDocker of [false, true]) {
    const image = fakeImage(['a', 'b'], { isDocker })
    const repository = await stored(image)
    const { found, reasons } = await findBase(knownAs(image), only(repository))
    assert.deepEqual(reasons, [])
    assert.equal(found?.repository, repository)
    assert.equal(found.image.manifestDigest, image.manifestDigest)
    assert.deepEqual(
      found.image.layers,
      image.layers.map(({ descriptor }) => descriptor),
    )
    assert.deepEqual(found.image.config.diffIDs, image.base.diffIDs)
    assert.equal(repository.count('resolve'), 0, 'no tag is looked at')
  }
})

test('found through an index, by the platform that runs', async () => {
  const image = fakeImage(['a'])
  const other = fakeImage(['for arm'])
  const repository = await stored(image)
  await storeImage(other, repository)
  const entry = ({ manifest, manifestDigest }: FakeImage, architecture: string) => ({
    mediaType: MEDIA_TYPES.ociManifest,
    digest: manifestDigest,
    size: manifest.length,
    platform: { os: 'linux', architecture },
  })
  const manifests = [entry(other, 'arm64'), entry(image, 'amd64')]
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }))
  const { digest } = await repository.putManifest(index, MEDIA_TYPES.ociIndex)
  const { found } = await findBase(knownAs(image, { repoDigests: [{ repository: NAME, digest }] }), only(repository))
  assert.equal(found?.image.manifestDigest, image.manifestDigest)

  const platform = { os: 'linux', architecture: 's390x' }
  const none = await findBase(
    knownAs(image, { repoDigests: [{ repository: NAME, digest }], platform }),
    only(repository),
  )
  assert.equal(none.found, undefined)
  assert.match(none.reasons[0]!, /no manifest for linux\/s390x; it has: linux\/arm64, linux\/amd64/)
})

test('the manifest that the engine names is asked for first, each candidate once', async () => {
  const image = fakeImage(['a'])
  const repository = await stored(image)
  const pulledBy = digestOf('an index that is gone')
  const { manifestDigest } = image
  const repoDigests = [
    { repository: NAME, digest: pulledBy },
    { repository: NAME, digest: pulledBy },
  ]
  const { found } = await findBase(knownAs(image, { manifestDigest, repoDigests }), only(repository))
  assert.ok(found)
  assert.deepEqual(repository.calls.slice(1, 2), [`getManifest ${manifestDigest}`])

  const gone = await findBase(knownAs(image, { manifestDigest: digestOf('gone'), repoDigests }), only(repository))
  assert.deepEqual(
    gone.reasons.map((reason) => reason.slice(0, reason.indexOf(': '))),
    [`${NAME}@${digestOf('gone')}`, `${NAME}@${pulledBy}`],
  )
})

test('a registry that is away is a reason; the next one has it', async () => {
  const image = fakeImage(['a'])
  const repository = await stored(image, 'second.io/base')
  const repoDigests = ['first.io/base', 'second.io/base'].map((name) => ({
    repository: name,
    digest: image.manifestDigest,
  }))
  const { found, reasons } = await findBase(knownAs(image, { repoDigests }), only(repository))
  assert.equal(found?.repository, repository)
  assert.deepEqual(reasons, [`first.io/base@${image.manifestDigest}: first.io/base is not there.`])
})

test('an image that no registry knows', async () => {
  assert.deepEqual(await findBase(fakeImage(['a']).base, only()), { reasons: [] })
})

const digest = digestOf('x')
const WRONG: readonly [
  reason: string,
  sentence: RegExp,
  change: (image: FakeImage, repository: FakeRepository) => Partial<BaseImage>,
][] = [
  ['another config', /Its config is sha256.* the container runs on/, () => ({ configDigest: digest })],
  ['other layers', /Its layers are not those/, () => ({ diffIDs: fakeImage(['a', 'c']).base.diffIDs })],
  ['more layers', /Its layers are not those/, (image) => ({ diffIDs: [...image.base.diffIDs, ...image.base.diffIDs] })],
  ['no such manifest', /has no sha256/, () => ({ repoDigests: [{ repository: NAME, digest }] })],
  [
    'a config that is gone',
    /has no blob/,
    ({ configDescriptor }, { blobs }) => {
      blobs.delete(configDescriptor.digest)
      return {}
    },
  ],
  [
    'a config of other bytes',
    /sent other bytes/,
    ({ configDescriptor }, { blobs }) => {
      blobs.set(configDescriptor.digest, Buffer.from('{}'))
      return {}
    },
  ],
  [
    'a manifest of the old schema',
    /schema 1/,
    ({ manifestDigest, manifest }, { manifests }) => {
      const mediaType = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
      manifests.set(manifestDigest, { bytes: manifest, descriptor: { mediaType, digest: manifestDigest, size: 1 } })
      return {}
    },
  ],
  [
    'a config that is said to be huge',
    /more than 4 MiB/,
    ({ manifest }, repository) => ({ repoDigests: [{ repository: NAME, digest: hugeConfig(manifest, repository) }] }),
  ],
]

function hugeConfig(manifest: Buffer, { manifests, blobs }: FakeRepository): Digest {
  const json = JSON.parse(manifest.toString()) as { config: { digest: Digest; size: number } }
  blobs.delete(json.config.digest)
  json.config.size = 5 * 1024 * 1024
  const bytes = Buffer.from(JSON.stringify(json))
  const descriptor = { mediaType: MEDIA_TYPES.ociManifest, digest: digestOf(bytes), size: bytes.length }
  manifests.set(descriptor.digest, { descriptor, bytes })
  return descriptor.digest
}

for (const [reason, sentence, change] of WRONG) {
  test(`not the base: ${reason}`, async () => {
    const image = fakeImage(['a', 'b'])
    const repository = await stored(image)
    const { found, reasons } = await findBase(knownAs(image, change(image, repository)), only(repository))
    assert.equal(found, undefined)
    assert.equal(reasons.length, 1)
    assert.match(reasons[0]!, sentence)
  })
}

test('a cancel is not a reason', async () => {
  const image = fakeImage(['a'])
  const abort = new AbortController()
  const repository = fakeRepository(NAME, { onCall: () => abort.abort() })
  await assert.rejects(findBase(knownAs(image), only(repository), { signal: abort.signal }), { code: 'cancelled' })
  await assert.rejects(findBase(knownAs(image), only(repository), { signal: abort.signal }), { code: 'cancelled' })
  assert.equal(repository.calls.length, 1)
})

test('a mistake of ours is not a reason', async () => {
  const repository = fakeRepository(NAME, {
    onCall: () => {
      throw new TypeError('a bug')
    },
  })
  await assert.rejects(findBase(knownAs(fakeImage(['a'])), only(repository)), TypeError)
})
