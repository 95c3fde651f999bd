"""Edits files without a pause until it is told to rest; it stands still when the container is frozen whose cgroup it joins.

Usage: editor.py CGROUP_PROCS DIRECTORY. A line of input is a list of edits in JSON, each
[kind, path, other path, number], which it does over and over until the next line: an empty list is a rest. It answers each
line with one of its own: how many edits have been done so far.

Those of a list are soon all done, and any look at the tree finds what they hit. So there is a sweep beside them: one file
after the other of `many` gets an edit, and only seconds later the next one. Whenever the container is frozen, some of them
have changed since the last look, and never before.
"""

import json
import mmap
import os
import select
import shutil
import sys
import time

MAPPED = 1 << 16
BLOCK = 1 << 18
# A prime: each file gets another kind of edit the next time.
FILES = 601
DIRECTORIES = 20

with open(sys.argv[1], "w") as procs:
    procs.write(str(os.getpid()))
os.chdir(sys.argv[2])


def make(path, size):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, size)
    return fd


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def write(path, text, flags):
    # A pipe without a reader would hold up its writer.
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | flags)
    try:
        return os.write(fd, text)
    finally:
        os.close(fd)


def append(path, _, n):
    """Twice: both are within one tick of the clock, as a rule."""
    for _ in range(2):
        write(path, b"%d\n" % n, os.O_APPEND)


def rewrite(path, _, n):
    before = os.lstat(path)
    write(path, (b"%d" % n * (before.st_size + 1))[: before.st_size], 0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def recreate(path, _, n):
    remove(path)
    os.mkdir(path)


def directory_to_file(path, _, n):
    if os.path.isdir(path):
        remove(path)
        create(path, "", n)


def create(path, _, n):
    write(path, b"%d\n" % n, os.O_CREAT | os.O_EXCL)


def store(*edit):
    """A fault may set a time, or none does."""
    memory[:: mmap.PAGESIZE // 2] = bytes([edit[2] % 256]) * len(range(0, MAPPED, mmap.PAGESIZE // 2))


def block(*edit):
    os.pwrite(blocks, bytes([edit[2] % 256]) * BLOCK, 0)


def log(*edit):
    os.write(lines, b"%d\n" % edit[2])


KINDS = {
    "create": create,
    "write": lambda path, _, n: write(path, b"%d\n" % n, os.O_TRUNC),
    "append": append,
    "truncate": lambda path, _, n: os.truncate(path, n % 9999),
    "rewrite": rewrite,
    "chmod": lambda path, _, n: os.chmod(path, 0o600 | n % 0o7777),
    "chown": lambda path, _, n: os.lchown(path, n, 7),
    "setxattr": lambda path, _, n: os.setxattr(path, "user.n", b"%d" % n),
    "removexattr": lambda path, _, n: os.removexattr(path, "user.n"),
    "rename": lambda path, other, n: os.rename(path, other),
    "link": lambda path, other, n: os.link(path, other),
    "symlink": lambda path, other, n: os.symlink(path, other),
    "unlink": lambda path, _, n: os.unlink(path),
    "remove": lambda path, _, n: remove(path),
    "mkdir": lambda path, _, n: os.mkdir(path),
    "recreate": recreate,
    "directory to file": directory_to_file,
    "mkfifo": lambda path, _, n: os.mkfifo(path),
    "store": store,
    "block": block,
    "log": log,
}

def map_and_store(path, _, n):
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 0) as content:
        os.close(fd)
        content[0] = n % 256


def replace(path, _, n):
    os.unlink(path)
    create(path, "", n)


def link_anew(path, other, n):
    os.link(path, other)
    os.unlink(path)
    os.rename(other, path)


SWEEP = [rewrite, append, map_and_store, KINDS["chmod"], KINDS["setxattr"], replace, KINDS["write"], link_anew, KINDS["chown"]]


def many(number):
    return f"many/{number % DIRECTORIES}/{number}"


def sweep(n):
    path = many(n % FILES)
    SWEEP[n % len(SWEEP)](path, path + ".other", n)


for directory in range(DIRECTORIES):
    os.makedirs(f"many/{directory}", exist_ok=True)
for number in range(FILES):
    create(many(number), "", number)
mapped = make("mapped-inside", MAPPED)
memory = mmap.mmap(mapped, MAPPED)
os.close(mapped)
blocks = make("blocks", BLOCK)
lines = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

edits = []
done = 0
print(done, flush=True)
while True:
    if not edits or select.select([sys.stdin], [], [], 0)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        edits = json.loads(line)
        print(done, flush=True)
        continue
    for kind, path, other, n in edits:
        try:
            # What is done with the same number again would change less.
            KINDS[kind](path, other, n + done)
        except OSError:
            continue
        done += 1
        if done % 4 == 0:
            sweep(done // 4)
            time.sleep(0.002)
