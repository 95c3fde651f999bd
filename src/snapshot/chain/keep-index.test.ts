import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf, parseDiffID } from '#oci/digest.ts'
import type { OpenCapture } from '#snapshot/open-capture.ts'
import { keepIndex, sealIndex, type KeptParts } from './keep-index.ts'
import type { ChainLayer, IndexRecord } from './record.ts'

const DIGEST = digestOf('body')
const SAVED = { event: 'saved', rows: 3, nameBytes: 9, contentBytes: 70, writtenBytes: 50 } as const
const CLOCK = { bootId: 'boot', offsetMs: 1_000 }

const layer = (content: string): ChainLayer => ({
  descriptor: { mediaType: MEDIA_TYPES.ociLayerGzip, digest: digestOf(content), size: content.length },
  diffID: parseDiffID(digestOf(`tar of ${content}`)),
  rawBytes: 512,
  created: '2026-11-24T10:00:00.000Z',
})

/** A capture that has come to its end, and what it has kept. */
function ended(
  more: { fails?: Error; sealFails?: Error; keepFails?: Error; before?: Partial<IndexRecord['chain']> } = {},
) {
  const { fails, sealFails, keepFails, before } = more
  const kept: unknown[] = []
  const warnings: string[] = []
  const home = mkdtempSync(join(tmpdir(), 'keep-index-'))
  const answer = async (error: Error | undefined, value?: unknown) => {
    if (error) throw error
    return value
  }
  const run = {
    next: {
      seal: () => answer(sealFails, DIGEST),
      keep: async (...args: unknown[]) => {
        await answer(keepFails)
        kept.push(args)
      },
    },
    reader: { run: () => answer(fails, SAVED) },
    identity: { exclusions: ['/met', '/unmet'] },
    clock: CLOCK,
    stubs: ['/stub'],
    options: { home, target: { name: 'registry.test/image' } },
    mode: before ? { mode: 'delta', index: { record: { chain: before } } } : { mode: 'full' },
    warnings,
  }
  return {
    run: run as unknown as OpenCapture,
    kept,
    warnings,
    [Symbol.dispose]: () => rmSync(home, { recursive: true }),
  }
}

/** On a base of four layers; `squashed`: what was new and before it has become one layer on the lowest of them. */
async function keep(run: OpenCapture, before: readonly ChainLayer[] = [], squashed?: object): Promise<void> {
  const { descriptor, diffID, rawBytes } = layer('new')
  const created = '2026-11-25T10:00:00.000Z'
  const sealed = await sealIndex(run)
  const base = { layers: squashed ? [1] : [1, 2, 3, 4] }
  const stack = { base, earlier: before, made: [{ descriptor, diffID, rawBytes }], squashed }
  const parts = { sealed, stack, created, takenAtMs: 77, report: REPORT }
  await keepIndex(run, parts as unknown as KeptParts)
}
const REPORT = { event: 'report', unusedExclusions: ['/unmet'] }

test('after a full capture the chain is what it has written', async () => {
  using world = ended()
  await keep(world.run)
  const [[record, sealed]] = world.kept as [[Partial<IndexRecord>, unknown]]
  assert.deepEqual(record.chain, {
    repository: 'registry.test/image',
    captures: 1,
    baseLayers: 4,
    layers: [{ ...layer('new'), created: '2026-11-25T10:00:00.000Z' }],
    contentBytes: 70,
    writtenBytes: 50,
  })
  assert.deepEqual([record.metExclusions, record.stubs, record.takenAtMs], [['/met'], ['/stub'], 77])
  assert.deepEqual(sealed, { ...SAVED, digest: DIGEST })
  assert.deepEqual(world.warnings, [])
})

test('after a delta the chain is longer, and wherever the image went is its repository', async () => {
  const layers = [layer('first')]
  using world = ended({ before: { repository: 'old', captures: 2, layers, contentBytes: 60, writtenBytes: 500 } })
  await keep(world.run, layers)
  const [[{ chain }]] = world.kept as [[IndexRecord]]
  assert.deepEqual(
    [chain.repository, chain.captures, chain.contentBytes, chain.writtenBytes],
    ['registry.test/image', 3, 70, 550],
  )
  assert.deepEqual(
    chain.layers.map(({ created, descriptor }) => [created, descriptor.digest]),
    [
      ['2026-11-24T10:00:00.000Z', digestOf('first')],
      ['2026-11-25T10:00:00.000Z', digestOf('new')],
    ],
  )
})

test('after a squash the chain is what its layers became, on the first base, and nothing in it is superseded', async () => {
  const layers = [layer('first')]
  using world = ended({ before: { repository: 'old', captures: 2, layers, contentBytes: 60, writtenBytes: 500 } })
  await keep(world.run, [], { layers: 5, reason: 'enough', uploadedBytes: 1 })
  const [[{ chain }]] = world.kept as [[IndexRecord]]
  assert.deepEqual([chain.captures, chain.baseLayers, chain.contentBytes, chain.writtenBytes], [3, 1, 70, 70])
  assert.deepEqual(
    chain.layers.map(({ descriptor }) => descriptor.digest),
    [digestOf('new')],
  )
})

test('the clock of an index is that of before the capture has read anything', async () => {
  using world = ended()
  await keep(world.run)
  const [[{ clock }]] = world.kept as [[IndexRecord]]
  assert.deepEqual(clock, CLOCK)
})

const full = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
const FAILURES: readonly (readonly [what: string, more: Parameters<typeof ended>[0], warning: RegExp])[] = [
  ['the reader has no room', { fails: new AppError('spool_full', 'Full.') }, /was not kept: Full\.$/],
  [
    'the disk fills up while the body is sealed',
    { sealFails: full() },
    /it has no room: free space in TINTYPE_HOME\.$/,
  ],
  [
    'the disk is full when the record is written',
    { keepFails: full() },
    /it has no room: free space in TINTYPE_HOME\.$/,
  ],
  ['something else', { keepFails: new Error('odd') }, /was not kept: Unexpected: odd$/],
]
for (const [what, more, warning] of FAILURES)
  test(`the image is whole without an index, and the result says why there is none: ${what}`, async () => {
    using world = ended(more)
    await keep(world.run)
    assert.equal(world.kept.length, 0)
    assert.equal(world.warnings.length, 1)
    assert.match(world.warnings[0]!, warning)
  })

test('where no index can be kept, the reader is not asked for one', async () => {
  using world = ended({ fails: new Error('asked') })
  const run = { ...world.run, next: undefined }
  await keep(run)
  assert.deepEqual(world.warnings, [])
})
