import { AppError } from '#base/errors.ts'
import { overlayAttribute, type OverlayPrefix } from '#overlay/xattrs.ts'
import { closeDescriptor, cString, errnoName, getXattr, listXattrs, openFileAt } from '#posix/libc.ts'
import { listDirectory } from './list-directory.ts'

const NAMES_BYTES = 1 << 16 // XATTR_LIST_MAX
const names = Buffer.alloc(NAMES_BYTES)
/** The kernel allocates as much as it is offered, for each file: nearly all have no names or few. */
const fewNames = names.subarray(0, 512)
const value = Buffer.alloc(256)

/** What overlay keeps about an entry in extended attributes. */
export interface OverlayMarks {
  readonly isOpaque: boolean
  /** `opaque=x`: not opaque, but files in it may be whiteouts by attribute (kernel 6.7). */
  readonly hasXattrWhiteouts: boolean
  readonly isWhiteout: boolean
  /** A lower layer has it: overlay names the origin of all that it copies up, though it may not know more than that. */
  readonly isCopiedUp: boolean
}

const NONE: OverlayMarks = { isOpaque: false, hasXattrWhiteouts: false, isWhiteout: false, isCopiedUp: false }

export interface XattrNames {
  /** One char a byte. */
  readonly names: readonly string[]
  /** The file has more names than the kernel lists: only those that must not be missed are here. */
  readonly isCut: boolean
}

/** The names of an open file's extended attributes. ENOTSUP: the file system has none. Throws `reader_failed`. */
export function xattrNames(descriptor: number, prefix: OverlayPrefix): XattrNames {
  const few = listXattrs(descriptor, fewNames)
  const length = few < 0 && errnoName(few) === 'ERANGE' ? listXattrs(descriptor, names) : few
  if (length > 0) return { names: names.toString('latin1', 0, length - 1).split('\0'), isCut: false }
  const error = length === 0 ? '' : errnoName(length)
  if (['', 'ENOTSUP', 'EOPNOTSUPP'].includes(error)) return { names: [], isCut: false }
  // Anyone may give a file more names than fit (listxattr(2), BUGS): then it is asked for what has a meaning.
  if (error === 'E2BIG') return { names: knownNames(prefix).filter((name) => hasXattr(descriptor, name)), isCut: true }
  throw new AppError('reader_failed', `Extended attributes cannot be listed: ${error}.`)
}

function knownNames(prefix: OverlayPrefix): readonly string[] {
  return [
    ...['opaque', 'origin', 'redirect', 'metacopy', 'whiteout'].map((name) => prefix + name),
    'security.capability',
  ]
}

function hasXattr(descriptor: number, name: string): boolean {
  return getXattr(descriptor, cString(name), value) >= 0
}

/** Overlay's marks on an open file or directory. Throws `overlay_unsupported` for `redirect_dir` and `metacopy` in use. */
export function overlayMarks(descriptor: number, path: string, prefix: OverlayPrefix): OverlayMarks {
  let marks = NONE
  for (const name of xattrNames(descriptor, prefix).names) {
    const attribute = overlayAttribute(name, prefix)
    if (attribute === 'redirect' || attribute === 'metacopy') throw unsupported(path, attribute)
    if (attribute === 'whiteout') marks = { ...marks, isWhiteout: true }
    if (attribute === 'origin') marks = { ...marks, isCopiedUp: true }
    if (attribute !== 'opaque') continue
    const length = getXattr(descriptor, cString(name), value)
    const text = length > 0 ? value.toString('latin1', 0, length) : ''
    marks = { ...marks, isOpaque: text === 'y', hasXattrWhiteouts: text === 'x' }
  }
  return marks
}

function unsupported(path: string, attribute: string): AppError {
  const option = attribute === 'redirect' ? 'redirect_dir' : 'metacopy'
  return new AppError(
    'overlay_unsupported',
    `/${path} was saved by overlay with ${option}, so its content is not in the writable layer: mount the container's overlay with ${option}=off.`,
    { details: { path: `/${path}`, option } },
  )
}

/** Kernel 6.7's whiteout by attribute, looked for only in directories that say they have some. */
export function isXattrWhiteout(directory: number, name: number, prefix: OverlayPrefix): boolean {
  return opened(directory, name, (descriptor) => overlayMarks(descriptor, '', prefix).isWhiteout)
}

/** Whether a directory is empty, and neither hides nor changes one of a lower layer. */
export function isBareDirectory(directory: number, name: number, prefix: OverlayPrefix): boolean {
  return opened(directory, name, (descriptor) => {
    const { isOpaque, isCopiedUp } = overlayMarks(descriptor, '', prefix)
    return !isOpaque && !isCopiedUp && listDirectory(descriptor).length === 0
  })
}

/** The answer about an entry that is open for it; false when it cannot be opened. */
function opened(directory: number, name: number, ask: (descriptor: number) => boolean): boolean {
  const descriptor = openFileAt(directory, name)
  if (descriptor < 0) return false
  try {
    return ask(descriptor)
  } finally {
    closeDescriptor(descriptor)
  }
}
