import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { describeTree, differences } from '#lab/describe-tree.ts'
import { assertReadable, listLayer } from '../support/layers.ts'
import { OverlayMount } from './overlay-mount.ts'
import { ReaderRun } from './reader-run.ts'

/** What the base image has, so that there is something to hide and to replace. */
const BASE = `
mkdir -p dir/sub/deep other empty
echo base > dir/file; echo base > dir/sub/file; echo deep > dir/sub/deep/file; echo base > other/file; echo top > top
ln top hardlink; ln -s dir/file link; chmod 2755 other; chown 12:34 other/file`

const bind = (path: string) => `python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("${path}")'`

/** Each row is one history: its steps are shell scripts in the container's root, with a pass after each but the last, which the freeze takes. */
const HISTORIES: readonly (readonly [name: string, ...steps: string[]])[] = [
  ['nothing at all', 'true'],
  ['a file is added, changed and removed', 'echo 1 > new', 'echo 22 > new', 'rm new'],
  ['a base file is removed, made again, removed again', 'rm dir/file', 'echo again > dir/file', 'rm dir/file'],
  ['a base directory is removed with all below it', 'rm -rf dir'],
  ['a base directory is emptied and made again: opaque', 'rm -rf dir && mkdir dir && echo x > dir/mine'],
  ['made again only after a pass has told its removal', 'rm -rf dir', 'mkdir dir', 'echo x > dir/mine'],
  [
    'opaque in one pass, filled in the next',
    'rm -rf dir && mkdir dir',
    'mkdir dir/sub && echo x > dir/sub/file',
    'chmod 700 dir',
  ],
  ['an entry of an opaque directory is removed later', 'rm -rf dir && mkdir dir && echo x > dir/file', 'rm dir/file'],
  [
    'a directory becomes a file and a directory again',
    'rm -rf dir && echo f > dir',
    'rm dir && mkdir dir && echo x > dir/y',
    'rm -rf dir',
  ],
  [
    'a file becomes a directory and a file again',
    'rm top && mkdir top && echo x > top/x',
    'rm -rf top && echo file > top',
  ],
  [
    'a new directory is replaced by another of the same name',
    'mkdir n && echo 1 > n/old',
    'rm -rf n && mkdir n && echo 2 > n/new',
  ],
  ['a new directory is moved over', 'mkdir n m && echo 1 > n/a && echo 2 > m/b', 'rm -rf n && mv m n', 'echo 3 > n/c'],
  ['a tree of deletions, told by its topmost path', 'mkdir -p n/a/b/c && echo 1 > n/a/b/c/d', 'rm -rf n/a', 'rm -rf n'],
  [
    'hard links are added, changed and removed',
    'echo 1 > a && ln a dir/b',
    'echo 2 >> a',
    'ln a c && rm a',
    'echo 3 > c',
  ],
  [
    'a link group over directories that come later in the tree',
    'mkdir z && echo 1 > z/x && ln z/x aaa',
    'echo 2 > z/x',
  ],
  ['links of a base file are split by copy-up', 'echo more >> top'],
  [
    'modes, owners and times alone',
    'chmod 4711 top',
    'chown 5:6 dir/file',
    'touch -d @99 dir/sub/file',
    'chmod 1777 empty',
  ],
  [
    'attributes alone',
    'setfattr -n user.a -v 1 dir/file',
    'setfattr -n user.a -v 2 dir/file && setfattr -n user.d -v x dir',
  ],
  ['the same size with the time set back', 'echo one > f && touch -d @50 f', 'echo two > f && touch -d @50 f'],
  [
    'a new directory is moved away and back, and has less by then',
    'mkdir -p n/sub && touch n/sub/a n/sub/b n/c',
    'mv n t && rm t/sub/a t/c && mv t n',
  ],
  ['symlinks change their target', 'ln -s a s && ln -sfn top link', 'ln -sfn b s', 'rm s link && mkdir s'],
  ['pipes and devices', 'mkfifo p && mknod c c 1 3 && mknod b b 7 0', 'rm p && echo x > p'],
  [
    'hard links of pipes, devices and symlinks',
    'mkfifo p && ln p q && mknod c c 1 3 && ln c dir/d && ln -s top s && ln -P s t',
    'chmod 600 p',
    'rm q t && ln p r',
  ],
  ['a socket takes the place of a directory of the base', `rm -rf dir && ${bind('dir')}`],
  ['and of a file that a pass has read', 'rm top && echo new > top', `rm top && ${bind('top')}`, 'rm top && mkdir top'],
  ['a socket that hides something in a directory that is opaque', `rm -rf dir && mkdir dir && ${bind('dir/sub')}`],
  ['a file is moved between directories and passes', 'echo 1 > dir/m', 'mv dir/m other/m', 'mv other/m m'],
  [
    'a new file takes the name of a deleted base directory',
    'rm -rf dir/sub',
    'echo x > dir/sub',
    'rm dir/sub && mkdir dir/sub',
  ],
  [
    'many entries in one directory, some of them leave',
    'for i in $(seq 300); do echo $i > dir/f$i; done',
    'rm dir/f1*',
    'echo x > dir/f1',
  ],
]

/** As if sync and barrier had been long after the last change: all that is read is trusted. */
const TRUSTED = Date.now() * 1000 + 3600e6

for (const [name, ...steps] of HISTORIES) {
  test(`after passes and a freeze the image is the container: ${name}`, async () => {
    using overlay = new OverlayMount((lower) => run(BASE, lower))
    await using reader = await ReaderRun.open(overlay.upper)
    for (const step of steps.slice(0, -1)) {
      run(step, overlay.merged)
      await reader.pass()
    }
    run(steps.at(-1) ?? '', overlay.merged)
    const kept = await reader.keep()
    assert.deepEqual([kept.isWithinBudget, kept.isOneState], [true, true])
    await reader.pack()
    assertReadable(reader.layers)
    const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
    assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
  })
}

// A whiteout in a directory that no layer below has is a name that cannot be looked at (attacks.md A7).
test('what is left out has a whiteout only where a layer below may have its path', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run(`mkdir -p n/deep && ${bind('n/s')} && ${bind('n/deep/s')}`, overlay.merged)
  run(`rm top dir/sub/file && ${bind('top')} && ${bind('dir/sub/file')}`, overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper)
  await reader.pass()
  run(`mkdir n/later && ${bind('n/later/s')} && ${bind('n/deep/t')}`, overlay.merged)
  await reader.keep()
  await reader.pack()
  const members = reader.layers.flatMap(listLayer).map(({ name }) => name)
  assert.deepEqual(
    members.filter((name) => name.includes('.wh.')),
    ['.wh.top', 'dir/sub/.wh.file'],
  )
})

test('each whiteout is told once, though overlay makes them links of one inode', async () => {
  using overlay = new OverlayMount((lower) => run('mkdir d; touch d/1 d/2 d/3 d/4', lower))
  run('rm d/1 d/2', overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper)
  await reader.pass(TRUSTED)
  run('rm d/3', overlay.merged)
  await reader.keep()
  await reader.pack()
  const whiteouts = reader.layers.map((layer) =>
    listLayer(layer).flatMap(({ name }) => (name.includes('.wh.') ? [name] : [])),
  )
  assert.deepEqual(whiteouts, [['d/.wh.1', 'd/.wh.2'], ['d/.wh.3']])
})

// A move changes no time of what is in the directory that is moved.
test('links whose content went with their first name are read again', async () => {
  using overlay = new OverlayMount(() => {})
  run('mkdir p q out; echo content > p/a; ln p/a q/b', overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper, { exclusions: ['/out'] })
  await reader.passInRooms([-1], () => run('mv p out/p', overlay.merged))
  await reader.keep()
  await reader.pack()
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  run('rm -r out', overlay.merged) // the image has one name only
  const seen = await describeTree(overlay.merged)
  assert.deepEqual(differences(unpacked, seen), [])
})

test('layers that are closed early have their own ancestors, and together are the container', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run('mkdir -p sec/in && chmod 1770 sec/in && chmod 700 sec && chown 1234 sec', overlay.merged)
  run(
    'for i in $(seq 40); do head -c 30000 /dev/urandom > sec/in/$i; head -c 9000 /dev/urandom > dir/$i; done; ln sec/in/1 dir/zz',
    overlay.merged,
  )
  await using reader = await ReaderRun.open(overlay.upper, { layerBytes: 100_000 })
  await reader.pass()
  assert.ok(reader.layers.length > 8, `${reader.layers.length} layers`)
  assertReadable(reader.layers)
  for (const layer of reader.layers) {
    const names = listLayer(layer).map(({ name }) => name)
    if (names.some((name) => name.startsWith('sec/in/'))) assert.ok(names.includes('sec/'))
  }
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

const MANY =
  'for i in $(seq 40); do head -c 30000 /dev/urandom > dir/$i; done; ln dir/1 dir/zz; rm dir/file; mkdir last; touch last/x'

test('after eight layers of one size the size doubles, so that any total makes few', async () => {
  using overlay = new OverlayMount(() => {})
  run('for i in $(seq 100); do head -c 50000 /dev/urandom > $i; done', overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper, { layerBytes: 100_000 })
  await reader.pass()
  const sizes = reader.layers.map(({ length }) => length)
  for (const [i, size] of sizes.slice(0, -1).entries()) {
    const wanted = 100_000 * 2 ** Math.floor(i / 8)
    assert.ok(size >= wanted && size < wanted + 60_000, `layer ${i} has ${size} bytes of ${wanted}`)
  }
  assert.ok(sizes.length > 16 && sizes.length <= 24, `${sizes.length} layers`)
})

test('a file that shrinks, grows, goes or is replaced between walk and read is named, and the next pass has it right', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run(
    `for name in shrinks grows goes pipe turns; do head -c 100000 /dev/urandom > $name; done; ln goes also-goes
     for name in cut stretched; do head -c 20000000 /dev/urandom > $name; done`,
    overlay.merged,
  )
  const before = await describeTree(overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper)
  const change = `truncate -s 10 shrinks; echo more >> grows; rm goes also-goes; rm pipe; mkfifo pipe; ln -sf top turns
    truncate -s 15000000 cut; truncate -s 21000000 stretched`
  const pauses = await reader.passInRooms([-1], () => run(change, overlay.merged))
  assert.deepEqual(pauses, [0], 'it was changed after the walk, and before a byte was read')
  const { torn } = await reader.report()
  assert.deepEqual([...torn].sort(), ['also-goes', 'cut', 'grows', 'pipe', 'shrinks', 'stretched', 'turns'])
  assertReadable(reader.layers)
  const first = await describeTree(await reader.unpack([overlay.baseLayer()]))
  for (const name of ['shrinks', 'grows', 'cut', 'stretched'])
    assert.equal(first.get(name)?.size, before.get(name)?.size)

  await reader.pass()
  assertReadable(reader.layers)
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

test('no layer is larger than it may be, unless one file alone is', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run(MANY, overlay.merged)
  run('head -c 150000 /dev/urandom > large', overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper, { mostLayerBytes: 100_000 })
  await reader.pass()
  const above = reader.layers.filter(({ length }) => length > 100_000)
  assert.deepEqual(above.map((layer) => listLayer(layer).map(({ name }) => name)), [['./', 'large']]) // prettier-ignore
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

test('a pass that has no room pauses before its first layer and after each, until the rest fits', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run(MANY, overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper, { layerBytes: 100_000 })
  const small = 100_000
  assert.deepEqual(await reader.passInRooms([small, small, small, small, 10_000_000]), [0, 1, 2, 3])
  assert.ok(reader.layers.length > 8, `${reader.layers.length} layers`)
  assertReadable(reader.layers)
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

test('a pass that never has room pauses after every layer, and ends', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run(MANY, overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper, { layerBytes: 100_000 })
  const counts = await reader.passInRooms([-1])
  assert.deepEqual(
    counts,
    [...counts.keys()], // 0, 1, 2, …
  )
  assert.ok(reader.layers.length > 8, `${reader.layers.length} layers`)
  assert.deepEqual(await reader.passInRooms([-1]), [])
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

test('a link whose first name goes between the look and the reading still leads to an entry, and is taken again', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run('echo 1 > a; ln a z; ln -s top b; ln -P b y', overlay.merged)
  await using reader = await ReaderRun.open(overlay.upper)
  await reader.passInRooms([0, 1 << 30], () => run('rm -f a b', overlay.merged))
  assertReadable(reader.layers)
  assert.ok((await reader.keep()).isOneState)
  await reader.pack()
  assertReadable(reader.layers)
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

test('a pass with room makes the layers that it makes without being asked', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run(MANY, overlay.merged)
  await using asked = await ReaderRun.open(overlay.upper)
  assert.deepEqual(await asked.passInRooms([10_000_000]), [])
  await using unasked = await ReaderRun.open(overlay.upper)
  await unasked.pass()
  assert.equal(asked.layers.length, 1)
  assert.ok(Buffer.concat(asked.layers).equals(Buffer.concat(unasked.layers)))
})

test('the same tree gives the same layers, whatever the number of workers', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run(
    'for i in $(seq 60); do head -c 700000 /dev/urandom > dir/$i; done; rm -rf other; ln dir/1 dir/2x',
    overlay.merged,
  )
  const layersOf = async (workers: number) => {
    await using reader = await ReaderRun.open(overlay.upper, { workers })
    await reader.pass()
    return reader.layers
  }
  const one = await layersOf(1)
  for (const workers of [2, 5])
    assert.ok(Buffer.concat(await layersOf(workers)).equals(Buffer.concat(one)), `${workers} workers`)
})

test('what the budget does not allow is left for the next pass', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  await using reader = await ReaderRun.open(overlay.upper)
  await reader.pass()
  run('head -c 100000 /dev/urandom > big; rm dir/file', overlay.merged)
  const refused = await reader.keep({ budgetBytes: 50_000 })
  assert.deepEqual([refused.isWithinBudget, refused.bytes], [false, 100_000])
  await reader.pass(TRUSTED)
  assert.equal((await reader.keep()).files, 0)
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
})

function run(script: string, cwd: string): void {
  execFileSync('/bin/sh', ['-ec', script], { cwd })
}

test('ids that the user namespace of the container does not have are 65534, and are counted', async () => {
  using overlay = new OverlayMount((lower) => run(BASE, lower))
  run('touch known unknown half; chown 100000:100001 known; chown 7:7 unknown; chown 100002:7 half', overlay.merged)
  const map = [{ inside: 0, outside: 100_000, count: 10 }]
  await using reader = await ReaderRun.open(overlay.upper, { uidMap: map, gidMap: map })
  await reader.pass()
  const list = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], { input: reader.layers[0]! }).toString()
  const ownerOf = (name: string) => new RegExp(`(\\d+/\\d+) .* ${name}$`, 'm').exec(list)?.[1]
  assert.deepEqual(['known', 'unknown', 'half'].map(ownerOf), ['0/1', '65534/65534', '2/65534'])
  const rootOfHost = 2 // the root directory is of 0:0, which is outside, too
  assert.equal((await reader.report()).unmappedIds, 3 + rootOfHost)
})
