import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { anyTarHeader, encodeOne, encodeTar, tarMember } from '#lab/tar-headers.ts'
import {
  OPAQUE_NAME,
  WHITEOUT_PREFIX,
  encodeHeader,
  encodedHeaderBytes,
  endOfArchive,
  maxHeaderBytes,
  padding,
  whiteoutName,
} from './tar.ts'
import type { TarHeader } from './tar.ts'

const scratch = mkdtempSync(join(tmpdir(), 'tintype-tar-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

const bytes = (text: string | readonly number[]) =>
  typeof text === 'string' ? Buffer.from(text) : Buffer.from([...text])
const header = tarMember

/** A reader of our own for what others hide: the pax records and the ustar block, without their help. */
function decode(tar: Uint8Array): { pax: Map<string, Buffer>; block: Buffer } {
  let at = 0
  const pax = new Map<string, Buffer>()
  const octal = (from: number, to: number) => parseInt(Buffer.from(tar.subarray(at + from, at + to)).toString(), 8)
  const checkSum = () => {
    let sum = 8 * 32
    for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += tar[at + i]!
    assert.equal(octal(148, 154), sum, 'checksum')
  }
  checkSum()
  if (tar[at + 156] === 'x'.charCodeAt(0)) {
    const size = octal(124, 135)
    let rest = Buffer.from(tar.subarray(at + 512, at + 512 + size))
    while (rest.length > 0) {
      const length = parseInt(rest.toString('latin1', 0, 20), 10)
      const record = rest.subarray(rest.indexOf(' ') + 1, length - 1)
      assert.equal(rest[length - 1], 0x0a)
      pax.set(record.toString('utf8', 0, record.indexOf('=')), record.subarray(record.indexOf('=') + 1))
      rest = rest.subarray(length)
    }
    at += 512 + size + padding(size)
    checkSum()
  }
  return { pax, block: Buffer.from(tar.subarray(at, at + 512)) }
}

function nameOf(tar: Uint8Array): Buffer {
  const { pax, block } = decode(tar)
  const field = (from: number, length: number) => {
    const all = block.subarray(from, from + length)
    return all.includes(0) ? all.subarray(0, all.indexOf(0)) : all
  }
  const prefix = field(345, 155)
  return pax.get('path') ?? Buffer.concat([prefix, Buffer.from(prefix.length > 0 ? '/' : ''), field(0, 100)])
}

const isGnuTar = () => spawnSync('tar', ['--version']).stdout.toString().includes('GNU tar')
const gnu = (args: readonly string[], input?: Buffer) => {
  const result = spawnSync('tar', args, { input, cwd: scratch, env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' } })
  assert.equal(result.status, 0, result.stderr.toString())
  return result.stdout.toString('latin1')
}

test('the judge is GNU tar', () => assert.ok(isGnuTar()))

const A100 = 'a'.repeat(100)
const NAMES: readonly [name: string | Buffer, inPax: boolean, reason: string][] = [
  ['etc/passwd', false, 'a short name'],
  ['./', false, 'the root'],
  ['a b\nc', false, 'white space is ASCII'],
  [A100, false, '100 bytes need no NUL'],
  [`${'a'.repeat(99)}/`, false, 'a directory of 100 bytes'],
  [`${'a'.repeat(100)}/`, true, 'a directory of 101 bytes cannot be cut at its last slash'],
  [`d/${A100}`, false, 'a prefix of one byte'],
  [`${'p'.repeat(155)}/${A100}`, false, 'the longest that ustar holds'],
  [`${'p'.repeat(155)}/${'a'.repeat(99)}/`, false, 'the longest directory that ustar holds'],
  [`${'p'.repeat(156)}/${A100}`, true, 'a prefix that is a byte too long'],
  [`${'p'.repeat(155)}/${A100}a`, true, 'a rest that is a byte too long'],
  [`${A100}a`, true, '101 bytes without a slash'],
  [`${'d/'.repeat(200)}f`, true, 'a deep path'],
  [`${'d/'.repeat(100)}f`, false, 'a path that can be cut in many places'],
  ['ü', true, 'UTF-8'],
  [bytes([0xff, 0x61]), true, 'no UTF-8'],
]

for (const [name, inPax, reason] of NAMES) {
  test(`name: ${reason}`, () => {
    const tar = encodeTar([header(name)])
    assert.equal(decode(tar).pax.has('path'), inPax)
    assert.deepEqual(nameOf(tar), bytes(name as string))
    const listed = gnu(['-t', '--quoting-style=literal', '--show-transformed-names'], tar)
    assert.equal(listed, `${bytes(name as string).toString('latin1')}\n`)
  })
}

test('names that are not UTF-8 are announced as such, others are not', () => {
  assert.equal(
    decode(encodeTar([header(bytes([0xff]))]))
      .pax.get('hdrcharset')
      ?.toString(),
    'BINARY',
  )
  assert.equal(decode(encodeTar([header('ü')])).pax.has('hdrcharset'), false)
  const link = header('l', { kind: 'symlink', linkName: bytes([0xfe]) })
  assert.equal(
    decode(encodeTar([link]))
      .pax.get('hdrcharset')
      ?.toString(),
    'BINARY',
  )
})

const FIELDS: readonly [more: Partial<TarHeader>, record: string, value: string | undefined, reason: string][] = [
  [{ uid: 2097151 }, 'uid', undefined, 'the largest owner that ustar holds'],
  [{ uid: 2097152 }, 'uid', '2097152', 'one more'],
  [{ gid: 2097152 }, 'gid', '2097152', 'the same for groups'],
  [{ uid: 4294967294 }, 'uid', '4294967294', 'the largest owner there is'],
  [{ size: 8589934591 }, 'size', undefined, 'a byte less than 8 GiB'],
  [{ size: 8589934592 }, 'size', '8589934592', '8 GiB'],
  [{ size: Number.MAX_SAFE_INTEGER }, 'size', '9007199254740991', '8 PiB'],
  [{ mtimeSec: 0 }, 'mtime', undefined, '1970'],
  [{ mtimeSec: -1 }, 'mtime', '-1', 'a second before 1970'],
  [{ mtimeSec: 8589934591 }, 'mtime', undefined, 'the last second that ustar holds'],
  [{ mtimeSec: 8589934592 }, 'mtime', '8589934592', 'the year 2242'],
  [{ mtimeSec: -2147483648 }, 'mtime', '-2147483648', '1901'],
  [{ kind: 'symlink', linkName: bytes(A100) }, 'linkpath', undefined, 'a target of 100 bytes'],
  [{ kind: 'symlink', linkName: bytes(`${A100}a`) }, 'linkpath', `${A100}a`, 'a target of 101 bytes'],
  [{ kind: 'hardlink', linkName: bytes('ü') }, 'linkpath', 'ü', 'a link name outside ASCII'],
]

for (const [more, record, value, reason] of FIELDS) {
  test(`field: ${reason}`, () => {
    const { pax, block } = decode(encodeOne(header('f', more)))
    assert.equal(pax.get(record)?.toString(), value)
    assert.equal(pax.size, value === undefined ? 0 : 1)
    if (value === undefined) return
    const at = { uid: 108, gid: 116, size: 124, mtime: 136, linkpath: undefined }[record]
    if (at !== undefined) assert.match(block.toString('latin1', at, at + 7), /^0000000/, 'the block has no false value')
  })
}

test('python reads what we write', () => {
  const headers = [header('./'), header('big', { size: 8589934592 + 512, uid: 3000000, gid: 4000000000 })]
  const odd = [
    header(bytes([0x66, 0xff]), { mtimeSec: -86400, mode: 0o6755 }),
    header('lnk', { kind: 'symlink', linkName: bytes('ü'.repeat(90)) }),
    header('dev', { kind: 'char', devMajor: 4095, devMinor: 1048575 }),
    header('blk', { kind: 'block', devMajor: 8, devMinor: 1, mtimeSec: 9e9 }),
    header('pipe', { kind: 'fifo', xattrs: [['user.note', bytes('a\nb=c')]] }),
    header('hard', { kind: 'hardlink', linkName: bytes('dir/file') }),
  ]
  const script = `
import sys, tarfile, os, json
for name in sys.argv[1:]:
  with open(name, 'rb') as f, tarfile.open(fileobj=f, encoding='utf-8', errors='surrogateescape') as t:
    while True:
      try: m = t.next()
      except tarfile.ReadError as e: break
      if m is None: break
      print(json.dumps([os.fsencode(m.name).hex(), m.type.decode(), m.mode, m.uid, m.gid, m.size, m.mtime, os.fsencode(m.linkname).hex(), m.devmajor, m.devminor, m.pax_headers.get('SCHILY.xattr.user.note')]))
`
  const files = [headers, odd].map((list, index) => {
    const file = join(scratch, `python-${index}.tar`)
    writeFileSync(file, Buffer.concat([...list.map(encodeOne), endOfArchive]))
    return file
  })
  const result = spawnSync('python3', ['-c', script, ...files])
  assert.equal(result.status, 0, result.stderr.toString())
  const hex = (text: string) => Buffer.from(text).toString('hex')
  const seen = result.stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown[])
  assert.deepEqual(seen, [
    [hex('.'), '5', 0o755, 1000, 1000, 0, 1700000000, '', 0, 0, null],
    [hex('big'), '0', 0o644, 3000000, 4000000000, 8589935104, 1700000000, '', 0, 0, null],
    ['66ff', '0', 0o6755, 1000, 1000, 0, -86400, '', 0, 0, null],
    [hex('lnk'), '2', 0o644, 1000, 1000, 0, 1700000000, hex('ü'.repeat(90)), 0, 0, null],
    [hex('dev'), '3', 0o644, 1000, 1000, 0, 1700000000, '', 4095, 1048575, null],
    [hex('blk'), '4', 0o644, 1000, 1000, 0, 9e9, '', 8, 1, null],
    [hex('pipe'), '6', 0o644, 1000, 1000, 0, 1700000000, '', 0, 0, 'a\nb=c'],
    [hex('hard'), '1', 0o644, 1000, 1000, 0, 1700000000, hex('dir/file'), 0, 0, null],
  ])
})

test('GNU tar lists sizes from 8 GiB', () => {
  const file = join(scratch, 'big.tar')
  const start = encodeOne(header('big', { size: 8589934592, uid: 3000000 }))
  writeFileSync(file, start)
  truncateSync(file, start.length + 8589934592 + 1024) // sparse: tar seeks over the body
  const listed = gnu(['-tv', '--numeric-owner', '-f', file])
  rmSync(file)
  assert.equal(listed, '-rw-r--r-- 3000000/1000 8589934592 2023-11-14 22:13 big\n')
})

/** One of each, in the order of a layer. */
const EVERYTHING: readonly TarHeader[] = [
  header('./', { kind: 'directory', mode: 0o755, uid: 0, gid: 0 }),
  header('bin/', { kind: 'directory', mode: 0o1777, mtimeSec: -1 }),
  header('bin/tool', {
    size: 5,
    mode: 0o4755,
    xattrs: [
      ['user.b', bytes([0, 255, 10, 61])],
      ['user.a', bytes('é')],
    ],
  }),
  header('bin/hard', { kind: 'hardlink', linkName: bytes('bin/tool'), mode: 0o4755 }),
  header('bin/soft', { kind: 'symlink', linkName: bytes('../bin/tool'), mode: 0o777 }),
  header('bin/.wh.gone', { mode: 0, mtimeSec: 0 }),
  header(bytes([0x62, 0x69, 0x6e, 0x2f, 0xff, 0xfe]), { size: 512 }),
  header(`long/${'ü'.repeat(60)}`, { size: 513 }),
  header('long/link', { kind: 'symlink', linkName: bytes('t'.repeat(300)), mode: 0o777 }),
  header(`${'p'.repeat(120)}/${'n'.repeat(100)}`, { gid: 2097152, mtimeSec: 8589934592 }),
  header('pipe', { kind: 'fifo' }),
]

test('GNU tar extracts what we write, with its attributes', () => {
  const into = mkdtempSync(join(scratch, 'extract-'))
  const members = EVERYTHING.filter(({ gid, mtimeSec }) => gid < 2097152 && mtimeSec < 8589934592)
  gnu(['-xp', '--xattrs', '--xattrs-include=*', '--no-same-owner', '-C', into], encodeTar(members))

  const tool = statSync(join(into, 'bin/tool'))
  assert.equal(tool.mode & 0o7777, 0o4755)
  assert.equal(tool.mtimeMs, 1700000000000)
  assert.equal(tool.ino, statSync(join(into, 'bin/hard')).ino)
  assert.equal(readFileSync(join(into, 'bin/soft'), 'utf8'), 'xxxxx')
  assert.equal(statSync(join(into, 'bin')).mode & 0o7777, 0o1777)
  assert.equal(statSync(join(into, 'bin')).mtimeMs, -1000)
  assert.ok(statSync(join(into, 'pipe')).isFIFO())
  assert.equal(readlinkSync(join(into, 'long/link')), 't'.repeat(300))
  assert.equal(statSync(join(into, `long/${'ü'.repeat(60)}`)).size, 513)
  const raw = Buffer.concat([bytes(`${into}/bin/`), bytes([0xff, 0xfe])])
  assert.equal(statSync(raw).size, 512)
  const script =
    'import os,sys; print({k: os.getxattr(sys.argv[1], k).hex() for k in sorted(os.listxattr(sys.argv[1]))})'
  const xattrs = spawnSync('python3', ['-c', script, join(into, 'bin/tool')])
  assert.equal(xattrs.stdout.toString().trim(), "{'user.a': 'c3a9', 'user.b': '00ff0a3d'}")
})

test('a layer is byte for byte what it was: test/golden/layer.tar', () => {
  assert.deepEqual(encodeTar(EVERYTHING), readFileSync('test/golden/layer.tar'))
})

test('the order of attributes makes no difference', () => {
  const one: [string, Uint8Array] = ['user.one', bytes('1')]
  const two: [string, Uint8Array] = ['security.capability', bytes([1, 0, 0, 2])]
  assert.deepEqual(encodeTar([header('f', { xattrs: [one, two] })]), encodeTar([header('f', { xattrs: [two, one] })]))
  assert.deepEqual(encodeTar([header('f', { xattrs: [] })]), encodeTar([header('f')]))
})

test('a pax record counts the digits of its own length', () => {
  for (let length = 1; length < 1100; length++) {
    const value = Buffer.alloc(length, 'v')
    const { pax } = decode(encodeTar([header('f', { xattrs: [['user.x', value]] })]))
    assert.deepEqual(pax.get('SCHILY.xattr.user.x'), value)
  }
})

test('a header is written into shared memory, at an offset, over what was there', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(8192)).fill(0xaa)
  const name = new Uint8Array(new SharedArrayBuffer(2))
  name.set([0xc3, 0xbc])
  const member = header('x', { xattrs: [['user.a', bytes('1')]] })
  const end = encodeHeader({ ...member, name }, shared, 100)
  assert.equal(end, 100 + encodedHeaderBytes({ ...member, name }))
  assert.deepEqual(Buffer.from(shared.slice(100, end)), encodeOne({ ...member, name: bytes('ü') }))
  assert.ok(shared[99] === 0xaa && shared[end] === 0xaa)
})

const REFUSED: readonly [more: Partial<TarHeader>, reason: string][] = [
  [{ name: bytes('') }, 'an empty name'],
  [{ name: bytes('/etc') }, 'an absolute name'],
  [{ name: bytes('a\0b') }, 'a name with a NUL'],
  [{ name: bytes('dir/') }, 'a file with the name of a directory'],
  [{ kind: 'directory' }, 'a directory without a slash'],
  [{ kind: 'symlink' }, 'a symlink without a target'],
  [{ kind: 'symlink', linkName: bytes('') }, 'an empty target'],
  [{ kind: 'hardlink', linkName: bytes('a\0') }, 'a link name with a NUL'],
  [{ linkName: bytes('x') }, 'a file with a link name'],
  [{ kind: 'fifo', size: 1 }, 'a body without a file'],
  [{ size: -1 }, 'a negative size'],
  [{ size: 2 ** 53 }, 'a size that is not exact'],
  [{ size: 1.5 }, 'half a byte'],
  [{ uid: -1 }, 'a negative owner'],
  [{ gid: NaN }, 'no group'],
  [{ mode: 0o10000 }, 'a file type in the mode'],
  [{ mtimeSec: 0.5 }, 'half a second'],
  [{ mtimeSec: Infinity }, 'the end of time'],
  [{ kind: 'char', devMajor: 2097152 }, 'a device number that no pax record holds'],
  [{ xattrs: [['user.a=b', bytes('')]] }, 'an attribute that Go would read as another one'],
  [{ xattrs: [['', bytes('')]] }, 'an attribute without a name'],
  [{ xattrs: [['user.\0', bytes('')]] }, 'an attribute with a NUL in its name'],
]

for (const [more, reason] of REFUSED) {
  test(`refused: ${reason}`, () => {
    const wrong = header('f', more)
    const refusal = (error: unknown) => error instanceof AppError && error.code === 'layer_invalid'
    assert.throws(() => encodeHeader(wrong, new Uint8Array(4096), 0), refusal)
    assert.throws(() => encodedHeaderBytes(wrong), refusal)
  })
}

test('refused: attributes above the 1 MiB that Go reads', () => {
  const xattrs = (size: number): TarHeader =>
    header('f', { xattrs: Array.from({ length: 16 }, (_, i) => [`user.${i}`, new Uint8Array(size)]) })
  assert.ok(encodedHeaderBytes(xattrs(65000)) > 1_000_000)
  assert.throws(
    () => encodedHeaderBytes(xattrs(65536)),
    (error) => error instanceof AppError && error.code === 'limit_exceeded',
  )
})

test('refused: a buffer without room, which stays as it was', () => {
  const small = new Uint8Array(1023).fill(7)
  assert.throws(() => encodeHeader(header('ü'), small, 0), { code: 'layer_invalid' })
  assert.ok(small.every((byte) => byte === 7))
})

test('padding fills the block', () => {
  assert.deepEqual([0, 1, 511, 512, 513, 2 ** 40 + 1].map(padding), [0, 511, 1, 0, 511, 511])
  assert.deepEqual(endOfArchive, new Uint8Array(1024))
})

const WHITEOUTS: readonly [path: string, whiteout: string, reason: string][] = [
  ['passwd', '.wh.passwd', 'at the root'],
  ['etc/passwd', 'etc/.wh.passwd', 'a nested file'],
  ['usr/lib/', 'usr/.wh.lib', 'a directory with its slash'],
  ['lib/', '.wh.lib', 'a directory at the root'],
]
for (const [path, whiteout, reason] of WHITEOUTS) {
  test(`whiteout: ${reason}`, () => assert.equal(Buffer.from(whiteoutName(bytes(path))).toString(), whiteout))
}
test('whiteout: names are bytes', () => {
  assert.deepEqual(
    Buffer.from(whiteoutName(bytes([0xff, 0x2f, 0xfe]))),
    Buffer.from([0xff, 0x2f, ...bytes('.wh.'), 0xfe]),
  )
  assert.equal(OPAQUE_NAME, `${WHITEOUT_PREFIX}${WHITEOUT_PREFIX}.opq`)
})

test('property: parse ∘ encode = id, within the bound', () => {
  fc.assert(
    fc.property(anyTarHeader, (member) => {
      const tar = encodeOne(member)
      const { pax, block } = decode(tar)
      const octal = (at: number, key: string) =>
        Number(pax.get(key)?.toString() ?? parseInt(block.toString('latin1', at, at + 12), 8))
      const link = block.subarray(157, 257)
      const linkName = pax.get('linkpath') ?? (link.includes(0) ? link.subarray(0, link.indexOf(0)) : link)
      assert.deepEqual(nameOf(tar), Buffer.from(member.name))
      assert.deepEqual(linkName, Buffer.from(member.linkName ?? []))
      assert.equal(octal(100, ''), member.mode)
      assert.deepEqual([octal(108, 'uid'), octal(116, 'gid')], [member.uid, member.gid])
      assert.deepEqual([octal(124, 'size'), octal(136, 'mtime')], [member.size, member.mtimeSec])
      assert.deepEqual([octal(329, ''), octal(337, '')], [member.devMajor, member.devMinor])
      for (const [name, value] of member.xattrs ?? []) {
        assert.deepEqual(pax.get(`SCHILY.xattr.${name}`), Buffer.from(value))
      }
      const keys = [...pax.keys()]
      assert.deepEqual(
        keys,
        keys.toSorted((a, b) => Buffer.compare(bytes(a), bytes(b))),
      )
      assert.equal(encodedHeaderBytes(member), tar.length)
      assert.ok(encodedHeaderBytes(member) <= maxHeaderBytes(member))
    }),
    { numRuns: 1000 },
  )
})

test('property: GNU tar lists every name', () => {
  const oneLine = anyTarHeader
    .map((member) => ({ ...member, size: member.size % 600, mtimeSec: member.mtimeSec % 1e10 }))
    .filter(({ name }) => !name.includes(0x0a))
  fc.assert(
    fc.property(fc.array(oneLine, { minLength: 1, maxLength: 50 }), (members) => {
      const listed = gnu(['-tP', '--quoting-style=literal'], encodeTar(members))
      const names = members.map(({ name }) => `${Buffer.from(name).toString('latin1')}\n`)
      assert.equal(listed, names.join(''))
    }),
    { numRuns: 50 },
  )
})
