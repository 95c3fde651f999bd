/** What stands in the blocks of a tar that somebody else wrote: numbers, pax records and names, exact or refused. */
import { isUtf8 } from 'node:buffer'
import { refuse } from './json.ts'

/** What pax records say of one member; missing where they say nothing. */
export interface PaxOverrides {
  path?: Buffer
  linkpath?: Buffer
  uid?: number
  gid?: number
  size?: number
  mtimeSec?: number
  mtimeNs?: number
  xattrs?: [name: string, value: Buffer][]
}

/** Linux knows no longer path or name (limits.h: PATH_MAX, NAME_MAX): no engine could unpack one. */
const PATH_BYTES = 4095
const NAME_BYTES = 255
const XATTR_PREFIX = 'SCHILY.xattr.'

/** Throws `image_unsupported`: a layer that is not understood in full must not be written again. */
export function refuseTar(why: string): never {
  return refuse('layer', `is no tar that can be read exactly: ${why}`)
}

/**
 * A number of a ustar block: octal between blanks and NULs, or base-256, which GNU tar writes for what octal cannot hold
 * (its manual, § Extensions to the archive format).
 */
export function parseNumber(field: Buffer, what: string): number {
  if ((field[0] ?? 0) & 0x80) return parseBase256(field, what)
  let at = 0
  while (at < field.length && isBlank(field[at])) at++
  let value = 0
  for (; at < field.length && !isBlank(field[at]); at++) {
    const digit = (field[at] ?? 0) - 0x30
    if (digit < 0 || digit > 7) refuseTar(`its ${what} is ${quote(field)}, no octal number`)
    value = value * 8 + digit
  }
  return value
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0
}

/** Two's complement of all bits but the first, which marks the form. */
function parseBase256(field: Buffer, what: string): number {
  const isNegative = ((field[0] ?? 0) & 0x40) !== 0
  let value = BigInt((field[0] ?? 0) & 0x3f)
  for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte)
  if (isNegative) value -= 1n << BigInt(field.length * 8 - 2)
  return safe(Number(value), what)
}

function safe(value: number, what: string): number {
  return Number.isSafeInteger(value) ? value : refuseTar(`its ${what} is larger than can be`)
}

/** `value`, which must not be negative. */
export function count(value: number, what: string): number {
  return value >= 0 ? value : refuseTar(`its ${what} is negative`)
}

/** A field's text up to its first NUL, copied: the block is lent. */
export function textOf(field: Buffer): Buffer {
  const end = field.indexOf(0)
  return Buffer.from(end < 0 ? field : field.subarray(0, end))
}

/**
 * The records of a pax header (POSIX.1-2017, pax § pax Extended Header), as Go's archive/tar takes them, which unpacks
 * layers in the engines: what it does not know it leaves, and an empty value takes nothing back. Sparse files are refused:
 * a layer must not have them (image-spec, layer.md).
 */
export function parsePax(body: Buffer): PaxOverrides {
  const found: PaxOverrides = {}
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at)
    const digits = space < 0 ? '' : body.toString('latin1', at, space)
    const end = at + Number(digits)
    if (!/^\d{1,7}$/.test(digits) || end > body.length || end <= space || body[end - 1] !== 0x0a)
      refuseTar('a pax record has not the length that it says')
    const equals = body.indexOf(0x3d, space)
    if (equals <= space + 1 || equals >= end) refuseTar('a pax record has no key')
    takeRecord(found, body.subarray(space + 1, equals), Buffer.from(body.subarray(equals + 1, end - 1)))
    at = end
  }
  return found
}

function takeRecord(found: PaxOverrides, rawKey: Buffer, value: Buffer): void {
  if (!isUtf8(rawKey) || rawKey.includes(0)) refuseTar('the key of a pax record is no text')
  const key = rawKey.toString()
  if (key.startsWith('GNU.sparse.')) refuseTar('it has a sparse file')
  if (key.startsWith(XATTR_PREFIX)) {
    const name = key.slice(XATTR_PREFIX.length)
    if (name === '') refuseTar('an extended attribute has no name')
    const others = (found.xattrs ?? []).filter(([each]) => each !== name)
    found.xattrs = [...others, [name, value]]
  }
  if (value.length === 0) return
  if (key === 'path' || key === 'linkpath') {
    if (value.includes(0)) refuseTar(`its ${key} has a NUL`)
    found[key] = value
  } else if (key === 'uid' || key === 'gid' || key === 'size') found[key] = parseDecimal(value, key)
  else if (key === 'mtime') Object.assign(found, parseTime(value))
}

function parseDecimal(value: Buffer, what: string): number {
  const text = value.toString('latin1')
  if (!/^\d{1,16}$/.test(text)) refuseTar(`its ${what} is ${quote(text)}, no number`)
  return safe(Number(text), what)
}

/** Digits beyond the nanosecond say nothing that a file system keeps. */
function parseTime(value: Buffer): { mtimeSec: number; mtimeNs: number } {
  const parts = /^(-?)(\d{1,16})(?:\.(\d*))?$/.exec(value.toString('latin1'))
  if (!parts) return refuseTar(`its mtime is ${quote(value.toString('latin1'))}, no time`)
  const [, minus, whole = '', fraction = ''] = parts
  const seconds = safe(Number(whole), 'mtime')
  const nanos = Number(fraction.slice(0, 9).padEnd(9, '0'))
  if (minus === '') return { mtimeSec: seconds, mtimeNs: nanos }
  return nanos === 0 ? { mtimeSec: 0 - seconds, mtimeNs: 0 } : { mtimeSec: -seconds - 1, mtimeNs: 1e9 - nanos }
}

/**
 * A member's name below the root, as engines take it: a slash at its start, `.` and empty parts say nothing. Empty for the
 * root itself. Throws for `..`, which would leave the root, and for what is longer than a path can be.
 */
export function parsePath(raw: Buffer): Buffer {
  const parts: Buffer[] = []
  let bytes = 0
  for (let at = 0; at < raw.length;) {
    const slash = raw.indexOf(0x2f, at)
    const part = raw.subarray(at, slash < 0 ? raw.length : slash)
    at = slash < 0 ? raw.length : slash + 1
    if (part.length === 0 || (part.length === 1 && part[0] === 0x2e)) continue
    if (part.length === 2 && part[0] === 0x2e && part[1] === 0x2e) refuseTar(`the name ${quote(raw)} has ".." in it`)
    bytes += part.length + 1
    if (part.length > NAME_BYTES || bytes > PATH_BYTES + 1) refuseTar('it has a name that is longer than Linux takes')
    parts.push(part)
  }
  return joined(parts, bytes)
}

function joined(parts: readonly Buffer[], bytes: number): Buffer {
  const path = Buffer.allocUnsafe(Math.max(0, bytes - 1))
  let at = 0
  for (const part of parts) {
    if (at > 0) path[at++] = 0x2f
    at += part.copy(path, at)
  }
  return path
}

/** A name of the archive in a message: short, and without control characters. */
export function quote(text: Buffer | string): string {
  return JSON.stringify(text.toString().slice(0, 200))
}
