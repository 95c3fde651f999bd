"""Makes every kind of change below a directory, after a line on stdin, and says what must be seen of each.

Usage: changes.py DIRECTORY [LOWER]. LOWER is a directory, named relative to DIRECTORY, whose entries come from a lower
layer of an overlay. Prints `ready` when all is prepared; then one line of JSON for each kind: its name, and the paths
(relative to DIRECTORY, as they are afterwards) of the inodes whose ctime it must have set.
"""

import array
import ctypes
import fcntl
import json
import mmap
import os
import shutil
import socket
import struct
import sys

PAGE = 4096
libc = ctypes.CDLL(None, use_errno=True)
here = sys.argv[1]
lower = sys.argv[2] if len(sys.argv) > 2 else None
kinds = []


def kind(name, *seen):
    """A kind of change: the function gets its own directory, and yields once, between what prepares and what changes."""

    def add(function):
        kinds.append((name, seen, function))
        return function

    return add


def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def make(path, size=2 * PAGE):
    with open(path, "wb") as file:
        file.write(b"a" * size)
    return path


def with_descriptor(name, change, flags=os.O_RDWR):
    """A change through a descriptor that was opened long before."""

    @kind(name, "file")
    def _(d):
        fd = os.open(make(f"{d}/file"), flags)
        yield
        change(fd, d)


def with_path(name, change, *seen):
    """A change by names; there are a file, another, a directory with a file, and an empty one."""

    @kind(name, *seen)
    def _(d):
        make(f"{d}/file")
        make(f"{d}/other")
        os.mkdir(f"{d}/sub")
        os.mkdir(f"{d}/empty")
        make(f"{d}/sub/inner")
        os.link(f"{d}/other", f"{d}/second")
        yield
        change(d)


def with_mapping(name, change):
    """A change through a mapping that was made before."""

    @kind(name, "file")
    def _(d):
        fd = os.open(make(f"{d}/file"), os.O_RDWR)
        area = mmap.mmap(fd, PAGE)
        area[0] = 1
        os.fsync(fd)  # clean, and mapped read-only again: as after the sync of a live pass
        yield
        change(area, fd, d)


def direct(fd, _):
    page = mmap.mmap(-1, PAGE)
    page.write(b"d" * PAGE)
    os.pwritev(fd, [page], 0)


def from_pipe(fd, _):
    reader, writer = os.pipe()
    os.write(writer, b"spliced")
    os.splice(reader, fd, 7, offset_dst=0)


def sent(fd, d):
    os.sendfile(fd, os.open(make(f"{d}/source"), os.O_RDONLY), 0, PAGE)


def copied(fd, d):
    os.copy_file_range(os.open(make(f"{d}/source"), os.O_RDONLY), fd, PAGE, 0, 0)


def allocated(mode):
    return lambda fd, _: call(libc.fallocate(fd, mode, ctypes.c_long(0), ctypes.c_long(3 * PAGE)))


def passed(fd, _):
    ours, theirs = socket.socketpair()
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    os.close(fd)
    _, ancillary, _, _ = theirs.recvmsg(1, 100)
    os.write(array.array("i", ancillary[0][2])[0], b"passed")


def asynchronous(fd, _):
    context = ctypes.c_ulong(0)
    call(libc.syscall(206, 1, ctypes.byref(context)))  # io_setup
    data = ctypes.create_string_buffer(b"aio")
    # struct iocb: data, key, rw_flags, opcode (1: pwrite), priority, descriptor, buffer, bytes, offset
    block = struct.pack("<QIIHhIQQqQII", 0, 0, 0, 1, 0, fd, ctypes.addressof(data), 3, 0, 0, 0, 0)
    control = ctypes.create_string_buffer(block)
    pointer = ctypes.c_void_p(ctypes.addressof(control))
    call(libc.syscall(209, context, ctypes.c_long(1), ctypes.byref(pointer)))  # io_submit
    events = ctypes.create_string_buffer(32)
    call(libc.syscall(208, context, ctypes.c_long(1), ctypes.c_long(1), events, None))  # io_getevents


with_descriptor("write", lambda fd, _: os.write(fd, b"b"))
with_descriptor("pwrite of the same bytes", lambda fd, _: os.pwrite(fd, b"a", PAGE))
with_descriptor("append", lambda fd, _: os.write(fd, b"b"), os.O_WRONLY | os.O_APPEND)
with_descriptor("direct write", direct, os.O_RDWR | os.O_DIRECT)
with_descriptor("vectored write", lambda fd, _: os.writev(fd, [b"b", b"c"]))
with_descriptor("splice", from_pipe)
with_descriptor("sendfile", sent)
with_descriptor("copy_file_range", copied)
with_descriptor("fallocate", allocated(0))
with_descriptor("punch a hole", allocated(1 | 2))
with_descriptor("zero a range", allocated(16))
with_descriptor("ftruncate", lambda fd, _: os.ftruncate(fd, 1))
with_descriptor("write through a descriptor that was sent through a socket", passed)
with_descriptor("write through /proc/self/fd", lambda fd, _: os.write(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY), b"b"))
with_descriptor("fchmod", lambda fd, _: os.fchmod(fd, 0o600))
if os.uname().machine == "x86_64":  # the numbers of these calls
    with_descriptor("asynchronous write", asynchronous)


def close_then(change):
    def _(area, fd, d):
        os.close(fd)
        change(area)

    return _


def put(area):
    area[1] = 2


def put_in_child(area):
    child = os.fork()
    if child == 0:
        put(area)
        os._exit(0)
    os.waitpid(child, 0)


def read_into(area, _, d):
    with open(make(f"{d}/source"), "rb", buffering=0) as source:
        source.readinto(memoryview(area)[:10])


def put_and_sync(area, *_):
    put(area)
    area.flush()


with_mapping("store through a mapping", lambda area, *_: put(area))
with_mapping("store through a mapping whose descriptor is closed", close_then(put))
with_mapping("store through a mapping by a child", close_then(put_in_child))
with_mapping("read into a mapping", read_into)
with_mapping("store and msync", put_and_sync)


@kind("store through a mapping made writable by mprotect", "file")
def _(d):
    fd = os.open(make(f"{d}/file"), os.O_RDWR)
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, ctypes.c_size_t(PAGE), 1, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    os.close(fd)
    ctypes.string_at(address, 1)
    yield
    call(libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 3))
    ctypes.memset(address, 7, 1)


def flagged(d):
    fd = os.open(f"{d}/file", os.O_RDONLY)
    flags = array.array("l", [0])
    fcntl.ioctl(fd, 0x80086601, flags)  # FS_IOC_GETFLAGS
    flags[0] |= 0x80  # no atime
    fcntl.ioctl(fd, 0x40086602, flags)  # FS_IOC_SETFLAGS


def exchanged(d):
    call(libc.renameat2(-100, f"{d}/file".encode(), -100, f"{d}/sub/inner".encode(), 2))


def unnamed(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR)
    os.write(fd, b"unnamed")
    call(libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, f"{d}/new".encode(), 0x400))  # AT_SYMLINK_FOLLOW


def bound(d):
    server = socket.socket(socket.AF_UNIX)
    os.chdir(d)
    server.bind("new")


def recreated(d):
    shutil.rmtree(f"{d}/sub")
    os.mkdir(f"{d}/sub")


with_path("truncate", lambda d: os.truncate(f"{d}/file", 1), "file")
with_path("open with O_TRUNC", lambda d: open(f"{d}/file", "w").close(), "file")
with_path("chmod", lambda d: os.chmod(f"{d}/file", 0o600), "file")
with_path("chmod of a directory", lambda d: os.chmod(f"{d}/sub", 0o700), "sub")
with_path("chown", lambda d: os.chown(f"{d}/file", 1, 1), "file")
with_path("utimes", lambda d: os.utime(f"{d}/file", (1, 1)), "file")
with_path("setxattr", lambda d: os.setxattr(f"{d}/file", "user.x", b"1"), "file")
with_path("trusted xattr", lambda d: os.setxattr(f"{d}/file", "trusted.x", b"1"), "file")
with_path("chattr", flagged, "file")
with_path("create", lambda d: make(f"{d}/new"), ".", "new")
with_path("mkdir", lambda d: os.mkdir(f"{d}/new"), ".", "new")
with_path("symlink", lambda d: os.symlink("file", f"{d}/new"), ".", "new")
with_path("mkfifo", lambda d: os.mkfifo(f"{d}/new"), ".", "new")
with_path("mknod", lambda d: os.mknod(f"{d}/new", 0o020600, os.makedev(1, 3)), ".", "new")
with_path("bind a socket", bound, ".", "new")
with_path("link", lambda d: os.link(f"{d}/file", f"{d}/new"), ".", "file")
with_path("link of an unnamed file", unnamed, ".", "new")
with_path("unlink", lambda d: os.unlink(f"{d}/file"), ".")
with_path("unlink of one of two names", lambda d: os.unlink(f"{d}/second"), ".", "other")
with_path("rmdir", lambda d: os.rmdir(f"{d}/empty"), ".")
with_path("rename", lambda d: os.rename(f"{d}/file", f"{d}/new"), ".", "new")
with_path("rename over a file", lambda d: os.rename(f"{d}/file", f"{d}/other"), ".", "second")
with_path("rename into another directory", lambda d: os.rename(f"{d}/file", f"{d}/sub/file"), ".", "sub")
with_path("rename of a directory", lambda d: os.rename(f"{d}/sub", f"{d}/empty"), ".", "empty")
with_path("exchange", exchanged, ".", "sub")
with_path("rm -r and mkdir", recreated, ".", "sub")


def with_lower(name, change, *seen):
    """A change of what the lower layer has; the upper layer gets a copy, or a whiteout."""
    names = [f"{lower}/{name.replace(' ', '-')}/{each}" for each in seen]

    @kind(f"lower: {name}", *names)
    def _(d):
        yield
        change(f"{here}/{lower}/{name.replace(' ', '-')}")


def linked_lower(d):
    os.link(f"{d}/file", f"{d}/new")


LOWER = {
    "chmod": (lambda d: os.chmod(f"{d}/file", 0o600), ".", "file"),
    "utimes": (lambda d: os.utime(f"{d}/file", (1, 1)), ".", "file"),
    "setxattr": (lambda d: os.setxattr(f"{d}/file", "user.x", b"1"), ".", "file"),
    "open to write": (lambda d: os.close(os.open(f"{d}/file", os.O_RDWR)), ".", "file"),
    "append": (lambda d: os.write(os.open(f"{d}/file", os.O_WRONLY | os.O_APPEND), b"b"), ".", "file"),
    "link": (linked_lower, ".", "file", "new"),
    "rename": (lambda d: os.rename(f"{d}/file", f"{d}/new"), ".", "file", "new"),
    "unlink": (lambda d: os.unlink(f"{d}/file"), ".", "file"),
    "rmtree": (lambda d: shutil.rmtree(f"{d}/sub"), ".", "sub"),
    "rmtree and mkdir": (recreated, ".", "sub"),
    "create": (lambda d: make(f"{d}/sub/new"), ".", "sub", "sub/new"),
}
if lower is not None:
    for name, (change, *seen) in LOWER.items():
        with_lower(name, change, *seen)

started = []
for number, (name, seen, function) in enumerate(kinds):
    directory = f"{here}/{number}"
    os.mkdir(directory)
    running = function(directory)
    next(running)
    started.append(running)
print("ready", flush=True)
sys.stdin.readline()
for number, ((name, seen, _), running) in enumerate(zip(kinds, started)):
    next(running, None)
    home = "" if name.startswith("lower: ") else f"{number}/"
    print(json.dumps({"name": name, "paths": [f"{home}{path}" for path in seen]}), flush=True)
