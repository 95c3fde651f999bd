import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allExclusions, checkRequest, parseTarget, repositoryOf } from './request.ts'
import type { SnapshotRequest } from './request.ts'

const GOOD: SnapshotRequest = {
  name: 'snapshot-v1',
  imageUrl: 'registry.example.com/test/example:snapshot-v1',
  description: '',
  labels: [],
  excludePaths: [],
  overwrite: false,
}

const REFUSED: readonly (readonly [string, Partial<SnapshotRequest>, string])[] = [
  ['no name', { name: '' }, 'SnapshotName'],
  ['a name in capitals', { name: 'Snapshot' }, 'SnapshotName'],
  ['a name with an underscore', { name: 'training_data' }, 'SnapshotName'],
  ['a name that begins with a hyphen', { name: '-a' }, 'SnapshotName'],
  ['a name of 51 characters', { name: 'a'.repeat(51) }, 'SnapshotName'],
  ['a name with a line break at its end', { name: 'a\n' }, 'SnapshotName'],
  ['no image', { imageUrl: '' }, 'ImageUrl'],
  ['a digest', { imageUrl: `r.example.com/a@sha256:${'0'.repeat(64)}` }, 'ImageUrl'],
  ['a scheme', { imageUrl: 'https://r.example.com/a:b' }, 'ImageUrl'],
  ['credentials in the host', { imageUrl: 'user:pass@r.example.com/a:b' }, 'ImageUrl'],
  ['a path upwards', { imageUrl: 'r.example.com/../a:b' }, 'ImageUrl'],
  ['a repository in capitals', { imageUrl: 'r.example.com/Team:b' }, 'ImageUrl'],
  ['a tag of 129 characters', { imageUrl: `r.example.com/a:${'t'.repeat(129)}` }, 'ImageUrl'],
  ['a description of 1001 characters', { description: 'x'.repeat(1_001) }, 'SnapshotDescription'],
  ['a description that rings the bell', { description: 'a\u0007' }, 'SnapshotDescription'],
  ['a label without a key', { labels: [{ key: '', value: 'x' }] }, 'Labels'],
  ['a label with a long key', { labels: [{ key: 'k'.repeat(129), value: 'x' }] }, 'Labels'],
  ['a label with a long value', { labels: [{ key: 'k', value: 'v'.repeat(257) }] }, 'Labels'],
  ['a label with an escape sequence', { labels: [{ key: 'k\u001b', value: '' }] }, 'Labels'],
  ['a label twice', { labels: [{ key: 'k', value: '1' }, { key: 'k', value: '2' }] }, 'Labels'], // prettier-ignore
  ['51 labels', { labels: Array.from({ length: 51 }, (_, i) => ({ key: `${i}`, value: '' })) }, 'Labels'],
  ['a relative path', { excludePaths: ['root/.cache'] }, 'ExcludePaths'],
  ['a path upwards in a path', { excludePaths: ['/root/../etc'] }, 'ExcludePaths'],
  ['everything', { excludePaths: ['/'] }, 'ExcludePaths'],
  ['a NUL in a path', { excludePaths: ['/a\u0000'] }, 'ExcludePaths'],
  ['101 paths', { excludePaths: Array.from({ length: 101 }, (_, i) => `/${i}`) }, 'ExcludePaths'],
]
for (const [name, change, field] of REFUSED)
  test(`a request is refused for ${name}, and the sentence names ${field}`, () => {
    assert.throws(() => checkRequest({ ...GOOD, ...change }), {
      code: 'parameter_invalid',
      message: new RegExp(`^${field}`),
    })
  })

const TARGETS: readonly (readonly [string, string, string, string])[] = [
  ['the tag of the URL', 'registry.example.com/test/example:snapshot-v1', 'snapshot-v1', 'test/example'],
  ['the name where the URL has no tag', 'registry.example.com/test/example', 'the-name', 'test/example'],
  ['the tag of the URL though the name differs', 'registry.example.com/a:other', 'other', 'a'],
  ['a registry with a port is no tag', '127.0.0.1:5000/a', 'the-name', 'a'],
]
for (const [name, url, tag, repository] of TARGETS)
  test(`where an image goes: ${name}`, () => {
    const target = parseTarget(url, 'the-name')
    assert.deepEqual([target.tag, target.repository], [tag, repository])
  })

test('a good request, and its repository as policies see it', () => {
  assert.equal(checkRequest(GOOD).registry, 'registry.example.com')
  assert.equal(repositoryOf(GOOD.imageUrl), 'registry.example.com/test/example')
  assert.equal(
    repositoryOf('REGISTRY.Example.com/test/example:x'),
    'registry.example.com/test/example',
    'no way around',
  )
  assert.equal(repositoryOf('python:3.12'), 'docker.io/library/python')
  assert.equal(repositoryOf('index.docker.io/library/python'), 'docker.io/library/python')
})

test('a description may have lines, and names may begin with a digit', () => {
  checkRequest({ ...GOOD, name: '1', description: 'one\n\ttwo', labels: [{ key: 'stsTokenOwner', value: '123' }] })
})

test('the workspace and the mounts are always left out, once, and never everything', () => {
  assert.deepEqual(allExclusions(['/tmp', '/mnt/workspace'], ['/mnt/data', '/']), [
    '/tmp',
    '/mnt/workspace',
    '/mnt/data',
  ])
})
