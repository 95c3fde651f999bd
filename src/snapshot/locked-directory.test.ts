import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { makeLockedDirectory, sweepLockedDirectories } from './locked-directory.ts'

const PREFIXES = ['dead-', 'living-']

function parentOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'locked-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('one that its maker left is removed, wherever the maker died', async (t) => {
  const parent = parentOf(t)
  const make = (name: string, files: readonly string[]) => {
    mkdirSync(join(parent, name))
    for (const file of files) writeFileSync(join(parent, name, file), 'secret')
    return name
  }
  make('dead-before-its-lock', [])
  make('dead-after-its-lock', ['lock'])
  make('dead-in-the-middle', ['lock', 'frames'])
  make('dead-while-it-was-removed', ['frames'])
  await using living = await makeLockedDirectory(parent, 'living-')
  writeFileSync(join(living.path, 'frames'), 'mine')
  await sweepLockedDirectories(parent, PREFIXES)
  assert.deepEqual(
    readdirSync(parent).map((name) => join(parent, name)),
    [living.path],
  )
  assert.deepEqual(readdirSync(living.path).toSorted(), ['frames', 'lock'])
})

test('what is not ours or no directory stays, and nothing is made behind a link', async (t) => {
  const parent = parentOf(t)
  const elsewhere = parentOf(t)
  writeFileSync(join(parent, 'dead-file'), '')
  mkdirSync(join(parent, 'lost+found'))
  symlinkSync(join(elsewhere, 'nothing'), join(parent, 'dead-broken'))
  mkdirSync(join(parent, 'dead-linked'))
  symlinkSync(join(elsewhere, 'lock'), join(parent, 'dead-linked', 'lock'))
  await sweepLockedDirectories(parent, PREFIXES)
  const left = ['dead-broken', 'dead-file', 'dead-linked', 'lost+found']
  assert.deepEqual([readdirSync(parent).toSorted(), readdirSync(elsewhere)], [left, []])
})

test('sweeps beside makers and removers take nothing of a living one, and leave nothing of a dead one', async (t) => {
  const parent = parentOf(t)
  let isOver = false
  const sweeping = Array.from({ length: 4 }, async () => {
    while (!isOver) await sweepLockedDirectories(parent, PREFIXES)
  })
  const using = Array.from({ length: 8 }, async () => {
    for (let i = 0; i < 40; i++) {
      await using mine = await makeLockedDirectory(parent, 'living-')
      for (const name of ['a', 'b', 'z']) writeFileSync(join(mine.path, name), '')
      await new Promise(setImmediate)
      assert.ok(['a', 'b', 'z', 'lock'].every((name) => existsSync(join(mine.path, name))))
    }
  })
  await Promise.all(using)
  isOver = true
  await Promise.all(sweeping)
  await sweepLockedDirectories(parent, PREFIXES)
  assert.deepEqual(readdirSync(parent), [])
})
