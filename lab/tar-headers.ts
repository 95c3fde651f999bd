/** Layer members for tests: plain ones, any ones, and the tar that they make. */
import fc from 'fast-check'
import { encodeHeader, endOfArchive, maxHeaderBytes, padding } from '#oci/tar.ts'
import type { TarHeader, TarKind } from '#oci/tar.ts'

const bytes = (text: string | Uint8Array): Buffer => Buffer.from(text)

/** A member of `name`; one whose name ends with a slash is a directory. */
export function tarMember(name: string | Uint8Array, more: Partial<TarHeader> = {}): TarHeader {
  const isDirectory = bytes(name).at(-1) === 0x2f
  return {
    name: bytes(name),
    kind: isDirectory ? 'directory' : 'file',
    mode: isDirectory ? 0o755 : 0o644,
    uid: 1000,
    gid: 1000,
    size: 0,
    mtimeSec: 1700000000,
    ...more,
  }
}

/** The members as one tar, files full of `x`. */
export function encodeTar(members: readonly TarHeader[]): Buffer {
  const bodies = (size: number) => [Buffer.alloc(size, 'x'), Buffer.alloc(padding(size))]
  return Buffer.concat([...members.flatMap((each) => [encodeOne(each), ...bodies(each.size)]), endOfArchive])
}

/** One member's header alone, as it stands before its body. */
export function encodeOne(member: TarHeader): Buffer {
  const room = Buffer.alloc(maxHeaderBytes(member), 0xee) // what was there before must not shine through
  return room.subarray(0, encodeHeader(member, room, 0))
}

const asciiName = fc.stringMatching(/^[a-z][a-z/._-]{0,290}[a-z]$/).map(bytes)
const anyName = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .map((raw) => bytes(raw).map((byte) => (byte === 0 ? 0x2f : byte)))
  .filter((raw) => raw[0] !== 0x2f && raw.at(-1) !== 0x2f)
const name = fc.oneof(asciiName, anyName)
const xattr = fc.tuple(fc.stringMatching(/^[a-z]{1,5}\.[a-zé%. -]{1,20}$/), fc.uint8Array({ maxLength: 200 }))
const id = fc.oneof(fc.integer({ min: 0, max: 70000 }), fc.integer({ min: 2097100, max: 4294967295 }))

/** Every member that a layer can hold: any bytes as names, any numbers, any attributes. */
export const anyTarHeader: fc.Arbitrary<TarHeader> = fc
  .record({
    name,
    kind: fc.constantFrom<TarKind>('file', 'directory', 'symlink', 'hardlink', 'fifo', 'char', 'block'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: id,
    gid: id,
    size: fc.oneof(fc.integer({ min: 0, max: 4096 }), fc.maxSafeNat()),
    mtimeSec: fc.oneof(fc.integer(), fc.maxSafeInteger()),
    linkName: name,
    devMajor: fc.integer({ min: 0, max: 4095 }),
    devMinor: fc.integer({ min: 0, max: 1048575 }),
    xattrs: fc.uniqueArray(xattr, { maxLength: 4, selector: ([key]) => key }),
  })
  .map(({ linkName, ...all }) => ({
    ...all,
    ...(all.kind === 'directory' && { name: Buffer.concat([all.name, bytes('/')]) }),
    ...((all.kind === 'symlink' || all.kind === 'hardlink') && { linkName }),
    size: all.kind === 'file' ? all.size : 0,
  }))
