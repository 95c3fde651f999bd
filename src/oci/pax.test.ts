import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTarXattr, paxBytes, paxRecords, writePax } from './pax.ts'
import type { PaxFields } from './pax.ts'

const NONE: PaxFields = {
  path: undefined,
  linkpath: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  mtime: undefined,
  xattrs: undefined,
}

function encode(fields: Partial<PaxFields>): string {
  const records = paxRecords({ ...NONE, ...fields })
  const into = new Uint8Array(paxBytes(records))
  writePax(records, into, 0)
  return Buffer.from(into).toString('latin1')
}

const bytes = (text: string) => Buffer.from(text, 'latin1')
const TABLE: readonly [fields: Partial<PaxFields>, text: string, reason: string][] = [
  [{}, '', 'nothing to say'],
  [{ xattrs: [] }, '', 'no attributes'],
  [{ path: bytes('a') }, '9 path=a\n', 'the longest record of one digit'],
  [{ path: bytes('ab') }, '11 path=ab\n', 'no record has 10 bytes'],
  [{ path: bytes('') }, '8 path=\n', 'an empty value'],
  [{ path: bytes('x'.repeat(90)) }, `99 path=${'x'.repeat(90)}\n`, 'the longest record of two digits'],
  [{ path: bytes('x'.repeat(91)) }, `101 path=${'x'.repeat(91)}\n`, 'no record has 100 bytes'],
  [{ uid: 1, gid: 2, size: 3, mtime: -4 }, '8 gid=2\n12 mtime=-4\n9 size=3\n8 uid=1\n', 'numbers, sorted by key'],
  [{ size: Number.MAX_SAFE_INTEGER }, '25 size=9007199254740991\n', 'no exponent'],
  [{ linkpath: Buffer.from('ü') }, '15 linkpath=Ã¼\n', 'UTF-8 needs no charset'],
  [
    { path: bytes('\xff'), linkpath: bytes('b') },
    '21 hdrcharset=BINARY\n14 linkpath=b\n9 path=\xff\n',
    'a charset before the names that it is about',
  ],
  [
    {
      xattrs: [
        ['user.b', bytes('\0\n=')],
        ['user.a', bytes('')],
      ],
    },
    '24 SCHILY.xattr.user.a=\n27 SCHILY.xattr.user.b=\0\n=\n',
    'attributes are raw, sorted by name',
  ],
  [
    {
      xattrs: [
        ['user.\u{ff5e}', bytes('1')],
        ['user.\u{1f600}', bytes('2')],
      ],
    },
    `27 SCHILY.xattr.user.${Buffer.from('\u{ff5e}').toString('latin1')}=1\n` +
      `28 SCHILY.xattr.user.${Buffer.from('\u{1f600}').toString('latin1')}=2\n`,
    'sorted as bytes, which for these two is not the order of UTF-16',
  ],
]
for (const [fields, text, reason] of TABLE) {
  test(`pax: ${reason}`, () => assert.equal(encode(fields), text))
}

test('pax: records are written at an offset, and nothing around them', () => {
  const records = paxRecords({ ...NONE, uid: 7 })
  const into = new Uint8Array(12).fill(0x2e)
  writePax(records, into, 2)
  assert.equal(Buffer.from(into).toString(), '..8 uid=7\n..')
})

test('pax: attribute names that a reader would take for others', () => {
  for (const name of ['', 'user.a=b', '=', 'user.\0']) {
    assert.equal(isTarXattr(name), false, name)
    assert.throws(() => encode({ xattrs: [[name, bytes('')]] }), { code: 'layer_invalid' })
  }
  for (const name of ['user.a', 'security.capability', 'user.ü %3D\n']) assert.equal(isTarXattr(name), true, name)
})
