import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FILE_TYPE, STAT } from '#posix/stat.ts'
import { summarize } from './preview.ts'
import { allocateRows, ROOT, Rows } from './rows.ts'

type Tree = { readonly [name: string]: number | Tree }

/** Rows as a walk leaves them: a number is a regular file of so many bytes. */
function rowsOf(tree: Tree): Rows {
  const rows = new Rows(allocateRows(1000))
  rows.allocate(1)
  rows.setName(ROOT, '')
  const fill = (directory: number, entries: Tree) => {
    rows.words[rows.stat(directory) + STAT.mode] = FILE_TYPE.directory
    const names = Object.keys(entries).sort()
    const first = rows.allocate(names.length)
    rows.setChildren(directory, first, names.length)
    for (const [i, name] of names.entries()) {
      const entry = entries[name] ?? 0
      rows.setName(first + i, name)
      rows.setParent(first + i, directory)
      if (typeof entry !== 'number') fill(first + i, entry)
      else {
        rows.words[rows.stat(first + i) + STAT.mode] = FILE_TYPE.regular
        rows.words[rows.stat(first + i) + STAT.size] = entry
      }
    }
  }
  fill(ROOT, tree)
  return rows
}

const SECRETS: readonly (readonly [path: string, looksSecret: boolean])[] = [
  ['root/.ssh/id_ed25519', true],
  ['.env', true],
  ['srv/tls/server.key', true],
  ['root/.aws/credentials', true],
  ['.docker/config.json', true],
  ['root/.kube/config', true],
  ['root/.cache/huggingface/token', true],
  ['root/.huggingface/token', true],
  ['etc/.ssh/ssh_host_rsa_key', true],
  ['etc/ssh/ssh_host_rsa_key', false],
  ['srv/config.json', false],
  ['srv/credentials', false],
  ['root/.aws/credentials.bak', false],
]
for (const [path, looksSecret] of SECRETS) {
  test(`${path} ${looksSecret ? 'looks' : 'does not look'} like a secret`, () => {
    const tree = path.split('/').reduceRight<Tree | number>((inner, name) => ({ [name]: inner }), 1) as Tree
    assert.deepEqual(summarize(rowsOf(tree), []).secrets, looksSecret ? [path] : [])
  })
}

test('what is excluded is told by itself, and is in no total, largest file or secret', () => {
  const tree = { opt: { cache: { big: 900, '.env': 1 }, small: 7 }, top: 30 }
  const { entries, rawBytes, directories, files, excluded, secrets } = summarize(rowsOf(tree), ['/opt/cache', '/none'])
  assert.deepEqual({ entries, rawBytes }, { entries: 4, rawBytes: 37 })
  assert.deepEqual(directories, [{ path: 'opt', bytes: 7, entries: 2 }])
  assert.deepEqual(files, [
    { path: 'top', bytes: 30 },
    { path: 'opt/small', bytes: 7 },
  ])
  assert.deepEqual(excluded, [
    { path: 'opt/cache', bytes: 901, entries: 3 },
    { path: 'none', bytes: 0, entries: 0 },
  ])
  assert.deepEqual(secrets, [])
})

test('the twenty largest files are named, largest first, whatever their order', () => {
  const tree = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`f${i}`, (i * 7) % 300]))
  const { files } = summarize(rowsOf(tree), [])
  assert.deepEqual(
    files.map(({ bytes }) => bytes),
    Array.from({ length: 20 }, (_, i) => 299 - i),
  )
})
