import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { overlayMarks, xattrNames } from './overlay-marks.ts'

function openFile(t: TestContext, attributes: Readonly<Record<string, string>>): number {
  const directory = mkdtempSync(join(tmpdir(), 'marks-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'file')
  writeFileSync(path, '')
  for (const [name, value] of Object.entries(attributes)) execFileSync('setfattr', ['-n', name, '-v', value, path])
  const descriptor = openSync(path, 'r')
  t.after(() => closeSync(descriptor))
  return descriptor
}

test('all names are listed, few or many', (t) => {
  for (const count of [0, 1, 80]) {
    const wanted = Array.from({ length: count }, (_, i) => `user.a-name-of-some-length.${i}`)
    const descriptor = openFile(t, Object.fromEntries(wanted.map((name) => [name, 'x'])))
    const { names, isCut } = xattrNames(descriptor, 'trusted.overlay.')
    assert.deepEqual([[...names].sort(), isCut], [wanted.sort(), false])
  }
})

const NONE = { isOpaque: false, hasXattrWhiteouts: false, isWhiteout: false, isCopiedUp: false }
const MARKS: readonly (readonly [string, Readonly<Record<string, string>>, object])[] = [
  ['none', {}, {}],
  ['opaque', { 'trusted.overlay.opaque': 'y' }, { isOpaque: true }],
  ['whiteouts by attribute', { 'trusted.overlay.opaque': 'x' }, { hasXattrWhiteouts: true }],
  ['a whiteout by attribute', { 'trusted.overlay.whiteout': 'y' }, { isWhiteout: true }],
  ['copied up from a file system whose files have no handles', { 'trusted.overlay.origin': '' }, { isCopiedUp: true }],
  ["what only looks like overlay's", { 'user.overlay.opaque': 'y', 'user.overlay.origin': '' }, {}],
]
for (const [name, attributes, marks] of MARKS) {
  test(`overlay's marks: ${name}`, (t) =>
    assert.deepEqual(overlayMarks(openFile(t, attributes), 'a', 'trusted.overlay.'), { ...NONE, ...marks }))
}

for (const [attribute, option] of [
  ['redirect', 'redirect_dir'],
  ['metacopy', 'metacopy'],
] as const) {
  test(`${option} in use is refused, and the path is named`, (t) => {
    const descriptor = openFile(t, { [`trusted.overlay.${attribute}`]: '/elsewhere' })
    assert.throws(() => overlayMarks(descriptor, 'some/path', 'trusted.overlay.'), {
      code: 'overlay_unsupported',
      message: new RegExp(`/some/path .* ${option}`),
    })
  })
}
