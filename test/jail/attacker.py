"""A hostile root in a container: swaps what a snapshot reads for something else, as fast as it can.

attacker.py CANARY: a directory of the host with files of the same names and sizes as ours. Content names its own path,
so that content under another path is seen.
"""
import ctypes, os, shutil, sys

CANARY = sys.argv[1]
WORK = '/work'
SIZE = 4096
DIRECTORIES, FILES = 12, 12
UP = '../' * 40
libc = ctypes.CDLL(None, use_errno=True)
RENAME_EXCHANGE = 2


def exchange(directory, a, b):
    """One step in which two names of a directory change places: there is no moment without an entry."""
    libc.renameat2(directory, a.encode(), directory, b.encode(), RENAME_EXCHANGE)


def write(path):
    with open(f'{WORK}/{path}', 'wb') as file:
        file.write(f'path:{path}\n'.encode().ljust(SIZE, b'.'))


def quietly(call, *args):
    try:
        call(*args)
    except OSError:
        pass


def make_all():
    for d in range(DIRECTORIES):
        os.makedirs(f'{WORK}/d{d}')
        for f in range(FILES):
            write(f'd{d}/f{f}')
            target = [f'{CANARY}/d{d}/f{f}', f'{UP}{CANARY}/d{d}/f{f}', '/etc/hosts', f'../d{(d + 1) % DIRECTORIES}/f{f}'][f % 4]
            os.symlink(target, f'{WORK}/d{d}/f{f}.swap')
        target = [f'{CANARY}/d{d}', f'{UP}{CANARY}/d{d}', f'd{(d + 1) % DIRECTORIES}', '/proc/1/root' + CANARY][d % 4]
        os.symlink(target, f'{WORK}/d{d}.swap')
    for name in ('churn', 'kinds', 'links'):
        os.makedirs(f'{WORK}/{name}')


def swap_directories():
    while True:
        for d in range(DIRECTORIES):
            exchange(work, f'd{d}', f'd{d}.swap')


def swap_files():
    while True:
        for directory in directories:  # by descriptor: by a path that is swapped, files would really change directories
            for f in range(FILES):
                exchange(directory, f'f{f}', f'f{f}.swap')


def change_kinds():
    """The inode number of a removed file is used again at once: by a FIFO, a directory, a link to the host, a file."""
    while True:
        for k in range(20):
            path = f'{WORK}/kinds/k{k}'
            quietly(write, f'kinds/k{k}')
            quietly(os.unlink, path)
            quietly(os.mkfifo, path)
            quietly(os.unlink, path)
            quietly(os.mkdir, path)
            quietly(os.rmdir, path)
            quietly(os.symlink, f'{CANARY}/kinds/k{k}', path)
            quietly(os.unlink, path)
            quietly(os.link, f'{WORK}/d0/f0', f'{WORK}/links/l{k}')
            quietly(os.unlink, f'{WORK}/links/l{k}')


def churn():
    """Directories that go while they are listed."""
    while True:
        for c in range(10):
            quietly(os.makedirs, f'{WORK}/churn/c{c}/deep/er')
            quietly(write, f'churn/c{c}/deep/er/file')
            shutil.rmtree(f'{WORK}/churn/c{c}', ignore_errors=True)


make_all()
work = os.open(WORK, os.O_DIRECTORY)
directories = [os.open(f'{WORK}/d{d}', os.O_DIRECTORY) for d in range(DIRECTORIES)]
open(f'{WORK}/ready', 'w').close()
for attack in (swap_directories, swap_files, change_kinds):
    if os.fork() == 0:
        attack()
churn()
