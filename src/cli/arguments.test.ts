import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { nearestName, parseArguments } from './arguments.ts'

const SYNTAX = {
  command: 'save',
  positionals: ['THING', '[PLACE]'],
  options: { exclude: 'values', name: 'value', level: 'value', kind: 'value', json: 'flag', overwrite: 'flag' },
} as const

test('arguments and options in any order, values with and without "="', () => {
  const given = parseArguments(SYNTAX, ['--json', 'a', '--exclude', '/x', '--name=--odd', 'b', '--exclude=/y'])
  assert.deepEqual(given.positionals, ['a', 'b'])
  assert.deepEqual(given.values('exclude'), ['/x', '/y'])
  assert.equal(given.value('name'), '--odd')
  assert.equal(given.hasFlag('json'), true)
  assert.equal(given.hasFlag('overwrite'), false)
  assert.equal(given.value('level'), undefined)
})

test('everything after "--" is an argument', () => {
  assert.deepEqual(parseArguments(SYNTAX, ['--', '--json', '-x']).positionals, ['--json', '-x'])
})

test('an argument in brackets may be left out', () => {
  assert.deepEqual(parseArguments(SYNTAX, ['a']).positionals, ['a'])
})

const MISTAKES: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a missing argument', [], /^tintype save needs THING: write "tintype save THING \[PLACE\]"\.$/],
  ['an argument too many', ['a', 'b', 'c'], /does not know what to do with "c"/],
  ['an empty argument', [''], /needs THING, and an empty one was given/],
  ['a mistyped option', ['a', '--exlude', '/x'], /has no option "--exlude": did you mean --exclude\?$/],
  ['an option that is like none', ['a', '--frobnicate'], /has no option "--frobnicate": it has --exclude, /],
  ['a short option', ['a', '-n', 'x'], /has no option "-n"/],
  ['a name that every object has', ['a', '--constructor'], /has no option "--constructor"/],
  ['a value that is missing', ['a', '--name'], /--name needs a value: write --name VALUE/],
  ['an empty value', ['a', '--name='], /--name needs a value/],
  [
    'an option where a value belongs',
    ['a', '--name', '--json'],
    /--name needs a value, and "--json" looks like an option: write --name=VALUE/,
  ],
  ['a flag with a value', ['a', '--json=yes'], /--json takes no value: write it alone/],
  ['an option twice', ['a', '--name', 'x', '--name', 'y'], /--name is given twice/],
]
for (const [reason, args, pattern] of MISTAKES) {
  test(`${reason} is one sentence`, () => {
    assert.throws(
      () => parseArguments(SYNTAX, args),
      (error: unknown) => {
        assert.ok(error instanceof AppError)
        assert.equal(error.code, 'usage_invalid')
        assert.match(error.message, pattern)
        assert.doesNotMatch(error.message, /\n/)
        return true
      },
    )
  })
}

test('numbers are whole and within their range', () => {
  const range = { min: 1, max: 19 }
  const level = (text: string) => parseArguments(SYNTAX, ['a', '--level', text]).whole('level', range)
  assert.equal(level('19'), 19)
  for (const text of ['0', '20', '1.5', '1e1', 'x', '-3', '99999999999999999'])
    assert.throws(() => level(text), /--level must be a whole number from 1 to 19, not/, text)
})

test('a choice names what there is to choose', () => {
  const kind = (text: string) => parseArguments(SYNTAX, ['a', '--kind', text]).choice('kind', ['x', 'y', 'z'])
  assert.equal(kind('y'), 'y')
  assert.throws(() => kind('w'), /--kind must be x, y or z, not "w"/)
})

test('any value that is joined by "=" arrives as it is', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (value) => {
      assert.equal(parseArguments(SYNTAX, ['a', `--name=${value}`]).value('name'), value)
    }),
  )
})

test('any arguments at all parse, or are one mistake of usage', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('--json', '--name', '--exclude', '-x', '--', 'a'))),
      (args) => {
        try {
          parseArguments(SYNTAX, args)
        } catch (error) {
          assert.ok(error instanceof AppError && error.code === 'usage_invalid', String(error))
        }
      },
    ),
  )
})

test('the nearest name is near', () => {
  assert.equal(nearestName('snapshto', ['snapshot', 'preview']), 'snapshot')
  assert.equal(nearestName('frobnicate', ['snapshot', 'preview']), undefined)
  assert.equal(nearestName('x', []), undefined)
})
