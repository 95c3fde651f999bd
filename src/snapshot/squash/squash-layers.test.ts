import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { squashStack, stackTar, storedTar } from '#lab/layer-stack.ts'
import type { MemberSpec, SquashedStack } from '#lab/layer-stack.ts'
import { parseDiffID, digestOf } from '#oci/digest.ts'
import { TarParser } from '#oci/read-tar.ts'
import type { TarHeader } from '#oci/tar.ts'
import { LayerIndex } from './index-layer.ts'

interface Read {
  readonly header: TarHeader
  readonly content: string
}

function read(tar: Buffer): readonly Read[] {
  const all: Read[] = []
  let content = ''
  const parser = new TarParser({
    onMember: (header) => all.push({ header, content: '' }),
    onBody: (bytes) => (content += Buffer.from(bytes).toString('latin1')),
    onMemberEnd: () => {
      all.push({ ...all.pop()!, content })
      content = ''
    },
  })
  parser.push(tar)
  parser.end()
  return all
}

/** The members in the words of a row. */
function inWords({ header, content }: Read): string {
  const path = Buffer.from(header.name).toString('latin1')
  const target = Buffer.from(header.linkName ?? '').toString('latin1')
  if (header.kind === 'symlink') return `${path}->${target}`
  if (header.kind === 'hardlink') return `${path}=>${target}`
  return content === '' || content === path ? path : `${path}=${content}`
}

const words = ({ tars }: SquashedStack) => tars.map((tar) => read(tar).map(inWords))
const squash = (base: readonly MemberSpec[][], layers: readonly MemberSpec[][]) =>
  squashStack(
    base.map((each) => storedTar(stackTar(each))),
    layers.map((each) => storedTar(stackTar(each))),
  )

/** Why; what lies below; the layers; the one layer that they become. */
const ROWS: readonly [string, MemberSpec[], MemberSpec[][], string[]][] = [
  ['a file of two layers is the higher one', [], [['a=1'], ['a=2']], ['a=2']],
  [
    'what only one layer has stays',
    [],
    [
      ['d/', 'd/a'],
      ['d/', 'd/b'],
    ],
    ['d/', 'd/a', 'd/b'],
  ],
  ['a deleted file of a lower layer leaves nothing', ['b'], [['a'], ['.wh.a']], []],
  ['a deleted file of the base leaves its whiteout', ['a'], [['b'], ['.wh.a']], ['.wh.a', 'b']],
  ['a file of the base that was written and deleted leaves its whiteout', ['a'], [['a=1'], ['.wh.a']], ['.wh.a']],
  ['a file that was deleted and written again has no whiteout', ['a'], [['.wh.a'], ['a=2']], ['a=2']],
  ['a whiteout of what is nowhere goes', ['b'], [['.wh.a', 'c']], ['c']],
  ['whiteouts of aufs are links', ['a', 'b'], [['.wh.a', '.wh.b=>.wh.a']], ['.wh.a', '.wh.b']],
  ['a whiteout below a directory that nobody has goes, and makes none', ['b'], [['nosuchdir/.wh.none', 'c']], ['c']],
  [
    'whiteouts stand before everything else of their directory',
    ['d/', 'd/a', 'd/z'],
    [
      ['d/', 'd/b'],
      ['d/', 'd/.wh.z', 'd/.wh.a'],
    ],
    ['d/', 'd/.wh.a', 'd/.wh.z', 'd/b'],
  ],
  ['a deleted directory of the layers takes all below it', [], [['d/', 'd/e/', 'd/e/a'], ['.wh.d']], []],
  ['a deleted directory of the base is one whiteout', ['d/', 'd/a'], [['d/', 'd/b'], ['.wh.d']], ['.wh.d']],
  [
    'a directory of the base that was deleted and made again is opaque',
    ['doc/', 'doc/a'],
    [['.wh.doc'], ['doc/', 'doc/new']],
    ['doc/', 'doc/.wh..wh..opq', 'doc/new'],
  ],
  [
    'so is one that was a file in between',
    ['doc/', 'doc/a'],
    [['doc=file'], ['doc/', 'doc/new']],
    ['doc/', 'doc/.wh..wh..opq', 'doc/new'],
  ],
  [
    'so is one that was made opaque, and not again in a higher layer',
    ['doc/', 'doc/a'],
    [
      ['doc/', 'doc/.wh..wh..opq', 'doc/b'],
      ['doc/', 'doc/c'],
    ],
    ['doc/', 'doc/.wh..wh..opq', 'doc/b', 'doc/c'],
  ],
  [
    'so is one whose parent was deleted and made again, by its parent alone',
    ['d/', 'd/doc/', 'd/doc/a'],
    [['.wh.d'], ['d/', 'd/doc/', 'd/doc/new']],
    ['d/', 'd/.wh..wh..opq', 'd/doc/', 'd/doc/new'],
  ],
  [
    'a directory that the base has not is never opaque',
    ['b'],
    [['doc/', 'doc/a'], ['.wh.doc'], ['doc/', 'doc/b']],
    ['doc/', 'doc/b'],
  ],
  ['nor one that is a file in the base', ['doc'], [['.wh.doc'], ['doc/', 'doc/b']], ['doc/', 'doc/b']],
  [
    'an opaque directory hides what lower layers have',
    [],
    [
      ['doc/', 'doc/a', 'doc/sub/', 'doc/sub/x'],
      ['doc/', 'doc/.wh..wh..opq', 'doc/b'],
    ],
    ['doc/', 'doc/b'],
  ],
  [
    'nothing is whited out in an opaque directory',
    ['doc/', 'doc/a', 'doc/b'],
    [
      ['doc/', 'doc/.wh.a'],
      ['doc/', 'doc/.wh..wh..opq', 'doc/c'],
      ['doc/', 'doc/.wh.b'],
    ],
    ['doc/', 'doc/.wh..wh..opq', 'doc/c'],
  ],
  ['a file in the place of a directory is an entry alone', ['d/', 'd/a'], [['d/', 'd/b'], ['d=file']], ['d=file']],
  ['a directory in the place of a file is an entry alone', ['d'], [['d=1'], ['d/', 'd/a']], ['d/', 'd/a']],
  [
    'directory, file, directory',
    ['d/', 'd/a'],
    [['d/', 'd/x'], ['d=file'], ['d/', 'd/y'], ['d/', 'd/z']],
    ['d/', 'd/.wh..wh..opq', 'd/y', 'd/z'],
  ],
  ['a symlink hides a directory', ['d/', 'd/a'], [['d/', 'd/b'], ['d->e']], ['d->e']],
  ['below what became a file nothing is whited out', ['d/', 'd/x'], [['d/', 'd/.wh.x'], ['d=file']], ['d=file']],
  ['a hardlink group stays whole', [], [['a=1', 'b=>a', 'd/', 'd/c=>a'], ['x']], ['d/', 'a=1', 'b=>a', 'd/c=>a', 'x']],
  ['a link whose content was dropped takes it', [], [['a=1', 'b=>a', 'c=>b'], ['.wh.a']], ['b=1', 'c=>b']],
  ['also when the content was written anew', [], [['a=1', 'b=>a', 'c=>a'], ['a=2']], ['b=1', 'c=>b', 'a=2']],
  [
    'a link of which the others are gone is a file',
    [],
    [
      ['a=1', 'b=>a', 'c=>a'],
      ['.wh.a', '.wh.c'],
    ],
    ['b=1'],
  ],
  ['of a group that is gone nothing stays', [], [['d/', 'd/a=1', 'd/b=>d/a'], ['.wh.d']], []],
  ['links of a symlink', [], [['a->x', 'b=>a'], ['.wh.a']], ['b->x']],
  ['a whiteout hides nothing of its own layer, wherever it stands', ['a'], [['a=1', '.wh.a']], ['a=1']],
  [
    'an opaque marker hides nothing of its own layer either',
    ['d/', 'd/x'],
    [['d/', 'd/a', 'd/.wh..wh..opq']],
    ['d/', 'd/.wh..wh..opq', 'd/a'],
  ],
  ['of two members of one name the last counts', [], [['a=1', 'a=2', 'b']], ['a=2', 'b']],
  ['a link keeps what its target was when it was made', [], [['a=1', 'b=>a', 'a=2']], ['b=1', 'a=2']],
  ['a directory without a header has that of the base', [{ path: 'd/', mode: 0o700 }], [['d/a']], ['d/', 'd/a']],
  ['one that nobody describes is as engines make it', [], [['d/e/a']], ['d/', 'd/e/', 'd/e/a']],
  ['the root has a header when a layer gives one', [], [['./', 'a']], ['./', 'a']],
  ['what aufs kept in layers is left out', [], [['.wh..wh.aufs', '.wh..wh.plnk/', '.wh..wh.plnk/1.2', 'a']], ['a']],
  ['an opaque root hides the whole base', ['a', 'd/'], [['./', '.wh..wh..opq', 'b']], ['./', '.wh..wh..opq', 'b']],
  ['names of any bytes', [], [['\xff\xfe', 'caf\xc3\xa9=1'], ['.wh.\xff\xfe']], ['caf\xc3\xa9=1']],
]
for (const [reason, base, layers, expected] of ROWS)
  test(reason, async () => {
    assert.deepEqual(words(await squash([base], layers)), expected.length === 0 ? [] : [expected])
  })

const REFUSED: readonly [string, MemberSpec[], MemberSpec[][], RegExp][] = [
  [
    'a link out of its layer, which engines do not pull',
    [],
    [['a'], ['b=>a']],
    /"b" is a hard link to "a", which is not in/,
  ],
  ['a link to a directory', [], [['a/', 'b=>a']], /not in the layer/],
  ['an entry below a file', [], [['a', 'a/b']], /below "a", which is no directory/],
  ['an entry through a symlink of a lower layer', [], [['lib->usr/lib'], ['lib/x']], /below "lib"/],
  [
    'an entry through a symlink of the base',
    ['lib->usr/lib'],
    [['lib/x']],
    /below "lib", which is no directory in the base/,
  ],
  ['a whiteout that is a directory', [], [['.wh.a/']], /no empty file/],
  ['a whiteout with content', [], [[{ path: '.wh.a', content: 'x' }]], /no empty file/],
  ['a whiteout of nothing', [], [['.wh.']], /no name/],
  ['something below a whiteout', [], [['.wh.a/b']], /no name/],
  ['a device 0/0, a whiteout for some', [], [[{ path: 'a', kind: 'char' }]], /0\/0/],
  [
    'an attribute of the overlay',
    [],
    [[{ path: 'a/', xattrs: [['trusted.overlay.opaque', Buffer.from('y')]] }]],
    /belongs to the engine/,
  ],
]
for (const [reason, base, layers, message] of REFUSED)
  test(`refused: ${reason}`, async () => {
    await assert.rejects(squash([base], layers), { code: 'image_unsupported', message })
  })

test('everything that a header says is in the result', async () => {
  const given: MemberSpec[] = [
    { path: 'dir/', mode: 0o2750, uid: 3_000_000, gid: 7, mtimeSec: -5, xattrs: [['user.d', Buffer.from([0, 255])]] },
    {
      path: 'dir/file',
      mode: 0o4755,
      mtimeNs: 123_456_789,
      xattrs: [['security.capability', Buffer.from([1, 0, 61, 10])]],
      content: 'x',
    },
    { path: 'fifo', kind: 'fifo' },
    { path: 'null', kind: 'char', devMajor: 1, devMinor: 3 },
    { path: `${'n'.repeat(200)}/`, gid: 2 ** 31 },
  ]
  const { tars } = await squash([], [given, ['other']])
  const before = read(stackTar(given))
  const after = read(tars[0]!).filter(({ header }) => Buffer.from(header.name).toString() !== 'other')
  const byName = (all: readonly Read[]) => all.toSorted((a, b) => Buffer.compare(a.header.name, b.header.name))
  assert.deepEqual(byName(after), byName(before))
})

test('what the last of its links says of an inode is what engines leave it with', async () => {
  const link = { path: 'b', kind: 'hardlink', linkName: Buffer.from('a'), mode: 0o600, uid: 5, mtimeSec: 9 } as const
  const { tars } = await squash([], [[{ path: 'a', content: '1', xattrs: [['user.k', Buffer.from('v')]] }, link]])
  for (const { header } of read(tars[0]!)) assert.deepEqual([header.mode, header.uid, header.mtimeSec], [0o600, 5, 9])
  assert.equal(read(tars[0]!)[0]!.header.xattrs?.[0]?.[0], 'user.k')
})

test('a directory is as its highest header says', async () => {
  const layers: MemberSpec[][] = [
    [{ path: 'd/', mode: 0o700 }, 'd/a'],
    [{ path: 'd/', mode: 0o711, uid: 4 }, 'd/b'],
  ]
  const { tars } = await squash([], layers)
  const { mode, uid } = read(tars[0]!)[0]!.header
  assert.deepEqual([mode, uid], [0o711, 4])
})

const big = (path: string, content = 'c'.repeat(3000)): MemberSpec => ({ path, content })

test('a layer that is full is closed, never within a hardlink group, and each has the headers of its ancestors', async () => {
  const layers = [
    ['d/', big('d/a'), 'd/a2=>d/a', big('d/b'), big('e')],
    ['d/', 'd/.wh.gone', big('d/z')],
  ].map((each) => storedTar(stackTar(each)))
  const base = [storedTar(stackTar(['d/', 'd/gone']))]
  for (const limit of [{ layerBytes: 5000 }, { mostLayers: 1, mostLayerBytes: 5000 }]) {
    const result = await squashStack(base, layers, limit)
    const short = words(result).map((all) => all.map((each) => each.replace(/=c+$/, '')))
    assert.deepEqual(short, [['d/', 'd/.wh.gone'], ['d/', 'd/a', 'd/a2=>d/a'], ['d/', 'd/b'], ['e'], ['d/', 'd/z']])
  }
})

test('squashing what was squashed changes no byte, whatever compressed it', async () => {
  const specs: MemberSpec[][] = [['d/', 'd/a', 'e=>d/a', 'l->x'], ['d/', 'd/b'], ['.wh.z']]
  const base = [storedTar(stackTar(['z']))]
  const first = await squashStack(
    base,
    specs.map((each) => storedTar(stackTar(each))),
  )
  for (const codec of ['gzip', 'zstd', 'none'] as const) {
    const again = await squashStack(
      base,
      first.tars.map((tar) => storedTar(tar, codec)),
      { codec: { name: 'zstd', level: 1 } },
    )
    assert.deepEqual(again.tars, first.tars)
  }
})

test('codecs and numbers of workers give the same tars, in whole frames', async () => {
  const content = Buffer.alloc(20 << 20, 'some text that repeats ')
  const layers = [storedTar(stackTar([{ path: 'a', content }, 'b']))]
  const made = await Promise.all([
    squashStack([], layers, { codec: { name: 'isal', level: 1 }, workers: 1 }),
    squashStack([], layers, { codec: { name: 'zlib', level: 1 }, workers: 3 }),
    squashStack([], layers, { codec: { name: 'none', level: 0 } }),
  ])
  for (const { tars, events } of made) {
    assert.deepEqual(tars, made[0]!.tars)
    assert.equal(events.filter(({ event }) => event === 'frame').length, 3)
    assert.equal(events.at(-1)!.rawBytes, tars[0]!.length)
    assert.equal((events.at(-1) as { diffID: string }).diffID, digestOf(tars[0]!))
  }
})

const root = mkdtempSync(join(tmpdir(), 'squash-layers-'))
after(() => rmSync(root, { recursive: true }))

test('the base is read once, and only where the result depends on it; what was kept and is damaged is read again', async () => {
  let readings = 0
  const counted = (tar: Buffer) => {
    const layer = storedTar(tar)
    const openBlob: typeof layer.repository.openBlob = (descriptor) => (
      readings++,
      layer.repository.openBlob(descriptor)
    )
    return { ...layer, repository: { ...layer.repository, openBlob } }
  }
  const base = [
    counted(stackTar([{ path: 'd/', mode: 0o700, xattrs: [['user.k', Buffer.from('v')]] }, 'd/\xe4', 'd/sub/', 'x'])),
  ]
  const run = async (specs: MemberSpec[]) =>
    words(await squashStack(base, [storedTar(stackTar(specs))], { home: root }))
  await run(['d/', 'd/new'])
  assert.equal(readings, 0, 'no whiteout, nothing opaque, every directory with its header')
  const expected = [['d/', 'd/.wh.sub', 'd/.wh.\xe4']]
  assert.deepEqual(await run(['d/.wh.\xe4', 'd/.wh.sub', '.wh.nothing']), expected)
  assert.deepEqual(await run(['d/.wh.\xe4', 'd/.wh.sub', '.wh.nothing']), expected)
  assert.equal(readings, 1)
  const directory = join(root, 'cache/base-paths')
  writeFileSync(join(directory, readdirSync(directory)[0]!), '{"version":1}\n')
  assert.deepEqual(await run(['d/.wh.\xe4', 'd/.wh.sub']), expected)
  assert.equal(readings, 2)
})

test('a layer that is not the tar that its image names is refused', async () => {
  const layer = storedTar(stackTar(['a']), 'gzip', parseDiffID(`sha256:${'0'.repeat(64)}`))
  await assert.rejects(squashStack([], [layer]), { code: 'image_unsupported', message: /is not the tar/ })
})

test('a layer that is cut cannot be decompressed', async () => {
  for (const codec of ['gzip', 'zstd'] as const) {
    const layer = storedTar(stackTar([big('a')]), codec)
    const openBlob = async function* () {
      yield layer.bytes.subarray(0, layer.bytes.length - 9)
    }
    const cut = { ...layer, repository: { ...layer.repository, openBlob } }
    await assert.rejects(squashStack([], [cut]), { code: 'image_unsupported', message: /cannot be decompressed/ })
  }
})

test('a cancel ends it, and so does the first layer that fails', async () => {
  const layers = [1, 2, 3].map((n) => storedTar(stackTar([big(`a${n}`)])))
  const signal = AbortSignal.abort()
  await assert.rejects(squashStack([], layers, { signal }), { code: 'cancelled' })
  const broken = storedTar(Buffer.alloc(512, 'x'))
  await assert.rejects(squashStack([], [...layers, broken]), { code: 'image_unsupported' })
})

test('a file system that is full ends it', async () => {
  const frames = { write: async () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) }
  const layers = [storedTar(stackTar([{ path: 'a', content: Buffer.alloc(40 << 20) }]))]
  await assert.rejects(squashStack([], layers, { frames: frames as never }), { code: 'ENOSPC' })
})

test('a layer of more members than fit into memory is refused while it is heard', () => {
  const index = new LayerIndex(0)
  const header = {
    name: Buffer.from('.wh..wh.aufs'),
    kind: 'file',
    mode: 0,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeSec: 0,
  } as const
  for (let member = 0; member < 5_000_000; member++) index.onMember(header)
  assert.throws(() => index.onMember(header), { code: 'image_unsupported', message: /more than 5000000 entries/ })
})
