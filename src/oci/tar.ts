/**
 * Layer tars: POSIX pax, written and nothing else.
 *
 * A field is exact in its ustar block or it moves to a pax record; it is never clamped. The same header gives the same
 * bytes: no clock, no user name and no locale is read here. What Go's archive/tar would reject or misread (it unpacks
 * layers in Docker, containerd and Podman) is refused.
 */
import { AppError } from '#base/errors.ts'
import { paxBytes, paxRecords, writePax } from './pax.ts'
import type { PaxRecord } from './pax.ts'

export type TarKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'char' | 'block'

export interface TarHeader {
  /** Raw bytes, relative, without a leading slash; a directory's ends with a slash (the root is `./`). */
  readonly name: Uint8Array
  readonly kind: TarKind
  /** Permission bits with setuid, setgid and sticky: at most 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of the body that follows; 0 for everything but a file. */
  readonly size: number
  /** Seconds since 1970, also before it and after 2242. */
  readonly mtimeSec: number
  /** Nanoseconds after that second; 0 when missing. */
  readonly mtimeNs?: number
  /** Of a symlink its target, of a hardlink the name of a member before it: raw bytes. */
  readonly linkName?: Uint8Array
  readonly devMajor?: number
  readonly devMinor?: number
  /** The values are raw: `security.capability` is not text. The order does not matter. */
  readonly xattrs?: readonly (readonly [name: string, value: Uint8Array])[]
}

export const BLOCK_BYTES = 512
/** Two blocks of zeros end a tar. */
export const endOfArchive: Uint8Array = new Uint8Array(2 * BLOCK_BYTES)
/** image-spec, layer.md § Whiteouts: an empty file of this name and a sibling's hides that sibling of lower layers. */
export const WHITEOUT_PREFIX = '.wh.'
/** image-spec, layer.md § Opaque Whiteout: hides everything that lower layers have in the same directory. */
export const OPAQUE_NAME = '.wh..wh..opq'

const TYPE_FLAGS = { file: 48, hardlink: 49, symlink: 50, char: 51, block: 52, directory: 53, fifo: 54 } as const
const PAX_TYPE_FLAG = 120 // x
const NAME_BYTES = 100
const PREFIX_BYTES = 155
const MAX_ID = 0o7777777 // seven octal digits and a NUL
const MAX_NUMBER = 0o77777777777 // eleven: 8 GiB - 1, and the year 2242
const PAX_LIMIT = 1 << 20 // Go's archive/tar refuses a pax member above 1 MiB
const MAGIC = Buffer.from('ustar\x0000', 'latin1')
const PAX_NAME = Buffer.from('PaxHeader', 'latin1')
const WHITEOUT_BYTES = Buffer.from(WHITEOUT_PREFIX, 'latin1')
const DOES_NOT_FIT = -1
const NO_BYTES = new Uint8Array(0)

/** Zeros that follow a body of `size` bytes. */
export function padding(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES
}

/** The name of the whiteout that hides `path` (raw bytes, relative; a slash at its end does not count). */
export function whiteoutName(path: Uint8Array): Uint8Array {
  const end = path.at(-1) === 0x2f ? path.length - 1 : path.length
  const base = path.lastIndexOf(0x2f, end - 1) + 1
  return Buffer.concat([path.subarray(0, base), WHITEOUT_BYTES, path.subarray(base, end)])
}

/** No header of this member takes more than this; a cheap bound, for whoever makes room. */
export function maxHeaderBytes(header: TarHeader): number {
  let bytes = 4 * BLOCK_BYTES + header.name.length + (header.linkName?.length ?? 0)
  for (const [name, value] of header.xattrs ?? []) bytes += 3 * name.length + value.length + 64
  return bytes
}

/** The exact number of bytes that `encodeHeader` writes. Throws as it does. */
export function encodedHeaderBytes(header: TarHeader): number {
  return headerBytes(recordsOf(header, prefixLength(header.name)))
}

/**
 * Write the blocks that announce one member at `into[at]`: its ustar block, after a pax member when ustar cannot hold a
 * field. Returns the offset behind them. Throws `layer_invalid` for what no tar can say, `limit_exceeded` when the
 * attributes are more than a reader of layers takes.
 */
export function encodeHeader(header: TarHeader, into: Uint8Array, at: number): number {
  const prefix = prefixLength(header.name)
  const records = recordsOf(header, prefix)
  const end = at + headerBytes(records)
  if (end > into.length) refuse(`its header of ${end - at} bytes is larger than the room for it`)
  into.fill(0, at, end)
  if (records.length > 0) {
    const size = paxBytes(records)
    writeBlock(into, at, { ...PAX_MEMBER, size }, 0)
    writePax(records, into, at + BLOCK_BYTES)
  }
  writeBlock(into, end - BLOCK_BYTES, header, prefix)
  return end
}

const PAX_MEMBER = {
  name: PAX_NAME,
  kind: 'pax',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeSec: 0,
} as const

type BlockHeader = Omit<TarHeader, 'kind' | 'xattrs'> & { readonly kind: TarKind | 'pax' }

/** POSIX.1-2017, pax § ustar Interchange Format. The block is all zeros before; so uname and gname stay empty. */
function writeBlock(into: Uint8Array, at: number, header: BlockHeader, prefix: number): void {
  const { name, linkName = NO_BYTES, kind } = header
  let sum = MAGIC_SUM
  if (prefix > 0) {
    sum += writeText(into, at + 345, name.subarray(0, prefix), PREFIX_BYTES)
    sum += writeText(into, at, name.subarray(prefix + 1), NAME_BYTES)
  } else {
    sum += writeText(into, at, name, NAME_BYTES)
  }
  sum += writeOctal(into, at + 100, 7, header.mode)
  sum += writeOctal(into, at + 108, 7, header.uid > MAX_ID ? 0 : header.uid)
  sum += writeOctal(into, at + 116, 7, header.gid > MAX_ID ? 0 : header.gid)
  sum += writeOctal(into, at + 124, 11, header.size > MAX_NUMBER ? 0 : header.size)
  sum += writeOctal(into, at + 136, 11, fitsTime(header.mtimeSec) ? header.mtimeSec : 0)
  sum += into[at + 156] = kind === 'pax' ? PAX_TYPE_FLAG : TYPE_FLAGS[kind]
  if (linkName.length > 0) sum += writeText(into, at + 157, linkName, NAME_BYTES)
  into.set(MAGIC, at + 257)
  sum += writeOctal(into, at + 329, 7, header.devMajor ?? 0)
  sum += writeOctal(into, at + 337, 7, header.devMinor ?? 0)
  writeOctal(into, at + 148, 6, sum)
  into[at + 155] = 0x20
}

/** The magic's bytes, and the checksum field's own, which count as eight spaces. */
const MAGIC_SUM = MAGIC.reduce((sum, byte) => sum + byte, 8 * 0x20)

/** Copies text and returns the sum of its bytes. What is too long or not ASCII is in a pax record, and here only a hint. */
function writeText(into: Uint8Array, at: number, text: Uint8Array, room: number): number {
  const length = Math.min(text.length, room)
  let sum = 0
  for (let i = 0; i < length; i++) {
    const byte = text[i] ?? 0
    sum += into[at + i] = byte < 0x80 ? byte : 0x5f
  }
  return sum
}

/** Writes `digits` octal digits (the NUL behind them is there) and returns the sum of their bytes. */
function writeOctal(into: Uint8Array, at: number, digits: number, value: number): number {
  let sum = digits * 0x30
  let low = value % 0x40000000 // ten digits at a time are integer arithmetic
  let high = (value - low) / 0x40000000
  for (let i = digits - 1; i >= 0; i--) {
    const digit = low & 7
    into[at + i] = 0x30 + digit
    sum += digit
    low >>>= 3
    if (digits - i === 10) {
      low = high
      high = 0
    }
  }
  return sum
}

/** Where ustar cuts a name: 0 if it fits whole, the length of the prefix, or DOES_NOT_FIT. */
function prefixLength(name: Uint8Array): number {
  if (!isAscii(name)) return DOES_NOT_FIT
  if (name.length <= NAME_BYTES) return 0
  if (name.length > PREFIX_BYTES + 1 + NAME_BYTES) return DOES_NOT_FIT
  // The first slash that leaves a short enough rest; the rest must not be empty (a directory's last slash).
  const slash = name.indexOf(0x2f, name.length - NAME_BYTES - 1)
  return slash > 0 && slash <= PREFIX_BYTES && slash < name.length - 1 ? slash : DOES_NOT_FIT
}

function isAscii(text: Uint8Array): boolean {
  let bits = 0
  for (let i = 0; i < text.length; i++) bits |= text[i] ?? 0
  return bits < 0x80
}

function fitsTime(mtimeSec: number): boolean {
  return mtimeSec >= 0 && mtimeSec <= MAX_NUMBER
}

function headerBytes(records: readonly PaxRecord[]): number {
  if (records.length === 0) return BLOCK_BYTES
  const bytes = paxBytes(records)
  if (bytes > PAX_LIMIT) {
    throw new AppError('limit_exceeded', `The extended attributes of a file take ${bytes} bytes; a layer holds 1 MiB.`)
  }
  return 2 * BLOCK_BYTES + bytes + padding(bytes)
}

function recordsOf(header: TarHeader, prefix: number): readonly PaxRecord[] {
  checkHeader(header)
  const { linkName } = header
  return paxRecords({
    path: prefix === DOES_NOT_FIT ? header.name : undefined,
    linkpath: linkName && (linkName.length > NAME_BYTES || !isAscii(linkName)) ? linkName : undefined,
    uid: header.uid > MAX_ID ? header.uid : undefined,
    gid: header.gid > MAX_ID ? header.gid : undefined,
    size: header.size > MAX_NUMBER ? header.size : undefined,
    mtime: mtimeRecord(header),
    xattrs: header.xattrs,
  })
}

/** POSIX.1-2017, pax § pax Extended Header: seconds with a fraction. One before 1970 counts down from the second after it. */
function mtimeRecord({ mtimeSec, mtimeNs = 0 }: TarHeader): number | string | undefined {
  if (mtimeNs === 0) return fitsTime(mtimeSec) ? undefined : mtimeSec
  const isBefore = mtimeSec < 0
  const seconds = isBefore ? -(mtimeSec + 1) : mtimeSec
  const fraction = String(isBefore ? 1e9 - mtimeNs : mtimeNs)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${isBefore ? '-' : ''}${seconds}.${fraction}`
}

function checkHeader(header: TarHeader): void {
  const { name, linkName, kind } = header
  if (name.length === 0 || name[0] === 0x2f || name.includes(0)) refuse('its name is empty, absolute or has a NUL')
  if ((name.at(-1) === 0x2f) !== (kind === 'directory')) refuse('the names of directories end with a slash, no others')
  const isLink = kind === 'symlink' || kind === 'hardlink'
  if (isLink !== (linkName !== undefined)) refuse('links have a link name, no others')
  if (linkName && (linkName.length === 0 || linkName.includes(0))) refuse('its link name is empty or has a NUL')
  if (!isCount(header.mode) || header.mode > 0o7777) refuse('its mode is not permission bits')
  if (!isCount(header.uid) || !isCount(header.gid)) refuse('its owner is not a number')
  if (!isCount(header.size) || (header.size > 0 && kind !== 'file')) refuse('only a file has a size')
  if (!Number.isSafeInteger(header.mtimeSec)) refuse('its mtime is not in whole seconds')
  const { mtimeNs = 0 } = header
  if (!isCount(mtimeNs) || mtimeNs >= 1e9) refuse('its mtime has no nanoseconds within a second')
  const { devMajor = 0, devMinor = 0 } = header
  // No pax record that Go reads holds a device number; Linux has 12 and 20 bits, so nothing real is lost.
  if (!isCount(devMajor) || !isCount(devMinor) || devMajor > MAX_ID || devMinor > MAX_ID) {
    refuse('its device number is larger than a tar can say')
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function refuse(why: string): never {
  throw new AppError('layer_invalid', `A tar cannot hold this member: ${why}.`)
}
