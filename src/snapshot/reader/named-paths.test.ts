import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_LINE_BYTES } from '#snapshot/protocol.ts'
import { NamedPaths } from './named-paths.ts'

test('each path is named once, with the first reason', () => {
  const paths = new NamedPaths()
  for (const reason of ['one', 'two']) paths.add('a', reason)
  paths.add('b')
  assert.deepEqual(paths.entries, [
    { path: 'a', reason: 'one' },
    { path: 'b', reason: '' },
  ])
  assert.deepEqual([paths.paths, paths.count, paths.unnamed], [['a', 'b'], 2, 0])
})

test('short paths are named up to a number, and counted beyond it', () => {
  const paths = new NamedPaths()
  for (let i = 0; i < 25_000; i++) paths.add(`path-${i}`)
  assert.deepEqual([paths.paths.length, paths.unnamed, paths.count], [10_000, 15_000, 25_000])
})

test('the longest paths of the worst characters stay far below the limit for a line', () => {
  const paths = new NamedPaths()
  for (let i = 0; i < 10_000; i++) paths.add(String(i) + '\x01'.repeat(4090), 'a reason')
  assert.ok(Buffer.byteLength(JSON.stringify(paths.entries)) < MAX_LINE_BYTES / 4)
  assert.equal(paths.count, 10_000)
})
