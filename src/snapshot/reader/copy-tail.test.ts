import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AT_FDCWD, cString, statxAt } from '#posix/libc.ts'
import { copyStat } from '#posix/stat.ts'
import { copyTail } from './copy-tail.ts'
import { allocateRows, ROOT, Rows } from './rows.ts'

const scratch = mkdtempSync(join(tmpdir(), 'copy-tail-'))
const before = process.cwd()
process.chdir(scratch) // the reader's paths are relative to its root
after(() => {
  process.chdir(before)
  rmSync(scratch, { recursive: true })
})

const options = { overlayPrefix: 'trusted.overlay.', toImageUid: (id: number) => id, hasIdMap: false } as const

/** The root and its entry `file`, as the walk of a freeze saw them. */
function rowsOfFile(): { readonly rows: Rows; readonly row: number } {
  const rows = new Rows(allocateRows(10))
  const [, row = NaN] = ['', 'file'].map((name) => {
    const added = rows.allocate(1)
    const statx = new Uint32Array(64)
    assert.equal(statxAt(AT_FDCWD, cString(name || '.'), statx), 0)
    rows.setName(added, name)
    copyStat(statx, rows.words, rows.stat(added))
    rows.setParent(added, ROOT)
    return added
  })
  return { rows, row }
}

/** What is in the tail after the file's content was copied there; undefined where it was refused. */
function tailOf(disturb: () => void): string | undefined {
  writeFileSync('file', 'content')
  const { rows, row } = rowsOfFile()
  disturb()
  const tail = openSync('tail', 'w+')
  try {
    return copyTail(rows, [[row, 0]], tail, options) && readFileSync('tail', 'utf8')
  } finally {
    closeSync(tail)
  }
}

/** Until a later tick of the kernel's clock says so: some kernels give two writes within 4 ms the same ctime. */
function overwrite(): void {
  const ctimeNs = () => lstatSync('file', { bigint: true }).ctimeNs
  const before = ctimeNs()
  while (ctimeNs() === before) writeFileSync('file', 'CONTENT', { flag: 'r+' })
}

test('what stands still is copied', () => {
  assert.equal(
    tailOf(() => {}),
    'content',
  )
})

const DISTURBANCES: readonly (readonly [what: string, disturb: () => void])[] = [
  ['was written to in place', overwrite],
  ['has grown', () => appendFileSync('file', 'more')],
  ['has shrunk', () => writeFileSync('file', 'c')],
  ['has got another mode', () => chmodSync('file', 0o640)],
  ['has gone', () => rmSync('file')],
]
for (const [what, disturb] of DISTURBANCES)
  test(`a file that ${what} since the walk of the freeze makes it void`, () => {
    assert.equal(tailOf(disturb), undefined)
  })

for (const [what, disturb, expected] of [
  ['stands still', () => {}, 'target'],
  ['was replaced', () => symlinkSync('other', 'made') ?? renameSync('made', 'file'), undefined],
] as const)
  test(`a symlink that ${what} since the walk of the freeze is ${expected ? 'copied' : 'void'}`, () => {
    rmSync('file', { force: true })
    symlinkSync('target', 'file')
    const { rows, row } = rowsOfFile()
    disturb()
    const kept = copyTail(rows, [[row, 0]], -1, options)
    rmSync('file')
    assert.equal(kept && Buffer.from(kept[0]![1].link!).toString(), expected)
  })

test('a tail without room is told as such', () => {
  writeFileSync('file', 'content')
  const { rows, row } = rowsOfFile()
  const tail = openSync('/dev/full', 'w')
  try {
    assert.throws(() => copyTail(rows, [[row, 0]], tail, options), {
      code: 'spool_full',
      message: /^The spool has no room/,
    })
  } finally {
    closeSync(tail)
  }
})
