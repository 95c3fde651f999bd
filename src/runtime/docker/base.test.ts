import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseDigest, parseDiffID } from '#oci/digest.ts'
import { describeBase } from './base.ts'
import type { ContainerInfo, ImageInfo } from './inspect.ts'

const digest = (digit: string) => parseDigest(`sha256:${digit.repeat(64)}`)
const diffIDs = ['1', '2'].map((digit) => parseDiffID(digest(digit)))

/** An overlay2 root with an init layer, two image layers and a layer of another image, and short links to each. */
function overlayRoot() {
  const root = mkdtempSync(join(tmpdir(), 'tintype-overlay2-'))
  mkdirSync(join(root, 'l'))
  for (const name of ['c-init', 'top', 'bottom', 'other']) {
    mkdirSync(join(root, name, 'diff'), { recursive: true })
    symlinkSync(`../${name}/diff`, join(root, 'l', name.toUpperCase()))
  }
  return {
    diff: (name: string) => join(root, name, 'diff'),
    link: (name: string) => join(root, 'l', name.toUpperCase()),
    [Symbol.dispose]: () => rmSync(root, { recursive: true }),
  }
}

const container = (change: Partial<ContainerInfo>): ContainerInfo => ({
  id: 'c',
  name: 'c',
  status: 'running',
  isRunning: true,
  isPaused: false,
  isUnsteady: false,
  pid: 1,
  startedAt: '',
  imageId: digest('c'),
  imageName: 'python:3.12',
  runtime: 'runc',
  storage: { driver: 'overlay2', lowerdirs: [] },
  volumes: [],
  usernsMode: '',
  hasIdMappings: false,
  ...change,
})
const image = (
  upperdir: string | undefined,
  lowerdirs: readonly string[],
  change: Partial<ImageInfo> = {},
): ImageInfo => ({
  repoDigests: [],
  diffIDs,
  labels: {},
  storage: { driver: 'overlay2', lowerdirs, ...(upperdir && { upperdir }) },
  platform: { os: 'linux', architecture: 'amd64' },
  ...change,
})

test('overlay2: the lowerdirs are the layers of the image, under the init layer', () => {
  using root = overlayRoot()
  const storage = { driver: 'overlay2', lowerdirs: ['c-init', 'top', 'bottom'].map(root.diff) }
  const mounted = ['c-init', 'top', 'bottom'].map(root.link)
  const base = describeBase('overlay2', container({ storage }), image(root.diff('top'), [root.diff('bottom')]), mounted)
  assert.deepEqual(base, {
    name: 'python:3.12',
    repoDigests: [],
    diffIDs,
    originalLayers: 2,
    platform: { os: 'linux', architecture: 'amd64' },
    configDigest: digest('c'),
  })
})

test('layers of earlier snapshots are told from the first base by the labels', () => {
  using root = overlayRoot()
  const storage = { driver: 'overlay', lowerdirs: ['top', 'bottom'].map(root.diff) }
  const originalLayers = (count: string) => {
    const info = image(root.diff('top'), [root.diff('bottom')], { labels: { 'io.tintype.base.layers': count } })
    return describeBase('podman', container({ storage }), info, storage.lowerdirs).originalLayers
  }
  assert.deepEqual(['1', '2', '3', 'x'].map(originalLayers), [1, 2, 2, 2]) // nobody has to believe a label
})

test('Podman: the same without an init layer', () => {
  using root = overlayRoot()
  const storage = { driver: 'overlay', lowerdirs: ['top', 'bottom'].map(root.diff) }
  const mounted = ['top', 'bottom'].map(root.link)
  const base = describeBase('podman', container({ storage }), image(root.diff('top'), [root.diff('bottom')]), mounted)
  assert.equal(base.configDigest, digest('c'))
})

const REFUSED: readonly (readonly [
  string,
  'overlay2' | 'podman',
  readonly string[],
  readonly string[],
  readonly string[],
])[] = [
  [
    'a layer of another image',
    'overlay2',
    ['c-init', 'other', 'bottom'],
    ['c-init', 'other', 'bottom'],
    ['top', 'bottom'],
  ],
  ['a layer too few', 'overlay2', ['c-init', 'top'], ['c-init', 'top'], ['top', 'bottom']],
  ['layers in another order', 'overlay2', ['c-init', 'bottom', 'top'], ['c-init', 'bottom', 'top'], ['top', 'bottom']],
  ['no init layer where Docker has one', 'overlay2', ['top', 'bottom'], ['top', 'bottom'], ['top', 'bottom']],
  [
    'an init layer where Podman has none',
    'podman',
    ['c-init', 'top', 'bottom'],
    ['c-init', 'top', 'bottom'],
    ['top', 'bottom'],
  ],
  [
    'the engine names other directories than the kernel',
    'overlay2',
    ['c-init', 'top', 'bottom'],
    ['c-init', 'other', 'bottom'],
    ['top', 'bottom'],
  ],
  [
    'an image with more directories than layers',
    'podman',
    ['top', 'bottom', 'other'],
    ['top', 'bottom', 'other'],
    ['top', 'bottom', 'other'],
  ],
]
for (const [reason, store, mounted, named, layers] of REFUSED)
  test(`refused: ${reason}`, () => {
    using root = overlayRoot()
    const [top = '', ...below] = layers.map(root.diff)
    const given = container({ storage: { driver: store, lowerdirs: named.map(root.diff) } })
    assert.throws(() => describeBase(store, given, image(top, below), mounted.map(root.link)), {
      code: 'overlay_unsupported',
    })
  })

test('refused: a lower layer that is not on this host', () => {
  const given = container({ storage: { driver: 'overlay', lowerdirs: ['/nowhere/a/diff'] } })
  assert.throws(() => describeBase('podman', given, image('/nowhere/a/diff', []), ['/nowhere/l/A']), {
    code: 'overlay_unsupported',
    message: /not on this host/,
  })
})

test('containerd: the manifest by digest, and as many lowerdirs as layers and the init layer', () => {
  const manifest = { digest: digest('f'), platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }
  const given = container({ manifest, storage: { driver: 'overlayfs', lowerdirs: [] } })
  const base = describeBase('containerd', given, image(undefined, []), ['/s/4/fs', '/s/2/fs', '/s/1/fs'])
  assert.equal(base.manifestDigest, digest('f'))
  assert.equal(base.configDigest, undefined)
  assert.equal(base.platform.architecture, 'arm64')
  for (const lowerdirs of [
    ['/s/2/fs', '/s/1/fs'],
    ['/s/9/fs', '/s/4/fs', '/s/2/fs', '/s/1/fs'],
  ])
    assert.throws(() => describeBase('containerd', given, image(undefined, []), lowerdirs), {
      code: 'overlay_unsupported',
    })
})

test('refused: an image of which the engine does not say enough', () => {
  const given = container({ storage: { driver: 'overlayfs', lowerdirs: [] } })
  const lowerdirs = ['/s/4/fs', '/s/2/fs', '/s/1/fs']
  const { platform: _platform, ...nowhere } = image(undefined, [])
  const manifest = { digest: digest('f') }
  const say = (message: RegExp) => ({ code: 'image_unsupported', message })
  assert.throws(() => describeBase('containerd', given, image(undefined, []), lowerdirs), say(/manifest/))
  assert.throws(() => describeBase('containerd', container({ manifest }), nowhere, lowerdirs), say(/platform/))
  const { diffIDs: _diffIDs, ...unnamed } = image(undefined, [])
  assert.throws(() => describeBase('containerd', given, { ...unnamed, diffIDs: undefined }, lowerdirs), say(/layers/))
})
