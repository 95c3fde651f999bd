import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { anyTarHeader, encodeOne, encodeTar, tarMember } from '#lab/tar-headers.ts'
import { TarParser } from './read-tar.ts'
import { endOfArchive } from './tar.ts'
import type { TarHeader } from './tar.ts'

interface Member {
  readonly header: TarHeader
  readonly body: Buffer
}

/** The members of a tar that comes in pieces of `pieceBytes`. */
function parse(tar: Uint8Array, pieceBytes = 1 << 20): readonly Member[] {
  const members: Member[] = []
  let open: { header: TarHeader; parts: Buffer[] } | undefined
  const parser = new TarParser({
    onMember: (header) => (open = { header, parts: [] }),
    onBody: (bytes) => void open!.parts.push(Buffer.from(bytes)),
    onMemberEnd: () => void members.push({ header: open!.header, body: Buffer.concat(open!.parts) }),
  })
  for (let at = 0; at < tar.length; at += pieceBytes) parser.push(tar.subarray(at, at + pieceBytes))
  parser.end()
  return members
}
const names = (members: readonly Member[]) => members.map(({ header }) => Buffer.from(header.name).toString('latin1'))

test('what our writer writes is read as it was, in pieces of any size', () => {
  const plain = (header: TarHeader) => ({
    ...header,
    name: Buffer.from(header.name).toString('hex'),
    linkName: header.linkName && Buffer.from(header.linkName).toString('hex'),
    xattrs: (header.xattrs ?? []).map(([name, value]) => [name, Buffer.from(value).toString('hex')]).sort(),
    mtimeNs: header.mtimeNs ?? 0,
    devMajor: isDevice(header) ? (header.devMajor ?? 0) : 0,
    devMinor: isDevice(header) ? (header.devMinor ?? 0) : 0,
  })
  const isDevice = ({ kind }: TarHeader) => kind === 'char' || kind === 'block'
  const isClean = (path: Uint8Array | undefined) =>
    !Buffer.from(path ?? '')
      .toString('latin1')
      .replace(/\/$/, '')
      .split('/')
      .some((part) => part === '' || part === '.' || part === '..' || part.length > 255)
  const isReadable = (header: TarHeader) =>
    isClean(header.name) && (header.kind !== 'hardlink' || isClean(header.linkName))
  const header = fc
    .tuple(anyTarHeader, fc.integer({ min: 0, max: 999_999_999 }), fc.integer({ min: 0, max: 3000 }))
    .map(([each, mtimeNs, size]) => ({ ...each, mtimeNs, size: each.kind === 'file' ? size : 0 }))
    .filter((each) => isReadable(each) && Number.isSafeInteger(each.mtimeSec - 1))
  fc.assert(
    fc.property(fc.array(header, { maxLength: 5 }), fc.integer({ min: 1, max: 2000 }), (headers, pieceBytes) => {
      const members = parse(encodeTar(headers), pieceBytes)
      assert.deepEqual(
        members.map(({ header }) => plain(header)),
        headers.map(plain),
      )
      for (const { header, body } of members) assert.deepEqual(body, Buffer.alloc(header.size, 'x'))
    }),
    { numRuns: 60 },
  )
})

const root = mkdtempSync(join(tmpdir(), 'read-tar-'))
after(() => rmSync(root, { recursive: true }))

const LONG = `${'d'.repeat(120)}/${'f'.repeat(140)}`

for (const format of ['v7', 'oldgnu', 'gnu', 'ustar', 'posix'] as const)
  test(`GNU tar's format ${format}`, () => {
    const directory = mkdtempSync(join(root, 'tree-'))
    mkdirSync(join(directory, 'sub'))
    writeFileSync(join(directory, 'sub/a'), 'content')
    linkSync(join(directory, 'sub/a'), join(directory, 'sub/b'))
    symlinkSync('../elsewhere', join(directory, 'sub/l'))
    utimesSync(join(directory, 'sub/a'), 1.5, 1.5)
    const takesLongNames = format !== 'v7' && format !== 'ustar'
    if (takesLongNames) {
      mkdirSync(join(directory, 'd'.repeat(120)))
      writeFileSync(join(directory, LONG), 'x')
    }
    const args = [`--format=${format}`, '--sort=name', '-cf', '-', '-C', directory, '--owner=7', '--group=8', '.']
    const members = parse(execFileSync('tar', args), 700)
    const long = takesLongNames ? [`${'d'.repeat(120)}/`, LONG] : []
    assert.deepEqual(names(members), ['./', ...long, 'sub/', 'sub/a', 'sub/b', 'sub/l'])
    const [a, b, l] = members.slice(-3)
    assert.deepEqual([a!.body.toString(), a!.header.kind, a!.header.uid, a!.header.gid], ['content', 'file', 7, 8])
    assert.deepEqual([b!.header.kind, b!.header.linkName!.toString()], ['hardlink', 'sub/a'])
    assert.deepEqual([l!.header.kind, l!.header.linkName!.toString()], ['symlink', '../elsewhere'])
    assert.equal(a!.header.mtimeSec, 1)
    assert.equal(a!.header.mtimeNs ?? 0, format === 'posix' ? 500_000_000 : 0)
  })

test('numbers that octal cannot hold are base-256 in GNU tar', () => {
  const args = ['--format=gnu', '--owner=u:3000000000', '--group=g:4294967294', '--mtime=1900-01-01 00:00Z', '-cf', '-']
  const [member] = parse(execFileSync('tar', [...args, '-C', root, '--no-recursion', '.']))
  assert.deepEqual([member!.header.uid, member!.header.gid], [3000000000, 4294967294])
  assert.equal(member!.header.mtimeSec, -2208988800)
})

/** A member of our writer with some bytes of its block replaced, and its checksum made right. */
function patched(at: number, bytes: string | Uint8Array, member = tarMember('a')): Buffer {
  const block = encodeOne(member)
  block.set(Buffer.from(bytes), at)
  block.fill(0x20, 148, 156)
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** A member of type `flag` with a body, before the one that it speaks of. */
function announced(flag: string, body: string | Buffer, after: Buffer = encodeOne(tarMember('a'))): Buffer {
  const bytes = Buffer.from(body)
  const header = encodeOne(tarMember('extension', { size: bytes.length }))
  const block = Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
  block.write(flag, 156)
  block.fill(0x20, 148, 156)
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([block, after])
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length++
  return `${length}${rest}`
}

const IGNORED: readonly [string, Buffer][] = [
  ['a global pax header', announced('g', record('comment', 'of git archive') + record('path', 'b'))],
  ['times and names that nobody restores', announced('x', record('atime', '1.5') + record('uname', 'ann'))],
  ['a key that nobody knows', announced('x', record('VENDOR.thing', 'x'))],
  ['an empty value', announced('x', record('path', ''))],
  ['a name from the root', encodeOneNamed('/a')],
  ['a name with empty and single-dot parts', encodeOneNamed('.//./a')],
  ['a slash behind the name of a file', encodeOneNamed('a/')],
]
function encodeOneNamed(name: string): Buffer {
  return patched(0, name.padEnd(20, '\0'))
}
for (const [reason, tar] of IGNORED)
  test(`taken as engines do: ${reason}`, () =>
    assert.deepEqual(names(parse(Buffer.concat([tar, endOfArchive]))), ['a']))

const REFUSED: readonly [string, Buffer, RegExp][] = [
  ['a name that leaves the root', encodeOneNamed('../a'), /"\.\."/],
  ['a hard link that leaves the root', patched(157, 'b/../../c\0', tarMember('a', hardlinkTo('x'))), /"\.\."/],
  ['a hard link to the root', patched(157, './\0', tarMember('a', hardlinkTo('x'))), /names the root/],
  [
    'a symlink to nothing',
    patched(157, '\0', tarMember('a', { kind: 'symlink', linkName: Buffer.from('x') })),
    /nothing/,
  ],
  ['a root that is a file', encodeOneNamed('./'), /no directory/],
  ['a name longer than Linux takes', announced('L', 'n'.repeat(256)), /longer than Linux/],
  ['a path longer than Linux takes', announced('L', 'n/'.repeat(2049)), /longer than Linux/],
  ['a long name of 2 MiB', announced('L', 'n'.repeat(2 << 20)), /1 MiB/],
  ['pax records of 2 MiB', announced('x', record('comment', 'n'.repeat(2 << 20))), /1 MiB/],
  ['a wrong checksum', Buffer.from(encodeOne(tarMember('a'))).fill('9', 100, 103), /checksum/],
  ['a member of an unknown type', patched(156, 'V'), /unknown type "V"/],
  ['an old sparse file', patched(156, 'S'), /sparse/],
  ['a sparse file by pax', announced('x', record('GNU.sparse.major', '1')), /sparse/],
  ['a size that is no octal number', patched(124, '00000000089\0'), /octal/],
  ['a negative size', patched(124, Buffer.alloc(12, 0xff)), /negative/],
  ['a size beyond numbers', patched(124, Buffer.from('8000ffffffffffffffffffff', 'hex')), /larger than can be/],
  ['an owner below zero', patched(108, Buffer.alloc(8, 0xff)), /owner is negative/],
  ['a pax size that is no number', announced('x', record('size', '1e3')), /size is "1e3"/],
  ['a pax time that is no time', announced('x', record('mtime', 'now')), /no time/],
  ['a pax record longer than its header', announced('x', '99 path=b\n'), /length/],
  ['a pax record without a key', announced('x', '5 =b\n'), /no key/],
  ['a pax record without a newline', announced('x', '9 path=bc'), /length/],
  ['a pax record of no length', announced('x', '0 path=b\n'), /length/],
  ['a pax path with a NUL', announced('x', record('path', 'a\0b')), /NUL/],
  ['an attribute without a name', announced('x', record('SCHILY.xattr.', 'v')), /no name/],
  ['an end within a header', encodeOne(tarMember('a')).subarray(0, 100), /in the middle/],
  ['an end within a body', encodeTar([tarMember('a', { size: 600 })]).subarray(0, 1000), /in the middle/],
  ['an end behind pax records', announced('x', record('path', 'b'), Buffer.alloc(0)), /announces/],
  ['a member behind a block of zeros', Buffer.concat([Buffer.alloc(512), encodeOne(tarMember('a'))]), /zeros/],
]
function hardlinkTo(name: string): Partial<TarHeader> {
  return { kind: 'hardlink', linkName: Buffer.from(name) }
}
for (const [reason, tar, message] of REFUSED)
  test(`refused: ${reason}`, () => {
    assert.throws(() => parse(tar), { code: 'image_unsupported', message })
    assert.throws(() => parse(tar, 300), { code: 'image_unsupported', message }, 'also in pieces')
  })

test('a tar may end without zeros, and what follows them is not read', () => {
  const one = encodeOne(tarMember('a'))
  assert.deepEqual(names(parse(one)), ['a'])
  assert.deepEqual(names(parse(Buffer.concat([one, endOfArchive, Buffer.from('anything')]))), ['a'])
})

test('only a file has a body, whatever the header of another says', () => {
  const directory = patched(124, '00000001000\0', tarMember('d/'))
  assert.deepEqual(names(parse(Buffer.concat([directory, encodeOne(tarMember('a'))]))), ['d/', 'a'])
})

test('a pax header says the size of the body', () => {
  const body = Buffer.concat([Buffer.from('abc'), Buffer.alloc(509)])
  const [member] = parse(announced('x', record('size', '3'), Buffer.concat([encodeOne(tarMember('a')), body])))
  assert.equal(member!.body.toString(), 'abc')
})

test('before POSIX a directory was a file whose name ends with a slash', () => {
  const [member] = parse(patched(156, '\0', tarMember('d/')))
  assert.equal(member!.header.kind, 'directory')
})
