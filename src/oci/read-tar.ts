/**
 * Layer tars as others wrote them: ustar, pax, GNU and what came before. A member is understood in full or the tar is
 * refused; what engines ignore (names of owners, atime, ctime, global pax headers) is ignored.
 */
import { BLOCK_BYTES, padding } from './tar.ts'
import type { TarHeader, TarKind } from './tar.ts'
import { count, parseNumber, parsePath, parsePax, quote, refuseTar, textOf } from './tar-fields.ts'
import type { PaxOverrides } from './tar-fields.ts'

/** Hears what is in a tar. The bytes of a body are lent: they may be others once the call has returned. */
export interface TarSink {
  /** Names are parsed (relative, without `.` and `..`), and so are those of hard links; the root is `./`. */
  onMember(header: TarHeader): void
  onBody(bytes: Uint8Array): void
  onMemberEnd(): void
}

const KINDS: Readonly<Record<number, TarKind>> = {
  0x30: 'file',
  0x31: 'hardlink',
  0x32: 'symlink',
  0x33: 'char',
  0x34: 'block',
  0x35: 'directory',
  0x36: 'fifo',
}
const OLD_FILE = 0 // before POSIX: a file, or a directory if its name ends with a slash
const PAX = 0x78 // x
const GLOBAL_PAX = 0x67 // g: engines log and ignore it (git archive writes one)
const GNU_NAME = 0x4c // L
const GNU_LINK = 0x4b // K
const GNU_SPARSE = 0x53 // S
const EXTENSION_BYTES = 1 << 20 // Go's archive/tar refuses a pax member or a long name above 1 MiB
const NO_BLOCK = Buffer.alloc(BLOCK_BYTES)

type Body =
  { readonly to: 'sink' | 'nobody' } | { readonly to: 'pax' | 'name' | 'link'; readonly bytes: Buffer; at: number }

/** Takes a tar piece by piece. Throws `image_unsupported`. */
export class TarParser {
  readonly #sink: TarSink
  readonly #block = Buffer.alloc(BLOCK_BYTES)
  #filled = 0
  #body: Body | undefined
  #bodyLeft = 0
  #skip = 0
  #isZeroSeen = false
  #isEnded = false
  #pax: PaxOverrides | undefined
  #longName: Buffer | undefined
  #longLink: Buffer | undefined

  constructor(sink: TarSink) {
    this.#sink = sink
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let at = 0; at < bytes.length && !this.#isEnded;) {
      if (this.#body) at += this.#takeBody(bytes, at)
      else if (this.#skip > 0) at += this.#takeSkip(bytes.length - at)
      else at += this.#takeBlock(bytes, at)
    }
  }

  /** No more pieces. As Go's archive/tar, a tar may end without the zeros that end it, but within no member. */
  end(): void {
    if (this.#isEnded) return
    if (this.#filled > 0 || this.#body || this.#skip > 0) refuseTar('it ends in the middle of a member')
    if (this.#pax || this.#longName || this.#longLink) refuseTar('it ends before the member that it announces')
  }

  #takeSkip(available: number): number {
    const taken = Math.min(available, this.#skip)
    this.#skip -= taken
    return taken
  }

  #takeBody(bytes: Buffer, at: number): number {
    const body = this.#body
    const taken = Math.min(bytes.length - at, this.#bodyLeft)
    const part = bytes.subarray(at, at + taken)
    this.#bodyLeft -= taken
    if (body?.to === 'sink') this.#sink.onBody(part)
    else if (body && 'bytes' in body) body.at += part.copy(body.bytes, body.at)
    if (this.#bodyLeft === 0) this.#endBody()
    return taken
  }

  #beginBody(body: Body, size: number): void {
    this.#body = body
    this.#bodyLeft = size
    this.#skip = padding(size)
    if (size === 0) this.#endBody()
  }

  #endBody(): void {
    const body = this.#body
    this.#body = undefined
    if (body?.to === 'sink') this.#sink.onMemberEnd()
    else if (body?.to === 'pax') this.#pax = parsePax(body.bytes)
    else if (body?.to === 'name') this.#longName = textOf(body.bytes)
    else if (body?.to === 'link') this.#longLink = textOf(body.bytes)
  }

  #takeBlock(bytes: Buffer, at: number): number {
    const missing = BLOCK_BYTES - this.#filled
    if (this.#filled === 0 && bytes.length - at >= missing) {
      this.#onBlock(bytes.subarray(at, at + BLOCK_BYTES))
      return BLOCK_BYTES
    }
    const taken = bytes.copy(this.#block, this.#filled, at, at + missing)
    this.#filled += taken
    if (this.#filled === BLOCK_BYTES) {
      this.#filled = 0
      this.#onBlock(this.#block)
    }
    return taken
  }

  #onBlock(block: Buffer): void {
    if (block.equals(NO_BLOCK)) {
      if (this.#isZeroSeen) this.#isEnded = true
      this.#isZeroSeen = true
      return
    }
    if (this.#isZeroSeen) refuseTar('a member follows a block of zeros')
    checkSum(block)
    const flag = block[156] ?? 0
    const size = count(parseNumber(block.subarray(124, 136), 'size'), 'size')
    if (flag === PAX) this.#collect('pax', size)
    else if (flag === GNU_NAME) this.#collect('name', size)
    else if (flag === GNU_LINK) this.#collect('link', size)
    else if (flag === GLOBAL_PAX) this.#beginBody({ to: 'nobody' }, size)
    else this.#beginMember(block, flag, size)
  }

  #collect(to: 'pax' | 'name' | 'link', size: number): void {
    if (size > EXTENSION_BYTES) refuseTar(`it announces a member with ${size} bytes, and 1 MiB is the most`)
    this.#beginBody({ to, bytes: Buffer.alloc(size), at: 0 }, size)
  }

  #beginMember(block: Buffer, flag: number, blockSize: number): void {
    if (flag === GNU_SPARSE) refuseTar('it has a sparse file')
    const pax = this.#pax ?? {}
    const rawName = this.#longName ?? pax.path ?? nameOf(block)
    const isOldDirectory = flag === OLD_FILE && rawName.at(-1) === 0x2f
    const kind = flag === OLD_FILE ? (isOldDirectory ? 'directory' : 'file') : KINDS[flag]
    if (kind === undefined) return refuseTar(`it has a member of the unknown type ${quote(String.fromCharCode(flag))}`)
    const rawLink = this.#longLink ?? pax.linkpath ?? textOf(block.subarray(157, 257))
    this.#pax = this.#longName = this.#longLink = undefined
    // As Go's archive/tar and GNU tar: only a file has a body, whatever a header says of the size of another.
    const size = kind === 'file' ? (pax.size ?? blockSize) : 0
    this.#sink.onMember({
      name: memberName(parsePath(rawName), kind, rawName),
      kind,
      size,
      ...metadataOf(block, pax),
      ...linkOf(kind, rawLink),
      ...deviceOf(kind, block),
      ...(pax.xattrs && { xattrs: pax.xattrs }),
    })
    this.#beginBody({ to: 'sink' }, size)
  }
}

function memberName(path: Buffer, kind: TarKind, raw: Buffer): Buffer {
  if (kind === 'directory') return path.length === 0 ? Buffer.from('./') : Buffer.concat([path, Buffer.from('/')])
  return path.length === 0 ? refuseTar(`its root, ${quote(raw)}, is no directory`) : path
}

function metadataOf(block: Buffer, pax: PaxOverrides) {
  const number = (from: number, to: number, what: string) => parseNumber(block.subarray(from, to), what)
  const mtimeNs = pax.mtimeNs ?? 0
  return {
    mode: count(number(100, 108, 'mode'), 'mode') & 0o7777,
    uid: pax.uid ?? count(number(108, 116, 'owner'), 'owner'),
    gid: pax.gid ?? count(number(116, 124, 'group'), 'group'),
    mtimeSec: pax.mtimeSec ?? number(136, 148, 'mtime'),
    ...(mtimeNs > 0 && { mtimeNs }),
  }
}

function linkOf(kind: TarKind, raw: Buffer): { readonly linkName?: Buffer } {
  if (kind !== 'symlink' && kind !== 'hardlink') return {}
  if (raw.length === 0) return refuseTar('a link names nothing')
  if (kind === 'symlink') return { linkName: raw }
  const linkName = parsePath(raw)
  return linkName.length === 0 ? refuseTar('a hard link names the root') : { linkName }
}

function deviceOf(kind: TarKind, block: Buffer): { readonly devMajor?: number; readonly devMinor?: number } {
  if (kind !== 'char' && kind !== 'block') return {}
  const devMajor = count(parseNumber(block.subarray(329, 337), 'device'), 'device')
  return { devMajor, devMinor: count(parseNumber(block.subarray(337, 345), 'device'), 'device') }
}

/** POSIX's prefix; GNU's format has other things there, and what came before nothing that can be trusted. */
function nameOf(block: Buffer): Buffer {
  const name = textOf(block.subarray(0, 100))
  if (block.toString('latin1', 257, 263) !== 'ustar\0') return name
  const isStar = block.toString('latin1', 508, 512) === 'tar\0' // star keeps times behind a shorter prefix
  const prefix = textOf(block.subarray(345, isStar ? 476 : 500))
  return prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name
}

/** Bytes counted as unsigned, or, by some old tars, as signed. */
function checkSum(block: Buffer): void {
  const said = parseNumber(block.subarray(148, 156), 'checksum')
  let unsigned = 8 * 0x20
  let signed = unsigned
  for (let i = 0; i < BLOCK_BYTES; i++) {
    if (i === 148) i = 156
    const byte = block[i] ?? 0
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 0x100
  }
  if (said !== unsigned && said !== signed) refuseTar('a block has a wrong checksum')
}
