import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { AT_FDCWD, cString, statxAt } from '#posix/libc.ts'
import { copyStat } from '#posix/stat.ts'
import { OP, type Segment } from './plan.ts'
import { DiskReads, FileFetcher, LookAhead } from './read-ahead.ts'
import { allocateRows, ROOT, Rows } from './rows.ts'

const MIB = 1 << 20
const scratch = mkdtempSync('/var/tmp/read-ahead-') // on a disk: /tmp may be a tmpfs
const before = process.cwd()
process.chdir(scratch) // the reader's paths are relative to its root
after(() => {
  process.chdir(before)
  rmSync(scratch, { recursive: true })
})

const segmentOf = (layer: number): Segment => ({ layer, ops: Float64Array.of(layer), files: 1, isLast: false })

test('segments come in their order; while the disk is cold each later one is told once, before its turn', () => {
  const answers = [false, true, true, false]
  const lookAhead = new LookAhead(
    Array.from({ length: 40 }, (_, i) => segmentOf(i)).values(),
    () => answers.shift() ?? true,
  )
  const told = new Set<number>()
  for (let i = 0; i < 40; i++) {
    const { segment, ahead } = lookAhead.next()!
    assert.equal(segment.layer, i)
    if (i === 0 || i === 3) assert.equal(ahead.length, 0)
    if (i === 1)
      assert.deepEqual(
        ahead,
        Array.from({ length: 16 }, (_, later) => Float64Array.of(i + 1 + later)),
      )
    for (const [layer = 0] of ahead) {
      assert.ok(layer > i && !told.has(layer))
      told.add(layer)
    }
  }
  assert.equal(told.size, 38)
  assert.equal(lookAhead.next(), undefined)
})

test('a file that comes from the disk is noticed, one from the page cache is not', () => {
  const path = writeCold('read', 4 * MIB)
  const reads = new DiskReads()
  readFileSync(path)
  assert.equal(reads.isCold(), true)
  readFileSync(path)
  assert.equal(reads.isCold(), false)
})

test('the part of a file that a segment needs is fetched, and nothing of a file with holes', async () => {
  const path = writeCold('entry', 4 * MIB)
  truncateSync(writeCold('holes', MIB), 2 * MIB)
  const rows = rowsOf('entry', 'holes', 'gone')
  const [whole, half] = [4 * MIB, 2 * MIB]
  new FileFetcher(rows).fetch(
    Float64Array.of(OP.header, ROOT, 0, 0, OP.file, 1, half, whole, OP.file, 2, 0, half, OP.file, 3, 0, MIB),
  )
  const deadline = performance.now() + 60_000
  while (cachedBytes(path) < half && performance.now() < deadline) await wait(5)
  assert.equal(cachedBytes(path), half)
  assert.equal(cachedBytes(join(scratch, 'holes')), 0)
})

/** A file of which nothing is in the page cache. */
function writeCold(name: string, bytes: number): string {
  const path = join(scratch, name)
  writeFileSync(path, Buffer.alloc(bytes, 1))
  execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'])
  assert.equal(cachedBytes(path), 0)
  return path
}

function cachedBytes(path: string): number {
  return Number(execFileSync('fincore', ['--bytes', '--noheadings', '--output', 'RES', path], { encoding: 'utf8' }))
}

/** Rows as a walk makes them: the root, and entries of it; the last has gone since. */
function rowsOf(...names: readonly string[]): Rows {
  writeFileSync(join(scratch, 'gone'), Buffer.alloc(MIB))
  const rows = new Rows(allocateRows(10))
  for (const name of ['', ...names]) {
    const row = rows.allocate(1)
    rows.setName(row, name)
    const statx = new Uint32Array(64)
    assert.equal(statxAt(AT_FDCWD, cString(name === '' ? '.' : name), statx), 0)
    copyStat(statx, rows.words, rows.stat(row))
    rows.setParent(row, ROOT)
  }
  rmSync(join(scratch, 'gone'))
  return rows
}
