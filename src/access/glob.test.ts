import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileGlob } from './glob.ts'

const ROWS: readonly (readonly [pattern: string, text: string, matches: boolean])[] = [
  ['', '', true],
  ['', 'a', false],
  ['a', 'a', true],
  ['a', 'A', false],
  ['*', '', true],
  ['*', 'anything', true],
  ['**', '', true],
  ['a*', 'a', true],
  ['*a', 'ba', true],
  ['*a', 'ab', false],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['?', '', false],
  ['?', 'a', true],
  ['?', 'ab', false],
  ['??*', 'a', false],
  ['*?*', 'a', true],
  ['a*b?c', 'axxbyc', true],
  ['a*b?c', 'abc', false],
  ['paidsw:*Get*', 'paidsw:BatchGetThings', true],
  ['pai:*', 'paidsw:GetInstance', false],
  ['registry.example.com/u1/*', 'registry.example.com/u1/tools', true],
  ['registry.example.com/u1/*', 'registry.example.com/u10/tools', false],
  ['a.c', 'abc', false],
  ['[ab]', 'a', false],
  ['a+', 'aa', false],
  ['a\\*', 'a\\b', true],
  ['*ab*ab*', 'abab', true],
  ['*ab*ab', 'aab', false],
]
for (const [pattern, text, matches] of ROWS) {
  test(`"${pattern}" ${matches ? 'matches' : 'does not match'} "${text}"`, () =>
    assert.equal(compileGlob(pattern)(text), matches))
}

/** Read straight from the meaning, exponential and plain. */
function naive(pattern: string, text: string): boolean {
  if (pattern === '') return text === ''
  if (pattern[0] === '*') return naive(pattern.slice(1), text) || (text !== '' && naive(pattern, text.slice(1)))
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && naive(pattern.slice(1), text.slice(1))
}

test('the matcher agrees with a plain one', () => {
  const patterns = fc.stringMatching(/^[ab*?]{0,8}$/)
  fc.assert(
    fc.property(patterns, fc.stringMatching(/^[abc]{0,10}$/), (pattern, text) => {
      assert.equal(compileGlob(pattern)(text), naive(pattern, text))
    }),
    { numRuns: 3000 },
  )
})

test('hostile patterns take no longer than pattern times text', () => {
  const text = `${'a'.repeat(4000)}b`
  for (const pattern of ['*a'.repeat(2000), '*?a'.repeat(2000), `${'*a'.repeat(2000)}*c`, `*${'?'.repeat(3000)}c*c`]) {
    const matches = compileGlob(pattern)
    const before = process.cpuUsage()
    assert.equal(matches(text), false)
    const { user, system } = process.cpuUsage(before) // not wall: other work is on this machine
    assert.ok((user + system) / 1000 < 10_000, pattern.slice(0, 10)) // backtracking would take longer than the universe is old
  }
})
