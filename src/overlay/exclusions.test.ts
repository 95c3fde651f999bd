import assert from 'node:assert/strict'
import { test } from 'node:test'
import { groupByDirectory, parseExclusion, toBytePath } from './exclusions.ts'

const VALID: readonly (readonly [string, string, string])[] = [
  ['/root/.cache', '/root/.cache', 'a plain path'],
  ['/root/.cache/', '/root/.cache', 'a slash at the end'],
  ['//root///x', '/root/x', 'doubled slashes'],
  ['/a b/c\nd', '/a b/c\nd', 'spaces and newlines'],
  ['/...', '/...', 'three dots are a name'],
  ['/*', '/*', 'a star is a name: there are no globs'],
  ['/ü', '/Ã¼', 'one char a byte'],
]
for (const [text, path, name] of VALID) test(`an exclusion: ${name}`, () => assert.equal(parseExclusion(text), path))

const INVALID: readonly (readonly [string, RegExp])[] = [
  ['root', /"root" must be an absolute path/],
  ['', /"" must be an absolute path/],
  ['/a/../b', /"\/a\/\.\.\/b" has a "\." or "\.\." part/],
  ['/a/.', /has a "\." or "\.\." part/],
  ['/', /leaves nothing to save/],
  ['///', /leaves nothing to save/],
  ['/a\0b', /has a NUL byte/],
]
for (const [text, message] of INVALID) {
  test(`no exclusion: ${JSON.stringify(text)}`, () =>
    assert.throws(() => parseExclusion(text), { code: 'exclusion_invalid', message }))
}

test('exclusions are grouped by the directory that lists them', () => {
  const grouped = groupByDirectory(['/a', '/b/c', '/b/d', toBytePath('/b/ü')])
  assert.deepEqual([...(grouped.get('') ?? [])], ['a'])
  assert.deepEqual([...(grouped.get('/b') ?? [])], ['c', 'd', 'Ã¼'])
  assert.equal(grouped.get('/a'), undefined)
})
