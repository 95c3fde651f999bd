import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { makeTree } from '#lab/tree.ts'

/** Path, mode, time and content of every file below a directory. */
function contentOf(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = `${entry.parentPath}/${entry.name}`
      const { mode, mtimeMs } = statSync(path)
      const digest = createHash('sha256').update(readFileSync(path)).digest('hex')
      return `${digest} ${mode} ${mtimeMs} ${path.slice(directory.length)}`
    })
    .toSorted()
}

test('a tree has the files it was asked for, none equal to another, and is the same each time', async (t) => {
  const [first, second] = [1, 2].map(() => mkdtempSync(`${tmpdir()}/tintype-tree-`)) as [string, string]
  t.after(() => [first, second].forEach((directory) => rmSync(directory, { recursive: true })))
  const tree = await makeTree(first, { files: 200 })
  await makeTree(second, { files: 200 })
  const content = contentOf(first)
  assert.equal(content.length, 200)
  assert.equal(tree.files, 200)
  assert.equal(new Set(content.map((line) => line.split(' ')[0])).size, 200)
  assert.deepEqual(contentOf(second), content)
})

test('a tree that is cancelled stops', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-tree-`)
  t.after(() => rmSync(directory, { recursive: true }))
  await assert.rejects(makeTree(directory, { signal: AbortSignal.abort() }), { code: 'cancelled' })
})
