"""Notes when this container stood still, and writes 20 MB/s into it meanwhile.

Usage: clock.py GAPS DIRECTORY. Each line of GAPS is a gap of more than 5 ms in a clock that is read every half
millisecond: its begin and its end, nanoseconds of CLOCK_MONOTONIC.
"""

import os
import sys
import time

FILES = 50
PER_SECOND = 50  # files, of 400 000 bytes

gaps, directory = sys.argv[1:]
if os.fork() == 0:
    os.makedirs(directory)
    content = os.urandom(400_000)
    files = [os.open(f"{directory}/{n}", os.O_CREAT | os.O_WRONLY) for n in range(FILES)]
    turn = 0
    due = time.monotonic()
    while True:
        os.pwrite(files[turn % FILES], content, 0)
        turn += 1
        due = max(due + 1 / PER_SECOND, time.monotonic() - 1)  # what a freeze held up is not made up for
        time.sleep(max(0, due - time.monotonic()))

out = os.open(gaps, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
before = time.monotonic_ns()
while True:
    time.sleep(0.0005)
    now = time.monotonic_ns()
    if now - before > 5_000_000:
        os.write(out, b"%d %d\n" % (before, now))
    before = now
