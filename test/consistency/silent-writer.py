"""Changes a file in the two ways that no timestamp tells, one command per line of input.

map PATH       map the file, and close it
store LETTER   fill the mapping with a letter
write PATH     start to overwrite the file with one pwrite(2), which is held in its middle
release        let that pwrite end
"""

import ctypes
import fcntl
import mmap
import os
import select
import struct
import sys
import threading

SYS_USERFAULTFD = {"x86_64": 323, "aarch64": 282}[os.uname().machine]
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
UFFDIO_UNREGISTER = 0x8010AA01


class HeldWrite:
    """The second half of its source is memory that a fault does not fill before `release` says so (userfaultfd(2))."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)
        size = os.fstat(self.fd).st_size
        self.source = mmap.mmap(-1, size)
        self.source[: size // 2] = b"n" * (size // 2)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.source)) + size // 2
        self.range = (address, size - size // 2)
        self.faults = ctypes.CDLL(None, use_errno=True).syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
        if self.faults < 0:
            raise OSError(ctypes.get_errno(), "userfaultfd")
        fcntl.ioctl(self.faults, UFFDIO_API, struct.pack("QQQ", 0xAA, 0, 0))
        fcntl.ioctl(self.faults, UFFDIO_REGISTER, struct.pack("QQQQ", *self.range, 1, 0))
        self.thread = threading.Thread(target=lambda: os.pwrite(self.fd, self.source, 0))
        self.thread.start()
        select.select([self.faults], [], [])

    def release(self):
        fcntl.ioctl(self.faults, UFFDIO_UNREGISTER, struct.pack("QQ", *self.range))
        self.thread.join()


mapping = None
write = None
for line in sys.stdin:
    command, _, argument = line.strip().partition(" ")
    if command == "map":
        fd = os.open(argument, os.O_RDWR)
        mapping = mmap.mmap(fd, 0)
        os.close(fd)
    elif command == "store":
        mapping[:] = argument.encode() * len(mapping)
    elif command == "write":
        write = HeldWrite(argument)
    elif command == "release":
        write.release()
    print(command, flush=True)
