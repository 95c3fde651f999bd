import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { forEachStore } from '#lab/stores.ts'
import { openImages } from './images.ts'
import type { AddImage } from './images.ts'
import { parseKeys, parseLabelFilter } from './labels.ts'

const NEW: AddImage = {
  name: 'app',
  description: '',
  uri: 'r.example.com/team/app:v1',
  accessibility: 'PRIVATE',
  sizeBytes: 0,
  sourceType: 'Import',
  sourceId: '',
  labels: [{ key: 'os', value: 'debian' }],
}
const ACCOUNT = { userId: '1', seesAll: true }
const ANN = { userId: '7', seesAll: false }
const BOB = { userId: '8', seesAll: false }
const ALL = { labels: [], descending: false, offset: 0, limit: 10 }

forEachStore('the catalogue of images', (open) => {
  const setUp = async () => openImages({ images: (await open()).images, clock: systemClock })

  test('a private image is its owner’s and the account’s; nobody else knows of it', async () => {
    const images = await setUp()
    const imageId = await images.add(NEW, ANN)
    assert.match(imageId, /^image-[a-z0-9]{18}$/)
    assert.deepEqual((await images.get(imageId, ANN)).labels, NEW.labels)
    assert.equal((await images.get(imageId, ACCOUNT)).image.userId, '7')
    const calls = [
      () => images.get(imageId, BOB),
      () => images.remove(imageId, BOB),
      () => images.publish(imageId, BOB),
      () => images.addLabels(imageId, [], BOB),
      () => images.removeLabels(imageId, ['os'], BOB),
      () => images.get('image-unknown', ANN),
    ]
    for (const call of calls) await assert.rejects(call, { code: 'image_not_found' })
    assert.equal((await images.list(ALL, BOB)).total, 0)
    assert.deepEqual(await images.listLabels({ labels: [] }, BOB), [])
  })

  test('a published image is seen by all, and changed by its owner', async () => {
    const images = await setUp()
    const imageId = await images.add(NEW, ANN)
    await images.publish(imageId, ANN)
    assert.equal((await images.list(ALL, BOB)).images[0]?.image.imageId, imageId)
    for (const call of [() => images.remove(imageId, BOB), () => images.addLabels(imageId, [], BOB)])
      await assert.rejects(call, { code: 'permission_denied' })
    await images.addLabels(imageId, [{ key: 'gpu', value: 'yes' }], ANN)
    await images.removeLabels(imageId, ['os'], ACCOUNT)
    assert.deepEqual((await images.get(imageId, BOB)).labels, [{ key: 'gpu', value: 'yes' }])
    await images.remove(imageId, ANN)
    await assert.rejects(images.get(imageId, ANN), { code: 'image_not_found' })
  })

  test('what is refused, with the field’s name', async () => {
    const images = await setUp()
    await images.add({ ...NEW, imageId: 'image-aaaaaaaaaaaaaaaaaa' }, ANN)
    const refused: readonly (readonly [Partial<AddImage>, string, RegExp])[] = [
      [{}, 'name_taken', /^Name/],
      [{ name: 'other', imageId: 'image-aaaaaaaaaaaaaaaaaa' }, 'name_taken', /^ImageId/],
      [{ name: 'other', userId: '8' }, 'parameter_invalid', /^UserId/],
      [{ name: 'other', uri: 'https://x/y' }, 'parameter_invalid', /^ImageUri/],
      [{ name: 'other', labels: [{ key: '', value: '' }] }, 'parameter_invalid', /^Labels/],
      [{ name: 'other', labels: [{ key: 'a', value: '\u001b[0m' }] }, 'parameter_invalid', /^Labels/],
      [{ name: 'other', labels: [{ key: 'system.official', value: 'true' }] }, 'parameter_invalid', /^Labels/],
    ]
    for (const [change, code, message] of refused)
      await assert.rejects(images.add({ ...NEW, ...change }, ANN), { code, message })
    assert.equal((await images.list(ALL, ACCOUNT)).total, 1)
    const official = { ...NEW, name: 'official', userId: '8', labels: [{ key: 'system.official', value: 'true' }] }
    assert.equal((await images.get(await images.add(official, ACCOUNT), BOB)).image.userId, '8')
  })
})

test('label filters', () => {
  assert.deepEqual(parseLabelFilter('Labels', undefined), [])
  assert.deepEqual(parseLabelFilter('Labels', 'a=1, b=x=y,'), [
    { key: 'a', value: '1' },
    { key: 'b', value: 'x=y' },
  ])
  for (const text of ['a', '=1']) assert.throws(() => parseLabelFilter('Labels', text), { message: /^Labels must be/ })
  assert.deepEqual(parseKeys('a, b,,'), ['a', 'b'])
  assert.equal(parseKeys(' '), undefined)
})
