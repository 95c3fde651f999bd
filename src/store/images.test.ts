import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachStore } from '#lab/stores.ts'
import type { ImageSearch } from './image-search.ts'
import type { NewImage } from './images.ts'

const NEW: NewImage = {
  imageId: 'image-1',
  workspaceId: '1',
  userId: '7',
  name: 'app',
  description: '',
  uri: 'r.example.com/app:v1',
  accessibility: 'PRIVATE',
  sizeBytes: 5_000_000_000,
  sourceType: 'Import',
  sourceId: '',
  fromSnapshot: false,
  labels: [{ key: 'system.supported.dsw', value: 'true' }],
}
const ALL: ImageSearch = { visibleTo: undefined, labels: [], descending: false, offset: 0, limit: 10 }

forEachStore('images', (open) => {
  test('an image is entered, found, published and removed', async () => {
    const { images } = await open()
    assert.equal(await images.insert(NEW, 1_000), true)
    const { labels: _, ...rest } = NEW
    assert.deepEqual(await images.find('image-1'), { ...rest, createdMs: 1_000, modifiedMs: 1_000 })
    assert.equal(await images.setAccessibility('image-1', 'PUBLIC', 2_000), true)
    assert.equal(await images.setAccessibility('image-9', 'PUBLIC', 2_000), false)
    assert.deepEqual((await images.find('image-1'))?.modifiedMs, 2_000)
    assert.equal(await images.remove('image-1'), true)
    assert.equal(await images.remove('image-1'), false)
    assert.equal((await images.labelsOf(['image-1'])).size, 0, 'its labels go with it')
  })

  test('names are unique in a workspace, but for images of snapshots; ids always', async () => {
    const { images } = await open()
    await images.insert(NEW, 1_000)
    assert.equal(await images.insert({ ...NEW, imageId: 'image-2' }, 1_000), false)
    assert.equal(await images.insert({ ...NEW, name: 'other' }, 1_000), false, 'the id is taken')
    assert.equal(await images.insert({ ...NEW, imageId: 'image-3', workspaceId: '2' }, 1_000), true)
    assert.equal(await images.insert({ ...NEW, imageId: 'image-4', fromSnapshot: true }, 1_000), true)
    assert.equal(await images.insert({ ...NEW, imageId: 'image-5', fromSnapshot: true }, 1_000), true)
  })

  test('labels are added, replaced and removed', async () => {
    const { images } = await open()
    await images.insert(NEW, 1_000)
    const change = [
      { key: 'system.supported.dsw', value: 'false' },
      { key: 'b', value: '' },
      { key: 'b', value: 'last' },
    ]
    assert.equal(await images.addLabels('image-1', change, 2_000), true)
    assert.equal(await images.addLabels('image-9', change, 2_000), false)
    assert.deepEqual((await images.labelsOf(['image-1', 'image-9'])).get('image-1'), [
      { key: 'b', value: 'last' },
      { key: 'system.supported.dsw', value: 'false' },
    ])
    assert.equal(await images.removeLabels('image-1', ['b', 'c']), 1)
    assert.deepEqual((await images.labelsOf([])).size, 0)
  })

  const SEARCHES: readonly (readonly [string, Partial<ImageSearch>, string])[] = [
    ['everything, oldest first', {}, 'a b c d e'],
    ['newest first', { descending: true }, 'e d c b a'],
    ['a page', { offset: 1, limit: 2 }, 'b c'],
    ['of one workspace', { workspaceId: '2' }, 'd'],
    ['what a user may see: own and public ones', { visibleTo: '8' }, 'b d e'],
    ['private ones, and the official ones (dsw-api §2)', { accessibility: 'PRIVATE' }, 'a c d e'],
    ['by reference', { uri: 'r.example.com/b:1' }, 'b'],
    ['by a part of the name, in any case', { name: 'TORCH' }, 'a b'],
    ['an underscore in a name stands for itself', { name: 'torch_' }, ''],
    ['a percent sign stands for itself', { query: '100%' }, 'c'],
    ['by name or description', { query: 'cuda' }, 'b c'],
    ['by a label', { labels: [{ key: 'gpu', value: 'yes' }] }, 'a b'],
    ['by two labels: both', { labels: [{ key: 'gpu', value: 'yes' }, { key: 'os', value: 'x' }] }, 'b'], // prettier-ignore
    ['by a label with another value', { labels: [{ key: 'gpu', value: 'no' }] }, ''],
    ['quotes are text', { name: "'; drop table images; --" }, ''],
  ]
  test('a catalogue is searched', async () => {
    const { images } = await open()
    const entries: readonly Partial<NewImage>[] = [
      { imageId: 'a', name: 'pytorch-1', labels: [{ key: 'gpu', value: 'yes' }] },
      { imageId: 'b', name: 'pytorch-2', description: 'with CUDA', uri: 'r.example.com/b:1', accessibility: 'PUBLIC', labels: [{ key: 'gpu', value: 'yes' }, { key: 'os', value: 'x' }] }, // prettier-ignore
      { imageId: 'c', name: 'cuda', description: '100% of it', labels: [] },
      { imageId: 'd', name: 'mine', userId: '8', workspaceId: '2', labels: [] },
      { imageId: 'e', name: 'base', userId: '9', workspaceId: '3', accessibility: 'PUBLIC', labels: [{ key: 'system.official', value: 'true' }] }, // prettier-ignore
    ]
    for (const [i, entry] of entries.entries()) await images.insert({ ...NEW, ...entry }, 1_000 + i)
    for (const [reason, search, expected] of SEARCHES) {
      const found = await images.search({ ...ALL, ...search })
      assert.equal(found.images.map(({ imageId }) => imageId).join(' '), expected, reason)
      const isPage = 'limit' in search
      assert.equal(found.total, isPage ? 5 : found.images.length, reason)
    }
  })

  test('the labels that images have, each pair once', async () => {
    const { images } = await open()
    const label = (key: string, value: string) => ({ key, value })
    await images.insert({ ...NEW, labels: [label('a', '1'), label('b', '1')] }, 1_000)
    await images.insert({ ...NEW, imageId: 'image-2', name: 'two', userId: '8', labels: [label('a', '1'), label('a2', 'x')] }, 1_000) // prettier-ignore
    const list = async (search: Partial<Parameters<typeof images.labels>[0]>) =>
      (await images.labels({ visibleTo: undefined, labels: [], ...search })).map(({ key, value }) => `${key}=${value}`)
    assert.deepEqual(await list({}), ['a=1', 'a2=x', 'b=1'])
    assert.deepEqual(await list({ visibleTo: '8' }), ['a=1', 'a2=x'])
    assert.deepEqual(await list({ imageId: 'image-1' }), ['a=1', 'b=1'])
    assert.deepEqual(await list({ keys: ['b', 'a2'] }), ['a2=x', 'b=1'])
    assert.deepEqual(await list({ labels: [label('b', '1')] }), ['a=1', 'b=1'])
    assert.deepEqual(await list({ workspaceId: '9' }), [])
  })
})
