/** Forms of overlay that engines of today do not make, and may meet: the judge is the kernel. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { describeTree, differences } from '#lab/describe-tree.ts'
import { assertReadable, listLayer } from '../support/layers.ts'
import { OverlayMount } from './overlay-mount.ts'
import { ReaderRun } from './reader-run.ts'

const inside = (cwd: string, script: string) => execFileSync('sh', ['-ec', script], { cwd })

const BASE = 'mkdir dir other; echo base > dir/file; echo base > dir/kept; echo base > other/file; echo top > top'

test("an overlay that keeps its attributes as user.overlay: opaque, deletions, and the user's own attributes", async () => {
  using overlay = new OverlayMount((lower) => inside(lower, BASE), 'userxattr')
  inside(
    overlay.merged,
    `rm -rf dir; mkdir dir; echo mine > dir/mine; rm top; setfattr -n user.mine -v 1 other/file
     mkdir own; setfattr -n user.mine -v 2 own`,
  )
  await using reader = await ReaderRun.open(overlay.upper, { overlayPrefix: 'user.overlay.' })
  await reader.pass()
  assertReadable(reader.layers)
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  assert.deepEqual(differences(unpacked, await describeTree(overlay.merged)), [])
  const [layer] = reader.layers
  assert.ok(!layer?.includes('overlay.'), "overlay's own attributes stay on the host")
})

/** What the kernel shows of `upper` over `lower`. */
async function shownByKernel(upper: string, lower: string) {
  const place = mkdtempSync(join(tmpdir(), 'overlay-forms-'))
  try {
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', `ro,lowerdir=${upper}:${lower}`, place])
    try {
      return await describeTree(place)
    } finally {
      execFileSync('umount', [place])
    }
  } finally {
    rmSync(place, { recursive: true })
  }
}

// Kernel 6.7 (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
test('deletions by an attribute, in a directory that says that it has some', async () => {
  const home = mkdtempSync(join(tmpdir(), 'overlay-forms-'))
  const [lower, upper] = [join(home, 'lower'), join(home, 'upper')]
  for (const path of [lower, upper]) mkdirSync(path)
  try {
    inside(lower, BASE)
    inside(
      upper,
      `mkdir dir other; : > dir/file; : > dir/empty; echo content > dir/whole; : > other/empty
       setfattr -n trusted.overlay.whiteout -v y dir/file; setfattr -n trusted.overlay.opaque -v x dir`,
    )
    await using reader = await ReaderRun.open(upper)
    await reader.pass()
    assertReadable(reader.layers)
    const members = reader.layers.flatMap(listLayer).map(({ name }) => name)
    assert.deepEqual(members, ['./', 'dir/', 'dir/.wh.file', 'dir/empty', 'dir/whole', 'other/', 'other/empty'])
    const base = execFileSync('tar', ['--numeric-owner', '-C', lower, '-cf', '-', '.'])
    const unpacked = await describeTree(await reader.unpack([base]))
    assert.deepEqual(differences(unpacked, await shownByKernel(upper, lower)), [])
  } finally {
    rmSync(home, { recursive: true })
  }
})

test('a directory at a mount point that hides or changes one of the base is no stub', async () => {
  using overlay = new OverlayMount((lower) => inside(lower, BASE))
  inside(overlay.merged, 'rm -rf dir; mkdir dir; chmod 700 other; mkdir stub')
  await using reader = await ReaderRun.open(overlay.upper, { stubs: ['/dir', '/other', '/stub'] })
  await reader.pass()
  const unpacked = await describeTree(await reader.unpack([overlay.baseLayer()]))
  const seen = new Map(await describeTree(overlay.merged))
  seen.delete('stub')
  assert.deepEqual(differences(unpacked, seen), [])
})

test('files that are mostly holes are told, largest first, links once, and nothing of what is excluded', async () => {
  using overlay = new OverlayMount(() => {})
  inside(
    overlay.merged,
    `mkdir d out; truncate -s 3G d/large; ln d/large d/link; truncate -s 2G small; echo x > d/x; truncate -s 9G out/x
     truncate -s 1000M below; fallocate -l 1200M full`,
  )
  await using reader = await ReaderRun.open(overlay.upper, { exclusions: ['/out'] })
  await reader.look()
  const { sparse } = await reader.report()
  assert.deepEqual(
    sparse.map(({ path, bytes }) => [path, bytes]),
    [
      ['d/large', 3 * 2 ** 30],
      ['small', 2 * 2 ** 30],
    ],
  )
  assert.ok(sparse.every(({ storedBytes }) => storedBytes < 2 ** 20))
})
