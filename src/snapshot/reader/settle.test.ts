import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FILE_TYPE, STAT } from '#posix/stat.ts'
import { allocateRows, FLAG, ROOT, Rows } from './rows.ts'
import { sawOneState, settle } from './settle.ts'

/** A row that is not yet among its parent's children. */
function add(rows: Rows, parent: number, name: string, kind: 'directory' | 'regular'): number {
  const row = rows.allocate(1)
  rows.setName(row, name)
  rows.setParent(row, parent)
  rows.words[rows.stat(row) + STAT.mode] = FILE_TYPE[kind] | 0o755
  rows.setFlags(row, FLAG.changed)
  return row
}

/** `/a` with `/a/x`, as an earlier pass has left them. */
function world() {
  const rows = new Rows(allocateRows(100))
  rows.allocate(1)
  rows.words[rows.stat(ROOT) + STAT.mode] = FILE_TYPE.directory | 0o755
  const a = add(rows, ROOT, 'a', 'directory')
  rows.setChildren(ROOT, a, 1)
  const x = add(rows, a, 'x', 'regular')
  rows.setChildren(a, x, 1)
  for (const row of [ROOT, a, x]) rows.setFlags(row, FLAG.emitted)
  return { rows, a, x }
}

/** Every path that is listed from the root; throws where a row does not know the row that lists it. */
function listed(rows: Rows, directory = ROOT): readonly string[] {
  return Array.from({ length: rows.childCount(directory) }, (_, i) => rows.firstChild(directory) + i).flatMap((row) => {
    assert.equal(rows.parent(row), directory, `the parent of ${rows.path(row)}`)
    return [rows.path(row), ...(rows.isDirectory(row) ? listed(rows, row) : [])]
  })
}

// attacks.md B3: a directory that the walk does not find must be one that its parent does not list either.
const STATES: readonly (readonly [what: string, isOneState: boolean, gone: 'a' | 'x' | undefined, moved: number])[] = [
  ['a directory was missing, and so it was in its parent', true, 'a', 0],
  ['a directory was missing, which its parent still lists', false, undefined, 0],
  ['a directory was missing, and something else in it', false, 'x', 0],
  ['an entry changed', false, 'a', 1],
]
for (const [what, isOneState, gone, moved] of STATES)
  test(`${isOneState ? 'one state' : 'not one state'}: ${what}`, () => {
    const { rows, a, x } = world()
    if (gone) rows.mark(gone === 'a' ? a : x, FLAG.gone)
    assert.equal(sawOneState(rows, [{ blocks: [], missing: [a], moved, excluded: [] }]), isOneState)
  })

const ORDERS: readonly (readonly [order: string, isParentFirst: boolean])[] = [
  ['its parent is merged first', true],
  ['it is merged first', false],
]
for (const [order, isParentFirst] of ORDERS)
  test(`entries appear in a directory and in its parent at once: ${order}`, () => {
    const { rows, a } = world()
    const top = [ROOT, add(rows, ROOT, 'A', 'regular'), 1]
    const inner = [a, add(rows, a, 'y', 'directory'), 1]
    const blocks = isParentFirst ? [...top, ...inner] : [...inner, ...top]
    settle(rows, [{ blocks, missing: [], moved: 0, excluded: [] }])
    assert.deepEqual(listed(rows), ['A', 'a', 'a/x', 'a/y'])
  })

test('of two entries with one name the later one is there, and hides what an earlier layer holds', () => {
  const { rows, x, a } = world()
  rows.mark(x, FLAG.gone)
  const block = [a, add(rows, a, 'x', 'directory'), 1]
  settle(rows, [{ blocks: block, missing: [], moved: 0, excluded: [] }])
  assert.deepEqual(listed(rows), ['a', 'a/x'])
  const successor = rows.firstChild(a)
  assert.ok(rows.has(successor, FLAG.emitted) && rows.has(successor, FLAG.opaqueNow))
})
