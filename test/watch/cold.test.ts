/** Inodes that are read from the disk while the watch is on, and a second file system that it does not watch. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, test } from 'node:test'
import { openCtimeWatch } from '#watch/open.ts'

const FILES = 200

const home = mkdtempSync(join(tmpdir(), 'cold-'))
let image = join(home, 'image-0')
const disk = join(home, 'disk')
mkdirSync(disk)
writeFileSync(image, '')
truncateSync(image, 16 << 20)
execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', image]) // what is synced is whole without one
const mount = () => execFileSync('mount', ['-o', 'loop', image, disk])
mount()
after(() => {
  execFileSync('umount', [disk])
  rmSync(home, { recursive: true })
})

const upperdir = join(disk, 'upper')
mkdirSync(upperdir)
const files = Array.from({ length: FILES }, (_, n) => join(upperdir, String(n)))
for (const file of files) writeFileSync(file, 'x')

async function open() {
  const opened = await openCtimeWatch({ upperdir, scratch: home, recordDirectory: join(home, 'records') })
  assert.ok('watch' in opened, `no watch on this machine: ${'reason' in opened ? opened.reason : ''}`)
  return opened.watch
}

const stat = (file: string) => {
  const { ino, ctimeNs } = lstatSync(file, { bigint: true })
  return { inode: Number(ino), ctimeSec: Number(ctimeNs / 1_000_000_000n), ctimeNsec: Number(ctimeNs % 1_000_000_000n) }
}

let mounts = 0

/**
 * Mount the disk anew: nothing of it is in memory. As a copy, for the one before may live on where somebody has made a mount
 * namespace out of ours, as every start of a container does.
 */
function remount(change: (image: string) => void = () => {}): void {
  execFileSync('sync', ['--file-system', disk])
  execFileSync('umount', [disk])
  const before = image
  image = join(home, `image-${++mounts}`)
  copyFileSync(before, image)
  change(image)
  mount()
}

/** As if a file had changed at that time, which no call can do. The disk has been mounted anew. */
function setCtime(file: string, time: string): void {
  remount((image) => {
    execFileSync('debugfs', ['-w', '-R', `set_inode_field /${relative(disk, file)} ctime ${time}`, image], {
      stdio: 'ignore',
    })
  })
}

test('an inode that changed before the watch and is read from the disk is not named; its next change is', async () => {
  const file = files[0]!
  setCtime(file, '20200101000000')
  await using watch = await open()
  const { inode, ctimeSec } = stat(file)
  assert.equal(ctimeSec, Date.UTC(2020, 0) / 1000)
  assert.equal(watch.drain().has(inode), false)
  chmodSync(file, 0o600)
  assert.equal(watch.drain().has(inode), true)
  assert.equal(watch.lost(), undefined)
})

test('another is named with the ctime that it has: it compares as unchanged', async () => {
  const file = files[1]!
  setCtime(file, '20370101000000')
  await using watch = await open()
  const before = stat(file)
  assert.deepEqual(watch.drain().get(before.inode), before)
  assert.equal(watch.lost(), undefined)
})

test('what was read from the disk and changed afterwards has changed', async () => {
  remount()
  await using watch = await open()
  const before = files.map(stat)
  for (const file of files) chmodSync(file, 0o640)
  const named = watch.drain()
  assert.equal(watch.lost(), undefined)
  for (const { inode } of before) assert.equal(named.get(inode)?.ctimeSec, NaN)
})

test('another file system is not watched', async () => {
  await using watch = await open()
  const elsewhere = Array.from({ length: FILES }, (_, n) => join(home, `elsewhere-${n}`))
  for (const file of elsewhere) writeFileSync(file, 'x')
  writeFileSync(files[0]!, 'changed')
  const named = [...watch.drain().keys()]
  assert.equal(watch.lost(), undefined)
  assert.deepEqual(named, [stat(files[0]!).inode])
})
