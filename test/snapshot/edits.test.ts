/** The properties are worth what their edits are: each kind of them happens, and does what it is called. */
import assert from 'node:assert/strict'
import { lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { applyEdits, bases, edits, KINDS } from './edits.ts'

const root = mkdtempSync(join(tmpdir(), 'edits-'))
after(() => rmSync(root, { recursive: true }))

const lines = Object.entries(KINDS).map(([kind, line]) => fc.record({ kind: fc.constant(kind), line }))

test('each kind of edit takes effect', () => {
  const history = fc.record({ base: bases, batch: fc.array(fc.oneof(...lines), { minLength: 60, maxLength: 60 }) })
  const effective = new Set<string>()
  for (const { base, batch } of fc.sample(history, { seed: 1, numRuns: 10 })) {
    const directory = mkdtempSync(join(root, 'tree-'))
    applyEdits(base, directory)
    const done = applyEdits(
      batch.map(({ line }) => line),
      directory,
    )
    for (const [i, { kind }] of batch.entries()) if (done[i]) effective.add(kind)
  }
  assert.deepEqual([...effective].toSorted(), Object.keys(KINDS).toSorted())
})

test('a rewrite leaves size and mtime as they were, to the nanosecond', () => {
  const kind = KINDS['rewrite in the same size, with the mtime set back']
  assert.ok(kind)
  const path = join(root, 'a')
  writeFileSync(path, 'some text')
  const before = lstatSync(path, { bigint: true })
  const done = fc.sample(kind, { seed: 1, numRuns: 200 }).find((line) => line.includes("'a' "))
  assert.ok(done)
  assert.deepEqual(applyEdits([done], root), [true])
  const after = lstatSync(path, { bigint: true })
  assert.deepEqual([after.size, after.mtimeNs, after.ino], [before.size, before.mtimeNs, before.ino])
  assert.match(readFileSync(path, 'latin1'), /^\d{9}$/)
})

test('edits that do not apply do nothing, and say so', () => {
  assert.deepEqual(applyEdits(['rm nothing', 'true', 'echo x > pipe/x'], root), [false, true, false])
  assert.deepEqual(applyEdits([], root), [])
  assert.ok(fc.sample(edits, { seed: 1, numRuns: 20 }).some((each) => each.length > 6))
})
