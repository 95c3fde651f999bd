import assert from 'node:assert/strict'
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  addressOf,
  AT_FDCWD,
  cString,
  errnoName,
  getXattr,
  listXattrs,
  nextData,
  nextHole,
  openDirectory,
  openFileAt,
} from './libc.ts'
import {
  mountDetached,
  readAt,
  readDirectory,
  readLinkAt,
  reserve,
  setXattr,
  statxAt,
  storeThroughMapping,
  tryLock,
} from './libc.ts'
import {
  copyStat,
  ctimeMicros,
  equalsStat,
  FILE_TYPE,
  STAT,
  stat64,
  STAT_WORDS,
  statxInode,
  statxMode,
} from './stat.ts'

const directory = mkdtempSync(join(tmpdir(), 'libc-'))
after(() => rmSync(directory, { recursive: true, force: true }))
const file = join(directory, 'file')
writeFileSync(file, 'hello')
symlinkSync('file', join(directory, 'link'))
mkdirSync(join(directory, 'sub'))
symlinkSync('sub', join(directory, 'sublink'))

test('statx sees what Node sees, and a symlink itself', () => {
  const statx = new Uint32Array(64)
  assert.equal(statxAt(AT_FDCWD, cString(file), statx), 0)
  const descriptor = openSync(file, 'r')
  const stats = fstatSync(descriptor, { bigint: true })
  closeSync(descriptor)
  const kept = new Uint32Array(STAT_WORDS)
  copyStat(statx, kept, 0)
  assert.deepEqual(
    [statxInode(statx), stat64(kept, STAT.size), kept[STAT.mode]],
    [Number(stats.ino), 5, Number(stats.mode)],
  )
  assert.equal(ctimeMicros(kept, 0), Number(stats.ctimeNs / 1000n))
  assert.ok(equalsStat(statx, kept, 0))
  assert.equal(statxAt(AT_FDCWD, cString(join(directory, 'link')), statx), 0)
  assert.equal(statxMode(statx) & FILE_TYPE.mask, FILE_TYPE.symlink)
  assert.ok(!equalsStat(statx, kept, 0))
})

test('each kept field alone makes a stat another one', () => {
  const statx = new Uint32Array(64)
  statxAt(AT_FDCWD, cString(file), statx)
  for (const field of [
    'mode',
    'uid',
    'gid',
    'ino',
    'size',
    'mtimeSec',
    'mtimeNsec',
    'ctimeNsec',
    'ctimeSec',
  ] as const) {
    const kept = new Uint32Array(STAT_WORDS)
    copyStat(statx, kept, 0)
    kept[STAT[field]] = kept[STAT[field]]! ^ 1
    assert.ok(!equalsStat(statx, kept, 0), field)
  }
})

test('no symlink is followed to a directory or a file', () => {
  const inDirectory = (name: string) => cString(join(directory, name))
  assert.ok(openDirectory(inDirectory('sub')) > 0)
  assert.equal(errnoName(openDirectory(inDirectory('sublink'))), 'ENOTDIR')
  assert.equal(errnoName(openDirectory(cString(`${directory}/sublink/../sub`))), 'ELOOP')
  assert.equal(errnoName(openFileAt(openDirectory(cString(directory)), cString('link'))), 'ELOOP')
})

test('a directory is listed, a link read, a file read by address into shared memory', () => {
  const opened = openDirectory(cString(directory))
  const entries = Buffer.alloc(4096)
  const filled = readDirectory(opened, entries)
  for (const name of ['file', 'link', 'sub'])
    assert.ok(entries.subarray(0, filled).includes(Buffer.from(`${name}\0`)), name)
  const target = new Uint8Array(16)
  assert.equal(readLinkAt(opened, cString('link'), target), 4)
  assert.equal(Buffer.from(target).toString('latin1', 0, 4), 'file')
  const shared = new Uint8Array(new SharedArrayBuffer(4096))
  assert.equal(readAt(openFileAt(opened, cString('file')), addressOf(shared) + 100, 10, 1), 4)
  assert.equal(Buffer.from(shared.slice(100, 104)).toString(), 'ello')
})

test('extended attributes are raw bytes', () => {
  const descriptor = openSync(file, 'r+')
  setXattr(descriptor, 'user.raw', Uint8Array.of(0, 255, 7))
  const names = Buffer.alloc(100)
  assert.equal(names.toString('latin1', 0, listXattrs(descriptor, names)), 'user.raw\0')
  const value = new Uint8Array(8)
  assert.deepEqual([getXattr(descriptor, cString('user.raw'), value), ...value.slice(0, 3)], [3, 0, 255, 7])
  assert.equal(errnoName(getXattr(descriptor, cString('user.none'), value)), 'ENODATA')
  closeSync(descriptor)
})

test('a lock is taken once, and free again when its file is closed', () => {
  const [one, two] = [openSync(file, 'r'), openSync(file, 'r')]
  assert.deepEqual([tryLock(one), tryLock(two)], [true, false])
  closeSync(one)
  assert.equal(tryLock(two), true)
  closeSync(two)
})

test('room is reserved, and what cannot be is said', () => {
  const descriptor = openSync(join(directory, 'reserved'), 'w+')
  assert.equal(reserve(descriptor, 0, 1 << 20), 0)
  assert.equal(fstatSync(descriptor).size, 1 << 20)
  assert.equal(errnoName(reserve(descriptor, 0, 2 ** 60)), 'EFBIG')
  closeSync(descriptor)
})

test('data and holes of a sparse file are found', () => {
  const descriptor = openSync(join(directory, 'sparse'), 'w+')
  ftruncateSync(descriptor, 8 << 20)
  writeSync(descriptor, 'x', 4 << 20)
  assert.equal(nextData(descriptor, 0), 4 << 20)
  assert.equal(nextHole(descriptor, 4 << 20), (4 << 20) + 4096)
  assert.equal(errnoName(nextData(descriptor, 5 << 20)), 'ENXIO')
  closeSync(descriptor)
})

test('a store through a mapping changes the file, and a file that cannot be mapped is said', () => {
  const [target, source] = [join(directory, 'mapped'), join(directory, 'source')]
  writeFileSync(target, 'aaaaaaaa')
  writeFileSync(source, 'bbbbbbbb')
  const [to, from] = [openSync(target, 'r+'), openSync(source, 'r')]
  assert.equal(storeThroughMapping(to, from, 3), 3)
  assert.equal(readFileSync(target, 'utf8'), 'bbbaaaaa')
  assert.equal(errnoName(storeThroughMapping(from, to, 3)), 'EACCES')
  ftruncateSync(to, 0)
  assert.equal(errnoName(storeThroughMapping(to, from, 3)), 'EFAULT', 'an error, and no signal')
  for (const descriptor of [to, from]) closeSync(descriptor)
})

test('a file system is mounted where no process sees it, and ends with its descriptor', () => {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  const descriptor = mountDetached('tmpfs')
  assert.ok(descriptor > 0, errnoName(descriptor))
  writeFileSync(`/proc/self/fd/${descriptor}/file`, 'x')
  assert.equal(readFileSync(`/proc/self/fd/${descriptor}/file`, 'utf8'), 'x')
  assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), mounts)
  closeSync(descriptor)
  assert.equal(errnoName(mountDetached('no-such-file-system')), 'ENODEV')
})
