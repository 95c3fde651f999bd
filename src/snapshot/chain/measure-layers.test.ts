import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stackTar, storedTar, type MemberSpec, type StoredTar } from '#lab/layer-stack.ts'
import { measureLayers } from './measure-layers.ts'
import { tidyMembers } from './member-list.ts'

const root = mkdtempSync(join(tmpdir(), 'measure-layers-'))
after(() => rmSync(root, { recursive: true }))
let homes = 0
const newHome = () => join(root, String(homes++))
const { signal } = new AbortController()

/** Not compressed: a file's share of its layer is its share of the bytes. */
const stackOf = (...layers: readonly MemberSpec[][]) => layers.map((members) => storedTar(stackTar(members), 'none'))
const file = (path: string, kib: number) => ({ path, content: Buffer.alloc(kib * 1024) })

/** In KiB, as if files had no headers: their layers are large against those. */
async function measure(layers: readonly StoredTar[], home = newHome()) {
  const { total, superseded } = await measureLayers(layers, { home, signal })
  assert.equal(
    total,
    layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0),
  )
  return Math.round(superseded / 1024 / 50) * 50
}

const ROWS: readonly (readonly [why: string, kib: number, ...layers: MemberSpec[][]])[] = [
  ['one layer holds what is there', 0, [file('a', 400)]],
  ['a file that a higher layer replaces', 400, [file('a', 400), file('b', 400)], [file('a', 10)]],
  ['a file that is whited out', 400, [file('a', 400)], ['.wh.a']],
  ['a directory that is whited out', 800, ['d/', file('d/a', 400), file('d/b', 400)], ['.wh.d']],
  ['a directory that becomes opaque', 400, ['d/', file('d/a', 400), file('b', 400)], ['d/', 'd/.wh..wh..opq']],
  ['a directory that becomes a file', 400, ['d/', file('d/a', 400)], ['d=x']],
  ['one of two names of a file goes', 0, [file('a', 400), 'b=>a'], ['.wh.a']],
  ['both names of a file go', 400, [file('a', 400), 'b=>a'], ['.wh.a', '.wh.b']],
  ['what is whited out of the base is none of ours', 0, ['.wh.base', file('a', 400)]],
  ['replaced twice', 800, [file('a', 400)], [file('a', 400)], [file('a', 400)]],
]

for (const [why, kib, ...layers] of ROWS)
  test(why, async () => {
    const home = newHome()
    const stack = stackOf(...layers)
    assert.equal(await measure(stack, home), kib)
    const silent = stack.map((layer) => ({
      ...layer,
      repository: { openBlob: () => assert.fail('it was read again') },
    }))
    assert.equal(await measure(silent, home), kib, 'from what is kept')
  })

test('a kept list that is cut, changed or of another version is read again', async () => {
  const home = newHome()
  const stack = stackOf([file('a', 400)], ['.wh.a'])
  await measure(stack, home)
  const directory = join(home, 'cache', 'layer-members')
  const paths = readdirSync(directory).map((name) => join(directory, name))
  assert.equal(paths.length, 2)
  const spoil: readonly ((path: string) => void)[] = [
    (path) => truncateSync(path, 20),
    (path) => truncateSync(path, 0),
    (path) => writeFileSync(path, readFileSync(path, 'latin1').replace('"', "'")),
    (path) => writeFileSync(path, readFileSync(path, 'latin1').replace('1 ', '2 ')),
  ]
  for (const each of spoil) {
    paths.forEach(each)
    assert.equal(await measure(stack, home), 400)
  }
})

test('names that are no text are kept as they are', async () => {
  const home = newHome()
  const path = Buffer.from([0xff, 0x22, 0x5c, 0x0a, 0xc3]).toString('latin1')
  const stack = stackOf([file(path, 400), file('b', 400)], [`.wh.${path}`])
  assert.deepEqual([await measure(stack, home), await measure(stack, home)], [400, 400])
})

test('lists that were not asked for longest go first', async () => {
  const home = newHome()
  await measure(stackOf([file('a', 1)], [file('b', 1)], [file('c', 1)]), home)
  const directory = join(home, 'cache', 'layer-members')
  const names = readdirSync(directory)
  names.forEach((name, i) => utimesSync(join(directory, name), i, i))
  await tidyMembers(home, readFileSync(join(directory, names[0] ?? '')).length * 2.5)
  assert.deepEqual(readdirSync(directory).toSorted(), names.slice(1).toSorted())
})

test('a layer that cannot be read exactly is refused, and not kept', async () => {
  const home = newHome()
  const stack = stackOf([{ path: 'null', kind: 'char', devMajor: 0, devMinor: 0 }])
  await assert.rejects(measure(stack, home), { code: 'image_unsupported' })
  await assert.rejects(measure(stack, home), { code: 'image_unsupported' })
})
