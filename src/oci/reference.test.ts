import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { parseDigest } from './digest.ts'
import { formatReference, parseReference } from './reference.ts'
import type { Reference } from './reference.ts'

const HEX = '0123456789abcdef'.repeat(4)
const DIGEST = parseDigest(`sha256:${HEX}`)
const LONG = 'a'.repeat(255)

const VALID: readonly [text: string, expected: Reference, reason: string][] = [
  ['python', { registry: 'docker.io', repository: 'library/python' }, 'a familiar name is an official one, untagged'],
  ['python:3.12', { registry: 'docker.io', repository: 'library/python', tag: '3.12' }, 'a familiar name with a tag'],
  ['docker.io/python', { registry: 'docker.io', repository: 'library/python' }, 'official, with the registry written'],
  ['index.docker.io/a/b', { registry: 'docker.io', repository: 'a/b' }, 'the old name of Docker Hub'],
  [
    'Registry-1.Docker.io/python',
    { registry: 'docker.io', repository: 'library/python' },
    'where Docker Hub is, in any case',
  ],
  ['team/tool', { registry: 'docker.io', repository: 'team/tool' }, 'a first part without a dot is no registry'],
  ['localhost/tool', { registry: 'localhost', repository: 'tool' }, 'localhost is a registry'],
  ['localhost:5000/tool:x', { registry: 'localhost:5000', repository: 'tool', tag: 'x' }, 'a port and a tag'],
  ['host:5000/a/b/c', { registry: 'host:5000', repository: 'a/b/c' }, 'a port makes a registry; deep repository'],
  ['[::1]:5000/tool', { registry: '[::1]:5000', repository: 'tool' }, 'an IPv6 registry with a port'],
  ['[2001:db8::1]/tool', { registry: '[2001:db8::1]', repository: 'tool' }, 'an IPv6 registry without a port'],
  ['127.0.0.1:1/t', { registry: '127.0.0.1:1', repository: 't' }, 'an IPv4 registry, the lowest port'],
  ['Reg/tool', { registry: 'Reg', repository: 'tool' }, 'a capital cannot be a repository: it is a registry'],
  ['r.io/a__b/c--d.e_f', { registry: 'r.io', repository: 'a__b/c--d.e_f' }, 'every separator'],
  [`r.io/a@${DIGEST}`, { registry: 'r.io', repository: 'a', digest: DIGEST }, 'a digest'],
  [`r.io/a:t@${DIGEST}`, { registry: 'r.io', repository: 'a', tag: 't', digest: DIGEST }, 'a tag and a digest'],
  [`a@${DIGEST}`, { registry: 'docker.io', repository: 'library/a', digest: DIGEST }, 'a familiar name with a digest'],
  [`r.io/a:${'t'.repeat(128)}`, { registry: 'r.io', repository: 'a', tag: 't'.repeat(128) }, 'the longest tag'],
  [`r.io/${LONG}`, { registry: 'r.io', repository: LONG }, 'the longest repository'],
  ['r.io/a:_.-', { registry: 'r.io', repository: 'a', tag: '_.-' }, 'a tag may begin with an underscore'],
]

for (const [text, expected, reason] of VALID) {
  test(`reference: ${reason}`, () => {
    const reference = parseReference(text)
    assert.deepEqual(reference, expected)
    assert.deepEqual(parseReference(formatReference(reference)), expected)
  })
}

const INVALID: readonly [text: string, sentence: RegExp, reason: string][] = [
  ['', /it is empty/, 'nothing'],
  [HEX, /image id/, 'an image id'],
  ['r.io/a:', /tag must be/, 'an empty tag'],
  ['r.io/a:.x', /tag must be/, 'a tag that begins with a dot'],
  ['r.io/a:-x', /tag must be/, 'a tag that begins with a dash'],
  [`r.io/a:${'t'.repeat(129)}`, /tag must be/, 'a tag of 129 characters'],
  ['r.io/a:ü', /tag must be/, 'a tag outside ASCII'],
  ['r.io/a:b:c', /tag must be/, 'two tags'],
  ['r.io/a:t\n', /tag must be/, 'a line break after the tag'],
  ['Python', /lower case/, 'a capital in a familiar name'],
  ['r.io/Team/tool', /lower case/, 'a capital in the repository'],
  ['r.io/', /repository is missing/, 'a registry alone'],
  ['r.io/:tag', /repository is missing/, 'a tag without a repository'],
  ['r.io/a//b', /empty part/, 'two slashes'],
  ['r.io/a/', /empty part/, 'a slash at the end'],
  ['/a', /no host name/, 'a slash at the start'],
  [':5000/a', /no host name/, 'a port without a host'],
  ['r.io/a..b', /joined by/, 'two dots'],
  ['r.io/a___b', /joined by/, 'three underscores'],
  ['r.io/-a', /joined by/, 'a part that begins with a separator'],
  ['r.io/../etc', /joined by/, 'a path upwards'],
  ['r.io/a b', /joined by/, 'a space'],
  ['r.io:0/a', /port/, 'port 0'],
  ['r.io:65536/a', /port/, 'port 65536'],
  ['r.io:/a', /port/, 'an empty port'],
  ['r.io:http/a', /port/, 'a port that is no number'],
  ['http://r.io/a', /port/, 'a URL'],
  ['::1/a', /in brackets/, 'an IPv6 address without brackets'],
  ['[::1/a', /in brackets/, 'one bracket'],
  ['[::1%eth0]:5000/a', /in brackets/, 'an IPv6 zone'],
  ['[::ffff:127.0.0.1]/a', /in brackets/, 'an IPv4-mapped address'],
  ['[1:2:3]/a', /in brackets/, 'an IPv6 address that is none'],
  ['-r.io/a', /host name of the registry may/, 'a host that begins with a dash'],
  ['user@r.io/a', /digest after "@"/, 'a user name'],
  ['r..io/a', /host name of the registry may/, 'an empty label'],
  [`${'a.'.repeat(127)}io/a`, /longer than 253/, 'a host of 256 characters'],
  [`r.io/${LONG}a`, /longer than 255/, 'a repository of 256 characters'],
  [`${LONG.slice(0, 248)}`, /longer than 255/, 'a familiar name that is too long with library/'],
  ['r.io/a@sha256:abc', /digest after "@"/, 'a short digest'],
  [`r.io/a@sha512:${HEX}${HEX}`, /digest after "@"/, 'another algorithm'],
  [`r.io/a@${DIGEST.toUpperCase()}`, /digest after "@"/, 'a digest in capitals'],
  [`@${DIGEST}`, /repository is missing/, 'a digest alone'],
]

for (const [text, sentence, reason] of INVALID) {
  test(`no reference: ${reason}`, () => {
    assert.throws(
      () => parseReference(text),
      (error) => error instanceof AppError && error.code === 'reference_invalid' && sentence.test(error.message),
    )
  })
}

test('reference: parse ∘ format = id', () => {
  const component = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,8})?$/)
  const reference = fc.record(
    {
      registry: fc.constantFrom('docker.io', 'r.example.com', 'localhost', 'h:5000', '[::1]:5000', '10.0.0.1'),
      repository: fc.array(component, { minLength: 2, maxLength: 4 }).map((parts) => parts.join('/')),
      tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
      digest: fc.constant(DIGEST),
    },
    { requiredKeys: ['registry', 'repository'] },
  )
  fc.assert(fc.property(reference, (value) => assert.deepEqual(parseReference(formatReference(value)), { ...value })))
})

test('reference: any text is taken or refused by name, and what is taken keeps its meaning', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'aB0.:/@[]-_ ') }), (text) => {
      let first
      try {
        first = parseReference(text)
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'reference_invalid')
        return
      }
      assert.deepEqual(parseReference(formatReference(first)), first)
    }),
    { numRuns: 2000 },
  )
})
