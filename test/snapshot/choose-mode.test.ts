/** Full or delta, and why: each reason that a result can give, over an index on disk and repositories in memory. */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { Digest } from '#oci/digest.ts'
import { chooseMode, type Mode, type ModeParts } from '#snapshot/chain/choose-mode.ts'
import { clockState, identityOf } from '#snapshot/chain/index-store.ts'
import type { Chain } from '#snapshot/chain/record.ts'
import { fakeRepository, type FakeOptions, type FakeRepository } from '../support/fake-repository.ts'
import { chainLayer, chainOf, openIndexLab, REPOSITORY, sourceOf, storeIndex } from '../support/stored-index.ts'
import type { IndexLab, StoredParts } from '../support/stored-index.ts'

const MB = 1 << 20
const HOUR_MS = 3_600_000

/** The repository that earlier snapshots went to, with their layers. */
function chainRepository(options: FakeOptions = {}): FakeRepository {
  const repository = fakeRepository(REPOSITORY, options)
  for (const content of ['first', 'second'])
    repository.blobs.set(chainLayer(content).descriptor.digest, Buffer.from(content))
  return repository
}

interface Choice {
  readonly stored?: StoredParts
  readonly parts?: Partial<ModeParts>
  readonly source?: (lab: IndexLab) => IndexLab['source']
  readonly target?: FakeRepository
  /** What `repositoryOf` gives for the chain's repository. */
  readonly chain?: FakeRepository | AppError
  /** After the index was kept. */
  readonly spoil?: (lab: IndexLab) => void
}

async function choose(choice: Choice, look: (mode: Mode) => void | Promise<void>): Promise<void> {
  using lab = openIndexLab()
  await storeIndex(lab, choice.stored)
  choice.spoil?.(lab)
  const chain = choice.chain ?? chainRepository()
  const repositoryOf = async (name: string) => {
    if (chain instanceof AppError) throw chain
    assert.equal(name, REPOSITORY)
    return chain
  }
  const target = choice.target ?? (chain instanceof AppError ? chainRepository() : chain)
  const mode = await chooseMode(choice.source?.(lab) ?? lab.source, {
    exclusions: [],
    home: lab.home,
    isFrozen: true,
    destination: { target, repositoryOf },
    ...choice.parts,
  })
  await using _index = mode.mode === 'delta' ? mode.index : undefined
  await look(mode)
}

test('the changes since the snapshot before, whose layers are in the repository', () =>
  choose({ stored: { record: { takenAtMs: Date.UTC(2026, 10, 24, 18) } } }, (mode) => {
    assert.deepEqual([mode.mode, mode.reason], ['delta', 'changes since the snapshot of 2026-11-24T18:00:00.000Z'])
    assert.ok(mode.mode === 'delta')
    assert.equal(mode.doubtMicros, 0)
    assert.equal(mode.index.record.chain.layers.length, 2)
  }))

/** A clock that shows another time than the machine's. */
const clock = (offMs: number) => ({ ...systemClock, wallMs: () => systemClock.wallMs() + offMs })
const anotherBoot = { ...clockState(), bootId: 'another boot' }
const layersOf = (count: number): Partial<Chain> => ({
  layers: Array.from({ length: count }, () => chainLayer('first')),
})

const FULL: readonly (readonly [why: string, choice: Choice, reason: string | RegExp])[] = [
  [
    'the first snapshot',
    { spoil: ({ home }) => rmSync(`${home}/index`, { recursive: true }) },
    'first snapshot of this container',
  ],
  ['another container', { source: ({ source }) => ({ ...source, containerId: 'beef' }) }, /^first snapshot/],
  ['--full', { parts: { fullReason: 'asked for with --full' } }, 'asked for with --full'],
  ['--no-freeze', { parts: { isFrozen: false } }, 'asked for with --no-freeze, which no index can follow'],
  [
    'other exclusions',
    { parts: { exclusions: ['/cache'] } },
    'the exclusions are others than those of the snapshots before',
  ],
  [
    'another base',
    { source: ({ source }) => sourceOf(source.upperdir, source.containerId, 'another') },
    /^the container/,
  ],
  [
    'an upperdir that was made anew',
    {
      spoil: ({ source }) => {
        // Before the old one goes: else it may get the same number, and in the same tick of the clock the same birth.
        mkdirSync(`${source.upperdir}-new`)
        rmSync(source.upperdir, { recursive: true })
        renameSync(`${source.upperdir}-new`, source.upperdir)
      },
    },
    'the container was made anew, or its base image is another',
  ],
  [
    'a clock that was set back an hour since',
    { parts: { clock: clock(-HOUR_MS) } },
    'the clock was set back since the snapshot before',
  ],
  [
    'a clock that was set back by more than it is read exactly',
    { parts: { clock: clock(-100) }, stored: { record: { takenAtMs: 1 } } },
    'the clock was set back since the snapshot before',
  ],
  [
    'a clock that shows a time before the snapshot after a reboot',
    { parts: { clock: clock(-HOUR_MS) }, stored: { record: { clock: anotherBoot } } },
    'the clock was set back since the snapshot before',
  ],
  ['eight captures', { stored: { chain: chainOf({ captures: 8 }) } }, '8 snapshots lie on the last full one already'],
  ['24 layers', { stored: { chain: chainOf(layersOf(24)) } }, '24 layers lie on the base image already'],
  [
    'more than a quarter and more than 64 MiB superseded',
    { stored: { chain: chainOf({ contentBytes: 194 * MB, writtenBytes: 260 * MB }) } },
    '66 MiB in the layers before are no longer there',
  ],
  [
    'another registry',
    { target: fakeRepository('other.test/team/image') },
    'the snapshots before are in another registry',
  ],
  ['a layout instead of a registry', { target: fakeRepository('/var/images') }, /another registry$/],
  [
    'a registry instead of a layout',
    { stored: { chain: chainOf({ repository: '/var/images' }) } },
    'the snapshots before are in another registry',
  ],
]
for (const [why, choice, reason] of FULL)
  test(`full: ${why}`, () =>
    choose(choice, (mode) => {
      assert.equal(mode.mode, 'full')
      if (typeof reason === 'string') assert.equal(mode.reason, reason)
      else assert.match(mode.reason, reason)
    }))

const DELTA: readonly (readonly [why: string, choice: Choice])[] = [
  ['seven captures', { stored: { chain: chainOf({ captures: 7 }) } }],
  ['23 layers', { stored: { chain: chainOf(layersOf(23)) } }],
  [
    'less than a quarter superseded',
    { stored: { chain: chainOf({ contentBytes: 800 * MB, writtenBytes: 1000 * MB }) } },
  ],
  ['64 MiB superseded', { stored: { chain: chainOf({ contentBytes: 0, writtenBytes: 64 * MB }) } }],
  ['a clock that was set forward', { parts: { clock: clock(HOUR_MS) } }],
]
for (const [why, choice] of DELTA)
  test(`delta: ${why}`, () =>
    choose(choice, (mode) => assert.deepEqual([mode.mode, mode.reason.slice(0, 13)], ['delta', 'changes since'])))

test('after a reboot what changed in the last two minutes before is read again', () =>
  choose({ stored: { record: { clock: anotherBoot } } }, (mode) =>
    assert.equal(mode.mode === 'delta' && mode.doubtMicros, 120_000_000),
  ))

const GONE = 'a layer of the snapshots before is gone from the registry'
const second = chainLayer('second').descriptor.digest
const without = (digest: Digest) => {
  const repository = chainRepository()
  repository.blobs.delete(digest)
  return repository
}

for (const fullReason of [undefined, 'asked for with --full'])
  test(`full, and what runtimes have left is known still: ${fullReason ?? 'too many captures'}`, () => {
    const chain = fullReason === undefined ? chainOf({ captures: 8 }) : chainOf({})
    const parts = fullReason === undefined ? {} : { fullReason }
    return choose({ stored: { chain, record: { stubs: ['/usr/lib/libcuda.so.1'] } }, parts }, (mode) =>
      assert.deepEqual(mode.mode === 'full' && mode.stubs, ['/usr/lib/libcuda.so.1']),
    )
  })

test('full: a layer of the chain is gone from its repository', () =>
  choose({ chain: without(second) }, (mode) => assert.deepEqual(mode, { mode: 'full', reason: GONE })))

test('full: a layer of the chain is lost, though the registry says that it has it', () =>
  choose({ chain: chainRepository({ lost: new Set([second]) }) }, (mode) =>
    assert.deepEqual(mode, { mode: 'full', reason: GONE }),
  ))

test('another repository of the registry: the layers are mounted, and nothing is sent', () => {
  const target = fakeRepository('registry.test/team/other')
  const chain = chainRepository()
  return choose({ target, chain }, (mode) => {
    assert.equal(mode.mode, 'delta')
    assert.deepEqual([target.count('mountBlob'), target.count('pushBlob'), chain.count('openBlob')], [2, 0, 0])
    assert.deepEqual(target.blobs, chain.blobs)
  })
})

test('another repository that has the layers already: nothing is mounted', () => {
  const target = fakeRepository('registry.test/team/other')
  for (const [digest, bytes] of chainRepository().blobs) target.blobs.set(digest, bytes)
  return choose({ target }, (mode) => {
    assert.equal(mode.mode, 'delta')
    assert.deepEqual([target.count('mountBlob'), target.count('pushBlob')], [0, 0])
  })
})

const ELSEWHERE: readonly (readonly [why: string, chain: Choice['chain'] & {}, reason: string])[] = [
  ['a layer is gone there', without(second), GONE],
  ['a layer is lost there, and mounts all the same', chainRepository({ lost: new Set([second]) }), GONE],
  [
    'it may not be read any more',
    chainRepository({
      onCall: () => {
        throw new AppError('registry_denied', 'pull access denied')
      },
    }),
    'the repository of the snapshots before cannot be read (pull access denied)',
  ],
  [
    'there are no credentials for it any more',
    new AppError('registry_denied', 'log in first'),
    'the repository of the snapshots before cannot be read (log in first)',
  ],
]
for (const [why, chain, reason] of ELSEWHERE)
  test(`full: to another repository, and of the chain's ${why}`, () => {
    const lost = chain instanceof AppError ? undefined : chain
    const target = fakeRepository('registry.test/team/other')
    target.mountBlob = async () => lost !== undefined && lost.blobs.size === 0
    return choose({ target, chain }, (mode) => assert.deepEqual(mode, { mode: 'full', reason }))
  })

test('a target that does not answer fails the snapshot: full would not help', async () => {
  const target = fakeRepository('registry.test/team/other', {
    onCall: () => {
      throw new AppError('registry_unavailable', 'off')
    },
  })
  await assert.rejects(
    choose({ target }, () => {}),
    { code: 'registry_unavailable' },
  )
})

test('a target that denies fails the snapshot with what it says', async () => {
  const target = fakeRepository(REPOSITORY, {
    onCall: () => {
      throw new AppError('registry_denied', 'push access denied')
    },
  })
  await assert.rejects(
    choose({ target, chain: chainRepository() }, () => {}),
    { message: 'push access denied' },
  )
})

test('a cancel while the layers are looked for ends it', async () => {
  const stop = new AbortController()
  const chain = chainRepository({ onCall: () => stop.abort(new AppError('cancelled', 'Enough.')) })
  const destination = { target: chain, repositoryOf: async () => chain, signal: stop.signal }
  await assert.rejects(
    choose({ parts: { destination } }, () => {}),
    { code: 'cancelled' },
  )
})

test('the preview chooses the same without asking the registry', async () => {
  using lab = openIndexLab()
  await storeIndex(lab)
  const mode = await chooseMode(lab.source, { exclusions: [], home: lab.home, isFrozen: true })
  await using _index = mode.mode === 'delta' ? mode.index : undefined
  assert.equal(mode.mode, 'delta')
  assert.deepEqual(identityOf(lab.source, []), mode.mode === 'delta' && mode.index.record.identity)
})
