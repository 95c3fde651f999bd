"""A load whose every file says whether it is one state together with the others: judge.ts knows how.

Usage: load.py DIRECTORY. Writes DIRECTORY/ready when all files exist, and goes on until it is killed.
"""

import mmap
import os
import sqlite3
import struct
import sys
import time
import zlib

PAGE = 4096
PIECE = 2 << 20
PIECES = 4
ROUND = 64
# What lies between the files of the load, so that a pass takes its time.
FILES = 1500


def create(path, content=b""):
    with open(path, "wb") as file:
        file.write(content)
    return os.open(path, os.O_RDWR)


def pair(directory):
    """Two files far apart in the tree: the second is never ahead, and never more than one behind."""
    first = create(f"{directory}/a/first", b"%015d\n" % 0)
    second = create(f"{directory}/z/second", b"%015d\n" % 0)
    yield
    for n in range(1, sys.maxsize):
        for fd in (first, second):
            os.pwrite(fd, b"%015d\n" % n, 0)
            os.fsync(fd)
        time.sleep(0.003)


def log(directory):
    """Lines with a number and its checksum."""
    fd = os.open(f"{directory}/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    yield
    for n in range(1, sys.maxsize):
        line = b"%010d" % n
        os.write(fd, b"%s %08x\n" % (line, zlib.crc32(line)))
        if n % 50 == 0:
            os.fsync(fd)
        time.sleep(0.001)


def blocks(directory):
    """A file overwritten in large pieces, front to back; each page is full of the number of its generation."""
    fd = create(f"{directory}/blocks", bytes(PIECE * PIECES))
    yield
    for generation in range(1, 1 << 31):
        content = struct.pack("<I", generation) * (PIECE // 4)
        for piece in range(PIECES):
            os.pwrite(fd, content, piece * PIECE)
        time.sleep(0.3)


def mapping(directory, name, pages, when):
    """
    A mapped file, its descriptor closed. Store n goes to page n % pages, in three places; a log tells it before ("B n")
    and after ("A n"). The stores of one file come all the time, of the other only when a jump of the clock shows a thaw.
    """
    fd = create(f"{directory}/{name}", bytes(pages * PAGE))
    memory = mmap.mmap(fd, 0)
    os.close(fd)
    lines = os.open(f"{directory}/{name}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(lines, b"A %010d\n" % 0)
    yield
    for n in range(1, sys.maxsize):
        os.write(lines, b"B %010d\n" % n)
        when()
        start = n % pages * PAGE
        for place in (0, PAGE // 2, PAGE - 8):
            memory[start + place : start + place + 8] = struct.pack("<Q", n)
        os.write(lines, b"A %010d\n" % n)


def soon():
    time.sleep(0.001)


def after_thaw():
    before = time.monotonic()
    while True:
        time.sleep(0.0005)
        now = time.monotonic()
        if now - before > 0.004:
            return
        before = now


def database(directory, mode):
    """Money moves between accounts; a log tells each transaction after its commit."""
    connection = sqlite3.connect(f"{directory}/{mode}.db", isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("PRAGMA wal_autocheckpoint=100")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)")
    connection.execute("CREATE TABLE history (n INTEGER PRIMARY KEY, note TEXT)")
    connection.executemany("INSERT INTO account VALUES (?, 1000)", [(i,) for i in range(100)])
    lines = os.open(f"{directory}/{mode}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(lines, b"%010d\n" % 0)
    yield
    for n in range(1, sys.maxsize):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (n % 7, n % 100))
        connection.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (n % 7, n * 31 % 100))
        connection.execute("INSERT INTO history VALUES (?, ?)", (n, "x" * (n % 500)))
        connection.execute("COMMIT")
        os.write(lines, b"%010d\n" % n)
        time.sleep(0.004)


def main(directory):
    for name in ("a", "m", "z"):
        os.makedirs(f"{directory}/{name}")
    for number in range(FILES):
        os.close(create(f"{directory}/m/{number}", os.urandom(20_000)))
    ready = []
    for start in (
        lambda: pair(directory),
        lambda: log(directory),
        lambda: blocks(directory),
        lambda: mapping(directory, "mapping", ROUND, soon),
        lambda: mapping(directory, "after-thaw", 1, after_thaw),
        lambda: database(directory, "wal"),
        lambda: database(directory, "delete"),
    ):
        reader, writer = os.pipe()
        if os.fork() == 0:
            work = start()
            next(work)
            os.write(writer, b".")
            next(work)
        ready.append(reader)
    for reader in ready:
        os.read(reader, 1)
    create(f"{directory}/ready")
    while True:
        os.wait()


main(sys.argv[1])
