import { isUtf8 } from 'node:buffer'
import { AppError } from '#base/errors.ts'
import { isTarXattr } from '#oci/pax.ts'
import { imageCapability, isAcl, isKeptXattr, overlayAttribute, type OverlayPrefix } from '#overlay/xattrs.ts'
import {
  addressOf,
  closeDescriptor,
  cString,
  errnoName,
  getXattr,
  openDirectory,
  openFileAt,
  readLinkAt,
  statxAt,
  statxDescriptor,
} from '#posix/libc.ts'
import { equalsStat, FILE_TYPE, statxInode, statxMode } from '#posix/stat.ts'
import { xattrNames } from './overlay-marks.ts'
import type { Rows } from './rows.ts'

export type Xattr = readonly [name: string, value: Uint8Array]

export interface EntryXattrs {
  readonly xattrs: readonly Xattr[]
  /** Why some that belong to the image are missing. */
  readonly leftOut?: string
}

export interface EntryOptions {
  readonly overlayPrefix: OverlayPrefix
  readonly toImageUid: (hostId: number) => number | undefined
  /** The container has a user namespace: ids in ACLs are the host's, so ACLs are left out. */
  readonly hasIdMap: boolean
}

export const NO_XATTRS: EntryXattrs = { xattrs: [] }

const value = Buffer.alloc(1 << 16) // XATTR_SIZE_MAX
const target = Buffer.alloc(1 << 12) // PATH_MAX

/**
 * Opens entries by their rows, in the jail: the directory by a path without a symlink in it, the entry in that directory, and
 * both must be the inodes that the walk saw. The last directory stays open, because rows come in the order of the tree.
 */
export class EntryOpener {
  readonly #rows: Rows
  readonly #namesAddress: number
  readonly #statx = new Uint32Array(64)
  #directory = -1
  #descriptor = -1

  constructor(rows: Rows) {
    this.#rows = rows
    this.#namesAddress = addressOf(rows.names)
  }

  /** What the last of the other methods saw: struct statx. */
  get statx(): Uint32Array {
    return this.#statx
  }

  /** The descriptor of a directory, owned by the opener; negative when another one is there by now. */
  directory(row: number): number {
    if (this.#directory === row && this.#descriptor >= 0) return this.#descriptor
    this.close()
    const path = this.#rows.path(row)
    this.#descriptor = this.#verified(openDirectory(cString(path === '' ? '.' : path)), row)
    this.#directory = row
    return this.#descriptor
  }

  /** A regular file opened for reading, to be closed by the caller; negative when another entry is there by now. */
  openFile(row: number): number {
    return this.#verified(this.openUnverified(row), row)
  }

  /** As `openFile`, but whatever has that name by now: for who does not take anything from it. */
  openUnverified(row: number): number {
    const directory = this.directory(this.#rows.parent(row))
    return directory < 0 ? directory : openFileAt(directory, this.#nameAddress(row))
  }

  /** The target of a symlink; undefined when another entry is there by now. */
  readLink(row: number): Uint8Array | undefined {
    const directory = this.directory(this.#rows.parent(row))
    const length = directory < 0 ? directory : readLinkAt(directory, this.#nameAddress(row), target)
    return length < 0 ? undefined : Uint8Array.prototype.slice.call(target, 0, length)
  }

  /** Whether there is an entry of that name; `statx` tells of it. */
  look(row: number): boolean {
    const directory = this.directory(this.#rows.parent(row))
    return directory >= 0 && statxAt(directory, this.#nameAddress(row), this.#statx) >= 0
  }

  /** Whether the entry of that name has the very attributes that the walk saw. */
  isAsSeen(row: number): boolean {
    return this.look(row) && equalsStat(this.#statx, this.#rows.words, this.#rows.stat(row))
  }

  close(): void {
    if (this.#descriptor >= 0) closeDescriptor(this.#descriptor)
    this.#descriptor = -1
  }

  #nameAddress(row: number): number {
    return this.#namesAddress + this.#rows.nameOffset(row)
  }

  #verified(descriptor: number, row: number): number {
    if (descriptor < 0) return descriptor
    if (statxDescriptor(descriptor, this.#statx) === 0 && this.#isSame(row)) return descriptor
    closeDescriptor(descriptor)
    return -1
  }

  /** Inode numbers are used again at once: a FIFO in the place of a file may have the file's. */
  #isSame(row: number): boolean {
    const isSameType = (statxMode(this.#statx) & FILE_TYPE.mask) === this.#rows.type(row)
    return isSameType && statxInode(this.#statx) === this.#rows.inode(row)
  }
}

/** Go's archive/tar reads attributes to 1 MiB a file; so much leaves room for the rest, and no file on ext4 comes near it. */
const FILE_BYTES = 1 << 19
/** Of all files that are read together: attributes are kept in memory. */
const TOGETHER_BYTES = 32 << 20
const NAME = 'extended attributes whose names a layer cannot hold'
const SIZE = 'extended attributes that are more than a layer can hold'

/** Reads the extended attributes that belong to the image, so many bytes of them in its life. */
export class XattrReader {
  readonly #options: EntryOptions
  #room = TOGETHER_BYTES

  constructor(options: EntryOptions) {
    this.#options = options
  }

  /**
   * The attributes of an open file or directory. What no layer can hold is left out, and said. Throws `reader_failed`, and
   * `overlay_unsupported` for a file of which overlay holds metadata only.
   */
  read(descriptor: number, path: () => string): EntryXattrs {
    const { overlayPrefix, hasIdMap } = this.#options
    const { names, isCut } = xattrNames(descriptor, overlayPrefix)
    if (names.length === 0 && !isCut) return NO_XATTRS
    const xattrs: Xattr[] = []
    let leftOut = isCut ? SIZE : undefined
    let bytes = 0
    for (const name of names) {
      if (overlayAttribute(name, overlayPrefix) === 'metacopy') throw metacopy(path())
      if (!isKeptXattr(name) || (hasIdMap && isAcl(name))) continue
      const text = layerName(name)
      const content = text === undefined ? undefined : this.#value(descriptor, name, path)
      if (text === undefined) leftOut = NAME
      if (text === undefined || content === undefined) continue
      const size = name.length + content.byteLength
      if (bytes + size > FILE_BYTES || size > this.#room) leftOut ??= SIZE
      else {
        bytes += size
        this.#room -= size
        xattrs.push([text, content])
      }
    }
    return leftOut === undefined ? { xattrs } : { xattrs, leftOut: `only its ${leftOut}` }
  }

  /** Undefined when it was removed a moment ago: the next pass sees the ctime of that. */
  #value(descriptor: number, name: string, path: () => string): Uint8Array | undefined {
    const length = getXattr(descriptor, cString(name), value)
    if (length < 0 && errnoName(length) === 'ENODATA') return undefined
    if (length < 0)
      throw new AppError('reader_failed', `The attribute ${name} of /${path()} cannot be read: ${errnoName(length)}.`)
    const bytes = Uint8Array.prototype.slice.call(value, 0, length)
    return name === 'security.capability' ? imageCapability(bytes, this.#options.toImageUid) : bytes
  }
}

/** The kernel's bytes as text; undefined when a layer cannot have an attribute of that name. */
function layerName(name: string): string | undefined {
  const bytes = Buffer.from(name, 'latin1')
  const text = bytes.toString('utf8')
  return isUtf8(bytes) && isTarXattr(text) ? text : undefined
}

function metacopy(path: string): AppError {
  return new AppError(
    'overlay_unsupported',
    `/${path} was saved by overlay with metacopy, so its content is not in the writable layer: mount the container's overlay with metacopy=off.`,
    { details: { path: `/${path}`, option: 'metacopy' } },
  )
}
