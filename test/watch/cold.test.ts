/** Inodes that are read from the disk while the watch is on, and a second file system that it does not watch. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, test } from 'node:test'
import { openCtimeWatch } from '#watch/open.ts'

const FILES = 200

const home = mkdtempSync(join(tmpdir(), 'cold-'))
const image = join(home, 'image')
const disk = join(home, 'disk')
mkdirSync(disk)
writeFileSync(image, '')
truncateSync(image, 16 << 20)
execFileSync('mkfs.ext4', ['-q', image])
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

/** As if a file had changed at that time, which no call can do. The disk has been mounted anew. */
function setCtime(file: string, time: string): void {
  execFileSync('umount', [disk]) // the surest way to forget all inodes of one file system
  execFileSync('debugfs', ['-w', '-R', `set_inode_field /${relative(disk, file)} ctime ${time}`, image], {
    stdio: 'ignore',
  })
  mount()
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
  execFileSync('umount', [disk])
  mount()
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
