import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { AT_FDCWD, closeDescriptor, cString, setXattr, statxAt } from '#posix/libc.ts'
import { copyStat } from '#posix/stat.ts'
import { listDirectory } from './list-directory.ts'
import { EntryOpener, XattrReader } from './read-entry.ts'
import { allocateRows, ROOT, Rows } from './rows.ts'

const scratch = mkdtempSync(join(tmpdir(), 'read-entry-'))
const before = process.cwd()
process.chdir(scratch) // the reader's paths are relative to its root
after(() => {
  process.chdir(before)
  rmSync(scratch, { recursive: true })
})

/** Rows as a walk makes them: the root, and one entry of it. */
function rowsOf(name: string): { readonly rows: Rows; readonly row: number } {
  const rows = new Rows(allocateRows(10))
  const add = (path: string, rowName: string) => {
    const row = rows.allocate(1)
    rows.setName(row, rowName)
    const statx = new Uint32Array(64)
    assert.equal(statxAt(AT_FDCWD, cString(path), statx), 0)
    copyStat(statx, rows.words, rows.stat(row))
    rows.setParent(row, ROOT)
    return row
  }
  add('.', '')
  return { rows, row: add(name, name) }
}

const REPLACEMENTS: readonly (readonly [what: string, command: string, ...args: string[]])[] = [
  ['a FIFO', 'mkfifo'],
  ['a directory', 'mkdir'],
  ['a symlink', 'ln', '-s', '/etc/hosts'],
]
for (const [what, command, ...args] of REPLACEMENTS) {
  test(`a file that has become ${what} is gone, also when it has the file's inode number`, () => {
    writeFileSync('entry', 'content')
    const { rows, row } = rowsOf('entry')
    const inode = lstatSync('entry').ino
    rmSync('entry')
    execFileSync(command, [...args, 'entry'])
    // ext4 uses a number again at once; where another file system does not, the row is told the new one.
    if (lstatSync('entry').ino !== inode)
      rows.words.set(rowsOf('entry').rows.words.subarray(rows.stat(row) + 4, rows.stat(row) + 6), rows.stat(row) + 4)
    const opener = new EntryOpener(rows)
    assert.ok(opener.openFile(row) < 0)
    opener.close()
    rmSync('entry', { recursive: true })
  })
}

test('a file that is still there is opened', () => {
  writeFileSync('entry', 'content')
  const { rows, row } = rowsOf('entry')
  const opener = new EntryOpener(rows)
  const descriptor = opener.openFile(row)
  assert.ok(descriptor >= 0)
  closeDescriptor(descriptor)
  opener.close()
})

test('a directory that has been removed since it was opened has no entries', () => {
  mkdirSync('gone')
  const descriptor = openSync('gone', constants.O_RDONLY | constants.O_DIRECTORY)
  rmdirSync('gone')
  assert.deepEqual(listDirectory(descriptor), [])
  closeSync(descriptor)
})

const options = { overlayPrefix: 'trusted.overlay.', toImageUid: (id: number) => id, hasIdMap: false } as const
const NAMES: readonly (readonly [reason: string, name: string, kept: string | undefined])[] = [
  ['a plain name', 'user.plain', 'user.plain'],
  ['a name in UTF-8, as text', Buffer.from('user.naïve').toString('latin1'), 'user.naïve'],
  ['a name that is not UTF-8 is left out', 'user.\xff', undefined],
  ['a name that a tar would cut is left out', 'user.a=b', undefined],
]
for (const [reason, name, kept] of NAMES) {
  test(`attributes: ${reason}`, () => {
    writeFileSync('attributes', '')
    const descriptor = openSync('attributes', 'r+')
    setXattr(descriptor, name, Buffer.from('value'))
    const { xattrs, leftOut } = new XattrReader(options).read(descriptor, () => 'attributes')
    assert.deepEqual(
      xattrs.map(([key]) => key),
      kept === undefined ? [] : [kept],
    )
    assert.equal(
      leftOut,
      kept === undefined ? 'only its extended attributes whose names a layer cannot hold' : undefined,
    )
    closeSync(descriptor)
    rmSync('attributes')
  })
}

test('overlay says that it holds metadata only: refused', () => {
  writeFileSync('attributes', '')
  const descriptor = openSync('attributes', 'r+')
  setXattr(descriptor, 'trusted.overlay.metacopy', new Uint8Array(0))
  const read = () => new XattrReader(options).read(descriptor, () => 'attributes')
  assert.throws(read, (error) => error instanceof AppError && error.code === 'overlay_unsupported')
  closeSync(descriptor)
})
