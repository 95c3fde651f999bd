import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makeDirectory } from './make-directory.ts'

const root = mkdtempSync(join(tmpdir(), 'make-directory-'))
after(() => rmSync(root, { recursive: true }))

test('what is missing is made, with its mode, and the topmost of it is named', async () => {
  assert.equal(await makeDirectory(join(root, 'a/b/c'), 0o700), join(root, 'a'))
  assert.equal(statSync(join(root, 'a')).mode & 0o777, 0o700)
  assert.equal(await makeDirectory(join(root, 'a/b/c/d')), join(root, 'a/b/c/d'))
  assert.ok(existsSync(join(root, 'a/b/c/d')))
})

test('what is there is left alone', async () => {
  assert.equal(await makeDirectory(join(root, 'there')), join(root, 'there'))
  assert.equal(await makeDirectory(join(root, 'there')), undefined)
  assert.equal(await makeDirectory('/'), undefined)
})

test('two at the same time both succeed', async () => {
  const both = await Promise.all([makeDirectory(join(root, 'x/y/z')), makeDirectory(join(root, 'x/y/z'))])
  assert.equal(both.length, 2)
  assert.ok(existsSync(join(root, 'x/y/z')))
})

const IMPOSSIBLE: readonly (readonly [string, string, string])[] = [
  ['a directory in which nothing can be made ends, and does not turn in circles', '/proc/tintype/x', 'ENOENT'],
  ['below a file', `${root}/file/x/y`, 'ENOTDIR'],
  ['a file', `${root}/file`, 'EEXIST'],
  ['a name that is too long', `${root}/${'n'.repeat(256)}/x`, 'ENAMETOOLONG'],
]
for (const [reason, path, code] of IMPOSSIBLE)
  test(`${reason}: ${code}`, async () => {
    writeFileSync(join(root, 'file'), '')
    await assert.rejects(makeDirectory(path), { code })
  })
