"""Runs inside a container: notes how long it stood still, while another process writes. Ends with its standard input.

The argument is how many bytes are written in a second; none for 0.

Prints `ready` at the first beat, then on each line of input the longest silences since the last, as JSON.
"""

import json
import os
import select
import sys
import time

DIRECTORY = '/opt/written'
BYTES_PER_SECOND = int(sys.argv[1])
BLOCK = os.urandom(200_000)
FILE_BYTES = 4_000_000
FILES_KEPT = 32
NOTED_NS = 2_000_000


def write_for_ever():
    """New files of 4 MB, as checkpoints are; the oldest go."""
    os.makedirs(DIRECTORY, exist_ok=True)
    due = time.monotonic()
    number = 0
    while True:
        with open(f'{DIRECTORY}/{number}', 'wb', buffering=0) as file:
            for _ in range(FILE_BYTES // len(BLOCK)):
                file.write(BLOCK)
                due = max(due + len(BLOCK) / BYTES_PER_SECOND, time.monotonic() - 0.1)
                time.sleep(max(0, due - time.monotonic()))
        if number >= FILES_KEPT:
            os.unlink(f'{DIRECTORY}/{number - FILES_KEPT}')
        number += 1


def beat():
    """A beat every millisecond; a line of input asks for the silences."""
    silences = []
    before = time.monotonic_ns()
    print('ready', flush=True)
    while True:
        asked = select.select([sys.stdin], [], [], 0.001)[0]
        now = time.monotonic_ns()
        if now - before > NOTED_NS:
            silences.append((now - before) / 1e6)
        before = now
        if asked:
            if not sys.stdin.readline():
                return
            print(json.dumps(sorted(silences, reverse=True)[:10]), flush=True)
            silences = []


writer = os.fork() if BYTES_PER_SECOND > 0 else None
if writer == 0:
    write_for_ever()
try:
    beat()
finally:
    if writer:
        os.kill(writer, 9)
