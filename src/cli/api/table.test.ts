import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatFields, formatTable } from './table.ts'

test('columns are as wide as they need, and lines have no blanks at their end', () => {
  const text = formatTable(
    [
      ['ID', ({ id }) => id],
      ['NOTE', ({ note }) => note],
    ],
    [
      { id: 'longer', note: undefined },
      { id: 'a', note: 'x\ny' },
    ] as { id: string; note?: string }[],
  )
  assert.equal(text, 'ID      NOTE\nlonger\na       x\\ny\n')
})

test('fields without the envelope and without what is empty; labels as they are written', () => {
  const thing = {
    RequestId: 'R',
    Success: true,
    Code: null,
    Name: 'a\x07',
    Empty: '',
    None: [],
    Zero: 0,
    Labels: [{ Key: 'a', Value: 'b' }],
    Tags: [{ TagKey: 'c', TagValue: 'd' }],
    Size: { CPU: '4', GPU: '' },
    Disks: [{ Path: '/a' }, { Path: '/b' }],
    Paths: ['/x', '/y'],
  }
  assert.equal(
    formatFields(thing),
    'Name    a\\x07\nZero    0\nLabels  a=b\nTags    c=d\nSize    CPU=4\nDisks   {Path=/a}, {Path=/b}\nPaths   /x, /y\n',
  )
})
