import { constants } from 'node:fs'
import koffi from 'koffi'

/**
 * System calls that Node does not offer, by FFI. Pointers are passed as typed arrays or, where a loop over 100 000 names
 * must not make an object for each, as addresses (`addressOf`): both may lie in shared memory.
 *
 * Everything is bound when this module is loaded: after the jail is shut nothing may be looked up on disk (attacks.md A4).
 */
const libc = koffi.load(null)

type Pointer = Uint8Array | Uint32Array | BigUint64Array | number | null

const bind = <Args extends readonly unknown[]>(declaration: string): ((...args: Args) => number) =>
  libc.func(declaration)

const native = {
  statx: bind<[number, Pointer, number, number, Pointer]>('int statx(int, void*, int, unsigned int, void*)'),
  openat: bind<[number, Pointer, number, number]>('int openat(int, void*, int, int)'),
  syscall4: bind<[number, number, Pointer, Pointer, number]>('long syscall(long, long, void*, void*, long)'),
  syscallPath: bind<[number, Pointer, number]>('long syscall(long, void*, long)'),
  syscall5: bind<[number, number, number, Pointer, Pointer, number]>(
    'long syscall(long, long, long, void*, void*, long)',
  ),
  syscall3: bind<[number, number, number, number]>('long syscall(long, long, long, long)'),
  close: bind<[number]>('int close(int)'),
  pread: bind<[number, Pointer, number, number]>('long pread(int, void*, size_t, long)'),
  getdents64: bind<[number, Pointer, number]>('long getdents64(int, void*, size_t)'),
  readlinkat: bind<[number, Pointer, Pointer, number]>('long readlinkat(int, void*, void*, size_t)'),
  flistxattr: bind<[number, Pointer, number]>('long flistxattr(int, void*, size_t)'),
  fgetxattr: bind<[number, Pointer, Pointer, number]>('long fgetxattr(int, void*, void*, size_t)'),
  fsetxattr: bind<[number, Pointer, Pointer, number, number]>('int fsetxattr(int, void*, void*, size_t, int)'),
  syncFileRange: bind<[number, number, number, number]>('int sync_file_range(int, long, long, unsigned int)'),
  posixFadvise: bind<[number, number, number, number]>('int posix_fadvise(int, long, long, int)'),
  fallocate: bind<[number, number, number, number]>('int fallocate(int, int, long, long)'),
  flock: bind<[number, number]>('int flock(int, int)'),
  chroot: bind<[Pointer]>('int chroot(void*)'),
  lseek: bind<[number, number, number]>('long lseek(int, long, int)'),
  timerfdCreate: bind<[number, number]>('int timerfd_create(int, int)'),
  timerfdSettime: bind<[number, number, Pointer, Pointer]>('int timerfd_settime(int, int, void*, void*)'),
  read: bind<[number, Pointer, number]>('long read(int, void*, size_t)'),
  mmap: bind<[Pointer, number, number, number, number, number]>('long mmap(void*, size_t, int, int, int, long)'),
  munmap: bind<[Pointer, number]>('int munmap(void*, size_t)'),
}

const ERRNO_NAMES = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]))

/** The result of a call: itself when it is not negative, else minus `errno`. */
const checked = (result: number): number => (result < 0 ? -koffi.errno() : result)

/** The name (`ENOENT`) of a negative result. */
export function errnoName(result: number): string {
  return ERRNO_NAMES.get(-result) ?? `errno ${-result}`
}

/** A failed call as an exception that looks like Node's own (`code`, `syscall`). */
export function systemError(call: string, result: number): Error {
  const code = errnoName(result)
  return Object.assign(new Error(`${code}: ${call}`), { code, errno: result, syscall: call })
}

/** The address of the first byte of `view`: stable as long as its (not resizable) buffer lives. */
export function addressOf(view: Uint8Array): number {
  return Number(koffi.address(view))
}

/** A path or name as the kernel wants it. The string's chars are bytes (latin1). */
export function cString(latin1: string): Uint8Array {
  return Buffer.from(latin1 + '\0', 'latin1')
}

export const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_EMPTY_PATH = 0x1000
const STATX_BASIC_STATS = 0x7ff
const STATX_BTIME = 0x800
const EMPTY = cString('')

/** statx(2) of `name` in `directory`, not following a symlink, into 256 bytes. 0 or a negative errno. */
export function statxAt(directory: number, name: Pointer, into: Uint32Array): number {
  return checked(native.statx(directory, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, into))
}

/** statx(2) of an open descriptor. */
export function statxDescriptor(descriptor: number, into: Uint32Array): number {
  return checked(native.statx(descriptor, EMPTY, AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, into))
}

// O_DIRECTORY and O_NOFOLLOW have other values on arm64: they come from Node, which was compiled there.
const { O_NONBLOCK, O_DIRECTORY, O_NOFOLLOW, O_NOATIME } = constants
const O_CLOEXEC = 0o2000000 // the same on all architectures that Node runs on under Linux
const RESOLVE_NO_MAGICLINKS = 0x02
const RESOLVE_NO_SYMLINKS = 0x04
const SYS_OPENAT2 = 437

// struct open_how: flags, mode, resolve. Every directory of the container is opened without following a symlink anywhere.
const DIRECTORY_HOW = BigUint64Array.of(
  BigInt(O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC),
  0n,
  BigInt(RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS),
)

/** Open a directory by a path in which no component may be a symlink (openat2(2)). A descriptor or a negative errno. */
export function openDirectory(path: Pointer): number {
  return checked(native.syscall4(SYS_OPENAT2, AT_FDCWD, path, DIRECTORY_HOW, DIRECTORY_HOW.byteLength))
}

/** Open `name` in `directory` for reading: no symlink, no waiting for a FIFO's other end, no change of its atime. */
export function openFileAt(directory: number, name: Pointer): number {
  return checked(native.openat(directory, name, O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC, 0))
}

/** close(2); the kernel has released the descriptor whatever it answers. */
export function closeDescriptor(descriptor: number): void {
  native.close(descriptor)
}

const SYS_CLOSE_RANGE = 436
const CLOSE_RANGE_CLOEXEC = 4
const MOST_DESCRIPTOR = 0xffffffff

/** Let no program that is started from now on inherit a descriptor from `first` on by accident (close_range(2), kernel 5.11). */
export function closeOnExec(first: number): void {
  native.syscall3(SYS_CLOSE_RANGE, first, MOST_DESCRIPTOR, CLOSE_RANGE_CLOEXEC)
}

/** pread(2): bytes read, 0 at the end, or a negative errno. */
export function readAt(descriptor: number, into: Pointer, length: number, position: number): number {
  return checked(native.pread(descriptor, into, length, position))
}

/** getdents64(2): bytes of records written to `into`, 0 at the end, or a negative errno. */
export function readDirectory(descriptor: number, into: Uint8Array): number {
  return checked(native.getdents64(descriptor, into, into.byteLength))
}

/** readlinkat(2): length of the target (not terminated), or a negative errno. */
export function readLinkAt(directory: number, name: Pointer, into: Uint8Array): number {
  return checked(native.readlinkat(directory, name, into, into.byteLength))
}

/** flistxattr(2): bytes of NUL-terminated names, or a negative errno. */
export function listXattrs(descriptor: number, into: Uint8Array): number {
  return checked(native.flistxattr(descriptor, into, into.byteLength))
}

/** fgetxattr(2): length of the value, or a negative errno. */
export function getXattr(descriptor: number, name: Pointer, into: Uint8Array): number {
  return checked(native.fgetxattr(descriptor, name, into, into.byteLength))
}

/** fsetxattr(2). Throws the system error. */
export function setXattr(descriptor: number, name: string, value: Uint8Array): void {
  const result = checked(native.fsetxattr(descriptor, cString(name), value, value.byteLength, 0))
  if (result < 0) throw systemError(`fsetxattr ${name}`, result)
}

const SYNC_FILE_RANGE_WAIT_BEFORE = 1
const SYNC_FILE_RANGE_WRITE = 2

/** Start writeback of a whole file, so that a later store through a mapping changes its ctime (attacks.md A1). */
export function startWriteback(descriptor: number): number {
  return checked(native.syncFileRange(descriptor, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE))
}

const POSIX_FADV_WILLNEED = 3

/** Have `length` bytes of a file fetched into the page cache without waiting for them (posix_fadvise(2)). Advice: it does not fail. */
export function willNeed(descriptor: number, position: number, length: number): void {
  native.posixFadvise(descriptor, position, length, POSIX_FADV_WILLNEED)
}

/** Reserve `length` bytes of a file from `position`. 0 or a negative errno (ENOSPC, EOPNOTSUPP). */
export function reserve(descriptor: number, position: number, length: number): number {
  return checked(native.fallocate(descriptor, 0, position, length))
}

const KEEP_SIZE = 1
const PUNCH_HOLE = 2

/** Give back the blocks of a part of a file, which reads as zeros from then on. 0 or a negative errno (EOPNOTSUPP). */
export function punchHole(descriptor: number, position: number, length: number): number {
  return checked(native.fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, position, length))
}

const LOCK_EX_NB = 2 | 4
const EWOULDBLOCK = 11 // koffi knows it by this name and by EAGAIN

/** Take the exclusive flock(2) of an open file without waiting: false when somebody else has it. Throws the system error. */
export function tryLock(descriptor: number): boolean {
  const result = checked(native.flock(descriptor, LOCK_EX_NB))
  if (result === 0) return true
  if (result === -EWOULDBLOCK) return false
  throw systemError('flock', result)
}

/** chroot(2) to `path` and nothing else: the caller changes its directory. Throws the system error. */
export function changeRoot(path: string): void {
  const result = checked(native.chroot(cString(path)))
  if (result < 0) throw systemError(`chroot ${path}`, result)
}

const SEEK_DATA = 3
const SEEK_HOLE = 4

/** Where the next data of a sparse file begins at or after `position`; the file's end gives -ENXIO. */
export function nextData(descriptor: number, position: number): number {
  return checked(native.lseek(descriptor, position, SEEK_DATA))
}

/** Where the next hole of a sparse file begins at or after `position` (its end counts as one). */
export function nextHole(descriptor: number, position: number): number {
  return checked(native.lseek(descriptor, position, SEEK_HOLE))
}

const CLOCK_REALTIME = 0
const TFD_CLOEXEC_NONBLOCK = O_CLOEXEC | O_NONBLOCK
const TFD_TIMER_ABSTIME = 1
const TFD_TIMER_CANCEL_ON_SET = 2
/** struct itimerspec: no interval; a time that does not come. */
const NEVER = BigUint64Array.of(0n, 0n, 2n ** 33n, 0n)

/**
 * Notice from now on that somebody sets the wall clock, by however little and also when it is set right again: a timer of
 * timerfd_create(2) that ends with it. A descriptor for `wasClockSet`, or a negative errno.
 */
export function watchClock(): number {
  const descriptor = checked(native.timerfdCreate(CLOCK_REALTIME, TFD_CLOEXEC_NONBLOCK))
  if (descriptor < 0) return descriptor
  const flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
  const result = checked(native.timerfdSettime(descriptor, flags, NEVER, null))
  if (result === 0) return descriptor
  closeDescriptor(descriptor)
  return result
}

const expirations = new Uint8Array(8)

/** Whether the clock was set since `watchClock`, or since the last call that said so. */
export function wasClockSet(descriptor: number): boolean {
  return errnoName(checked(native.read(descriptor, expirations, expirations.byteLength))) === 'ECANCELED'
}

const PROT_READ_WRITE = 1 | 2
const MAP_SHARED = 1

/**
 * Store the first `length` bytes of the file `source` into `target` through a shared mapping of it. It is the kernel that
 * stores (read(2) into the mapping), so a full disk is an error here and no signal. Bytes stored, or a negative errno.
 */
export function storeThroughMapping(target: number, source: number, length: number): number {
  const address = checked(native.mmap(null, length, PROT_READ_WRITE, MAP_SHARED, target, 0))
  if (address < 0) return address
  const stored = readAt(source, address, length, 0)
  native.munmap(address, length)
  return stored
}

const SYS_FSOPEN = 430
const SYS_FSCONFIG = 431
const SYS_FSMOUNT = 432
const FSOPEN_CLOEXEC = 1
const FSCONFIG_CMD_CREATE = 6
const FSMOUNT_CLOEXEC = 1
const MOUNT_ATTR_NOSUID_NODEV_NOEXEC = 2 | 4 | 8

/**
 * Mount a file system of the kernel (`tracefs`) nowhere: the mount is in no process's tree, is reached through the descriptor
 * that is returned (as /proc/self/fd/N) and ends with it (fsmount(2), kernel 5.2). A descriptor or a negative errno.
 */
export function mountDetached(type: string): number {
  const context = checked(native.syscallPath(SYS_FSOPEN, cString(type), FSOPEN_CLOEXEC))
  if (context < 0) return context
  try {
    const created = checked(native.syscall5(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0))
    if (created < 0) return created
    return checked(native.syscall3(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID_NODEV_NOEXEC))
  } finally {
    closeDescriptor(context)
  }
}
