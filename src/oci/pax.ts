import { isUtf8 } from 'node:buffer'
import { AppError } from '#base/errors.ts'

/** `KEY=VALUE` of a pax extended header (POSIX.1-2017, pax § pax Extended Header). */
export interface PaxRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** What a ustar block cannot hold; undefined where it can. */
export interface PaxFields {
  readonly path: Uint8Array | undefined
  readonly linkpath: Uint8Array | undefined
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly size: number | undefined
  /** Whole seconds, or seconds with a fraction as text. */
  readonly mtime: number | string | undefined
  readonly xattrs: readonly (readonly [name: string, value: Uint8Array])[] | undefined
}

const NO_RECORDS: readonly PaxRecord[] = []
const XATTR_PREFIX = 'SCHILY.xattr.' // star's; GNU tar, bsdtar and Go's archive/tar read it

/**
 * Whether a layer can hold an attribute of this name. Go's archive/tar ends a key at the first `=`: it would restore
 * `user.a=b` as another attribute.
 */
export function isTarXattr(name: string): boolean {
  return name !== '' && !/[=\0]/.test(name)
}

/** The records of one member, sorted by key; none is the rule. Throws `layer_invalid` for an attribute's name (isTarXattr). */
export function paxRecords(fields: PaxFields): readonly PaxRecord[] {
  const { path, linkpath, uid, gid, size, mtime, xattrs } = fields
  const plain = path === undefined && linkpath === undefined && (xattrs === undefined || xattrs.length === 0)
  if (plain && uid === undefined && gid === undefined && size === undefined && mtime === undefined) return NO_RECORDS

  const records: PaxRecord[] = []
  const add = (key: string, value: Uint8Array | number | string | undefined) => {
    if (value === undefined) return
    records.push({ key: Buffer.from(key), value: value instanceof Uint8Array ? value : Buffer.from(String(value)) })
  }
  for (const [name, value] of xattrs ?? []) {
    if (!isTarXattr(name)) {
      throw new AppError('layer_invalid', `A layer cannot hold the extended attribute ${JSON.stringify(name)}.`)
    }
    add(XATTR_PREFIX + name, value)
  }
  add('path', path)
  add('linkpath', linkpath)
  add('uid', uid)
  add('gid', gid)
  add('size', size)
  add('mtime', mtime)
  // Without it a strict reader takes names for UTF-8. It sorts before the names that it is about.
  if (!isText(path) || !isText(linkpath)) add('hdrcharset', 'BINARY')
  return records.sort((a, b) => Buffer.compare(a.key, b.key))
}

/** Bytes that `writePax` writes, without padding. */
export function paxBytes(records: readonly PaxRecord[]): number {
  let bytes = 0
  for (const record of records) bytes += recordBytes(record)
  return bytes
}

/** Write `LENGTH KEY=VALUE\n` for each record at `into[at]`. */
export function writePax(records: readonly PaxRecord[], into: Uint8Array, at: number): void {
  let offset = at
  for (const record of records) {
    const bytes = recordBytes(record)
    const length = Buffer.from(`${bytes} `)
    into.set(length, offset)
    into.set(record.key, offset + length.length)
    const value = offset + length.length + record.key.length + 1
    into[value - 1] = 0x3d
    into.set(record.value, value)
    offset += bytes
    into[offset - 1] = 0x0a
  }
}

/** A record's length counts its own digits. */
function recordBytes({ key, value }: PaxRecord): number {
  const rest = key.length + value.length + 3 // space, =, newline
  const digits = String(rest).length
  return String(rest + digits).length > digits ? rest + digits + 1 : rest + digits
}

function isText(bytes: Uint8Array | undefined): boolean {
  return bytes === undefined || isUtf8(bytes)
}
