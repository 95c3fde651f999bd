/** A registry says that it has blobs, and has lost them (attacks.md A10): they are sent again, or taken again, or the tag stays. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Digest } from '#oci/digest.ts'
import { capture } from '#snapshot/capture.ts'
import type { Captured } from '#snapshot/result.ts'
import { fakeRepository, type FakeRepository } from '../support/fake-repository.ts'
import { captureOptions, stoppedSource } from '../support/stopped-capture.ts'
import { OverlayMount } from './overlay-mount.ts'

const root = mkdtempSync(join(tmpdir(), 'lost-layers-'))
after(() => rmSync(root, { recursive: true }))

/** A container with one change, its base image in one registry, and another one for what is saved. */
async function world() {
  const overlay = new OverlayMount(() => {})
  writeFileSync(join(overlay.merged, 'first'), 'first')
  const looks = new Map<string, number>()
  /** Called when one byte of a blob is asked for, with how often that was before. */
  let onLook: (digest: string, times: number) => void = () => {}
  const target = fakeRepository('r.io/target', {
    onCall(call) {
      const [, digest] = /^checkBlob (.*)$/.exec(call) ?? []
      if (digest === undefined) return
      const times = (looks.get(digest) ?? 0) + 1
      looks.set(digest, times)
      onLook(digest, times)
    },
  })
  const from = fakeRepository('other.io/base')
  const source = await stoppedSource(overlay.upper, from)
  const options = {
    ...captureOptions(target, mkdtempSync(join(root, 'home-'))),
    repositoryOf: (name: string) => Promise.resolve(name.startsWith('other.io') ? from : target),
    overwrite: true,
  }
  const [baseLayer = ''] = layersOf(from, from.manifests.keys().next().value ?? '')
  return {
    overlay,
    target,
    looks,
    baseLayer,
    save: () => capture(source, options),
    whenLooked: (call: typeof onLook) => void (onLook = call),
  }
}

function layersOf(repository: FakeRepository, tag: string): readonly Digest[] {
  const { bytes } = repository.manifests.get(tag)!
  const { layers } = JSON.parse(Buffer.from(bytes).toString()) as { layers: { digest: Digest }[] }
  return layers.map(({ digest }) => digest)
}

/** The tag stands for the image, and all its layers can be had. */
function assertWhole(target: FakeRepository, { digest }: Captured): void {
  assert.equal(target.manifests.get('v1')?.descriptor.digest, digest)
  for (const layer of layersOf(target, 'v1')) assert.ok(target.blobs.has(layer), `${layer} is there`)
}

test('what was lost after it was sent, of the base and of ours, is sent again before the manifest', async () => {
  const { overlay, target, looks, baseLayer, save, whenLooked } = await world()
  using _ = overlay
  whenLooked((digest, times) => {
    if (digest === baseLayer && times === 2) target.blobs.clear()
  })
  const captured = await save()
  assert.ok((looks.get(baseLayer) ?? 0) > 2)
  assert.equal(target.count('putManifest'), 1)
  assertWhole(target, captured)
})

test('a registry that loses whatever it is sent gets no manifest', async () => {
  const { overlay, target, baseLayer, save, whenLooked } = await world()
  using _ = overlay
  whenLooked((digest, times) => {
    if (digest === baseLayer && times >= 2) target.blobs.clear()
  })
  await assert.rejects(save(), { code: 'blob_missing' })
  assert.equal(target.count('putManifest'), 0)
})

test('a layer of the chain that goes after it was looked for makes the snapshot a full one', async () => {
  const { overlay, target, looks, save, whenLooked } = await world()
  using _ = overlay
  const first = await save()
  const [chain] = layersOf(target, 'v1').slice(-1)
  assert.ok(chain)
  writeFileSync(join(overlay.merged, 'second'), 'second')
  looks.clear()
  whenLooked((digest, times) => {
    if (digest === chain && times === 2) target.blobs.delete(chain)
  })
  const second = await save()
  assert.ok((looks.get(chain) ?? 0) > 1, 'it was there when the delta began')
  assert.deepEqual(
    [first.mode, second.mode, second.modeReason],
    ['full', 'full', 'the registry has lost a layer of the snapshots before'],
  )
  assertWhole(target, second)
})
