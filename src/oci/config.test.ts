import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { originalBase, parseConfig } from './config.ts'
import { digestOf } from './digest.ts'

const DIFF_IDS = ['a', 'b'].map((text) => digestOf(text))
const config = {
  architecture: 'arm64',
  variant: 'v8',
  os: 'linux',
  config: { Env: ['A=1'], Labels: { k: 'v' } },
  rootfs: { type: 'layers', diff_ids: DIFF_IDS },
  history: [{ created_by: 'x' }, { created_by: 'y', empty_layer: true }, {}],
}
const encode = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const withLabels = (Labels: unknown) => parseConfig(encode({ ...config, config: { Labels } }))

test('config: what is needed, and all of it', () => {
  const unknown = { ...config, 'os.features': ['x'], 'x-vendor': { deep: [1, null, true] } }
  const parsed = parseConfig(encode(unknown))
  assert.deepEqual(parsed.platform, { os: 'linux', architecture: 'arm64', variant: 'v8' })
  assert.deepEqual(parsed.diffIDs, DIFF_IDS)
  assert.deepEqual(parsed.labels, { k: 'v' })
  assert.equal(parsed.history.length, 3)
  assert.equal(JSON.stringify(parsed.json), JSON.stringify(unknown))
})

test('config: what may be missing is missing', () => {
  const { architecture, os } = config
  const parsed = parseConfig(encode({ architecture, os, rootfs: { type: 'layers', diff_ids: null }, config: null }))
  assert.deepEqual([parsed.diffIDs, parsed.labels, parsed.history], [[], {}, []])
  assert.deepEqual(parsed.platform, { os: 'linux', architecture: 'arm64' })
})

test('config: a number that fits is kept, as a health check’s nanoseconds', () => {
  const Healthcheck = { Interval: 86_400_000_000_000 }
  const parsed = parseConfig(encode({ ...config, config: { Healthcheck } }))
  assert.deepEqual(parsed.json['config'], { Healthcheck })
})

const REFUSED: readonly [json: unknown, sentence: RegExp, reason: string][] = [
  [{ ...config, rootfs: undefined }, /rootfs is not an object/, 'no rootfs'],
  [{ ...config, rootfs: { type: 'base', diff_ids: [] } }, /not made of layers/, 'another kind of rootfs'],
  [{ ...config, rootfs: { type: 'layers', diff_ids: ['sha256:1'] } }, /diff_id/, 'a short diffID'],
  [{ ...config, rootfs: { type: 'layers', diff_ids: [null] } }, /diff_id is not text/, 'a diffID that is null'],
  [{ ...config, rootfs: { type: 'layers', diff_ids: 'x' } }, /not a list/, 'diffIDs that are no list'],
  [{ ...config, os: undefined }, /os is not text/, 'no os'],
  [{ ...config, architecture: 1 }, /architecture is not text/, 'an architecture that is a number'],
  [{ ...config, config: { Labels: { a: 1 } } }, /labels is not text/, 'a label that is a number'],
  [{ ...config, history: ['x'] }, /history is not an object/, 'a history of text'],
  ['{"os":"linux","x":9007199254740993}', /too large a number/, 'a number that would be rounded'],
  ['[]', /not an object/, 'a list'],
  ['', /not JSON/, 'nothing'],
]
for (const [json, sentence, reason] of REFUSED) {
  test(`no config: ${reason}`, () => {
    assert.throws(
      () => parseConfig(encode(json)),
      (error) => error instanceof AppError && error.code === 'image_unsupported' && sentence.test(error.message),
    )
  })
}

const DIGEST = digestOf('manifest')
const DIGEST_LABEL = 'io.tintype.base.digest'
const LAYERS_LABEL = 'io.tintype.base.layers'
const BASES: readonly [labels: unknown, expected: ReturnType<typeof originalBase>, reason: string][] = [
  [{ [LAYERS_LABEL]: '1', [DIGEST_LABEL]: DIGEST }, { layers: 1, digest: DIGEST }, 'both labels'],
  [{ [LAYERS_LABEL]: '2' }, { layers: 2 }, 'an image that was in no registry'],
  [{ [LAYERS_LABEL]: '0' }, { layers: 0 }, 'an empty base'],
  [{ [LAYERS_LABEL]: '3' }, undefined, 'more layers than there are'],
  [{ [LAYERS_LABEL]: '-1' }, undefined, 'fewer layers than none'],
  [{ [LAYERS_LABEL]: '1.5' }, undefined, 'half a layer'],
  [{ [LAYERS_LABEL]: '' }, undefined, 'an empty label'],
  [{ [LAYERS_LABEL]: '1', [DIGEST_LABEL]: 'x' }, undefined, 'a digest that is none'],
  [{ [DIGEST_LABEL]: DIGEST }, undefined, 'no number of layers'],
  [{}, undefined, 'an image that is not ours'],
  [null, undefined, 'no labels at all'],
]
for (const [labels, expected, reason] of BASES) {
  test(`original base: ${reason}`, () => assert.deepEqual(originalBase(withLabels(labels)), expected))
}

test('property: any document is taken or refused by name', () => {
  const part = fc.oneof(fc.jsonValue(), fc.constantFrom(...Object.values(config)))
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...Object.keys(config), '__proto__'), part), (json) => {
      try {
        originalBase(parseConfig(encode({ ...config, ...json })))
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'image_unsupported', String(error))
      }
    }),
    { numRuns: 1000 },
  )
})
