/** The base image's way from registry to registry, with real ones. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ensurePackages } from '#lab/packages.ts'
import { startRegistry } from '#lab/registry.ts'
import type { DistributionRegistry } from '#lab/registry.ts'
import { encodeTar, tarMember } from '#lab/tar-headers.ts'
import { mustRun } from '#lab/workspace.ts'
import { appendLayers } from '#oci/append-layers.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { openRegistryRepository } from '#registry/registry.ts'
import type { Repository } from '#registry/repository.ts'
import { findBase } from '#snapshot/base-image.ts'
import { ensureBaseLayers } from '#snapshot/base-layers.ts'
import type { BaseImage } from '#snapshot/source.ts'
import { fakeImage } from '../support/fake-image.ts'
import type { FakeImage } from '../support/fake-image.ts'

const scratch = mkdtempSync(join(tmpdir(), 'tintype-base-'))
let here: DistributionRegistry
let there: DistributionRegistry

before(async () => {
  await ensurePackages(['skopeo'])
  here = await startRegistry({ hasBlobCache: true })
  there = await startRegistry({ hasBlobCache: true })
})
after(async () => {
  await Promise.all([here.stop(), there.stop()])
  rmSync(scratch, { recursive: true, force: true })
})

const open = (name: string): Repository => {
  const slash = name.indexOf('/')
  const registry = name.slice(0, slash)
  return openRegistryRepository({ registry, repository: name.slice(slash + 1), credentials: async () => undefined })
}
const options = (onProgress?: (bytes: number) => void) => ({
  home: scratch,
  spoolDirectory: join(scratch, 'spool'),
  compression: { mediaType: MEDIA_TYPES.ociLayer, compress: (bytes: AsyncIterable<Uint8Array>) => bytes },
  repositoryOf: async (name: string) => open(name),
  ...(onProgress && { onProgress }),
})

/** Layers of real tars, so that an engine or skopeo would take them; another content for each test. */
const imageOf = (content: string) =>
  fakeImage(
    [`${content} 1`, `${content} 2`].map((name) => encodeTar([tarMember(name, { size: 100 })]).toString('latin1')),
    { isDocker: true },
  )

async function push(bytes: Uint8Array, descriptor: Descriptor, to: Repository): Promise<void> {
  const blob = {
    descriptor: Promise.resolve(descriptor),
    async *open() {
      yield bytes
    },
  }
  await to.pushBlob(blob)
}

async function pushImage(image: FakeImage, to: Repository): Promise<BaseImage> {
  for (const { bytes, descriptor } of image.layers) await push(bytes, descriptor, to)
  await push(image.config, image.configDescriptor, to)
  const { digest } = await to.putManifest(image.manifest, MEDIA_TYPES.dockerManifest, { tag: 'latest' })
  return { ...image.base, repoDigests: [{ repository: to.name, digest }] }
}

const repositoryOf = async (name: string) => open(name)

for (const [where, isMounted] of [
  ['the same registry', true],
  ['another registry', false],
] as const) {
  test(`a base in ${where} reaches the target, and the image on it can be read`, async () => {
    const from = isMounted ? here : there
    const base = await pushImage(imageOf(where), open(`${from.host}/base/image`))
    const { found, reasons } = await findBase(base, repositoryOf)
    assert.deepEqual(reasons, [])
    const target = open(`${here.host}/saves/${isMounted ? 'mounted' : 'streamed'}`)
    let sent = 0
    const image = await ensureBaseLayers(
      base,
      found,
      target,
      options((bytes) => (sent = bytes)),
    )
    const total = image.layers.reduce((sum, { size }) => sum + size, 0)
    assert.equal(sent, isMounted ? 0 : total)

    const appended = { created: '2026-11-24T10:00:00Z', createdBy: 'tintype snapshot', labels: {}, baseName: 'base' }
    const { config, manifest } = appendLayers(image, [], appended)
    await push(config.bytes, config.descriptor, target)
    await target.putManifest(manifest.bytes, manifest.descriptor.mediaType, { tag: 'v1' })
    // skopeo fetches every blob and checks its digest, and each layer's diffID.
    const into = join(scratch, target.name.replace(/\W/g, '-'))
    await mustRun('skopeo', ['copy', '--src-tls-verify=false', `docker://${target.name}:v1`, `oci:${into}:v1`])
  })
}

test('what a garbage collection took while the capture ran is sent again', async () => {
  const base = await pushImage(imageOf('collected'), open(`${there.host}/base/collected`))
  const { found } = await findBase(base, repositoryOf)
  const target = open(`${here.host}/saves/collected`)
  const { layers } = await ensureBaseLayers(base, found, target, options())
  await here.collectGarbage() // no manifest names them yet
  await ensureBaseLayers(base, found, target, options())
  for (const layer of layers) assert.ok(await target.checkBlob(layer), `${layer.digest} is there again`)
})

test('an image of the engine alone is sent once, and mounted from then on', async () => {
  const image = imageOf('exported')
  let exports = 0
  const base: BaseImage = {
    ...image.base,
    async export() {
      exports++
      return {
        config: image.config,
        async *layers() {
          for (const { tar } of image.layers) {
            yield {
              mediaType: MEDIA_TYPES.dockerLayer,
              bytes: (async function* () {
                yield tar
              })(),
            }
          }
        },
      }
    },
  }
  for (const repository of ['saves/exported', 'saves/again', 'saves/exported']) {
    const target = open(`${here.host}/${repository}`)
    const { layers } = await ensureBaseLayers(base, undefined, target, options())
    for (const layer of layers) {
      const bytes = Buffer.concat(await Array.fromAsync(target.openBlob(layer)))
      assert.ok(image.base.diffIDs.some((diffID) => diffID === digestOf(bytes)))
    }
  }
  assert.equal(exports, 1)
})
