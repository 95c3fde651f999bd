"""The rows of the fidelity suite that a shell cannot make: names and targets of any bytes, attributes, ids, times.

    rows.py ROOT ROW [ARGUMENT] ...

Works inside of ROOT, which is a container's root as the kernel shows it (/proc/PID/root), in /rows/ROW; ROWs are functions
of this file, each followed by what its row is given, or by `-`.
"""
import os
import shutil
import socket
import stat
import struct
import sys

OLD, NEW, FAR = -(20 * 365 * 86400), 7258118400, 13569465600  # 1950, 2200, 2400
CAPABILITY = struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0)  # revision 2, effective, cap_net_raw: capability.h


def write(path, content=b'x'):
    with open(path, 'wb') as file:
        file.write(content)


def name_lengths(_):
    for length in range(1, 256):
        write(b'n' * length, str(length).encode())


def odd_names(_):
    names = [b'\xff\xfe', b'caf\xe9', b'\xc3\x28', b'two\nlines', b'\n', b'tab\t', b'-rf', b'--help', b'-', b' ', b' before',
             b'after ', b'*', b'?', b'[a]', b'$HOME', b'`id`', b'"', b"'", b'\\', b'a\\nb', b'...', b'..a', b'.a', b'~', b'#',
             b'\x01\x1b[31m', b'\x7f', 'é'.encode(), 'e\u0301'.encode(), '日本語'.encode(), '😀'.encode(), b'a=b', b'10 a=b',
             b'a link to b', b'wh.', b'.wh', b'a.wh.b', b'C:', b'con']
    for name in names:
        write(name, name)
    for name in names[:5]:
        os.mkdir(b'dir-' + name)
        os.symlink(name, b'link-' + name)
        os.link(name, b'hard-' + name)
        write(b'dir-' + name + b'/' + name)


def deep_path(_):
    """A file whose whole path has 3 800 bytes, made from directory to directory."""
    left = 3800 - len(b'/rows/deep_path/')
    while left > 255:
        length = min(200, left - 2)
        os.mkdir(b'd' * length)
        os.chdir(b'd' * length)
        left -= length + 1
    write(b'f' * left)
    os.symlink(b'f' * left, b'l')


def small_files(count):
    for number in range(int(count)):
        if number % 250 == 0:
            os.mkdir(f'{number}')
        write(f'{number - number % 250}/{number}', b'%d' % number * (number % 40))


def empty_files(_):
    for number in range(20):
        write(f'{number}', b'')
    os.mkdir('directory')


def sparse_files(size):
    """Holes at the beginning, in the middle and at the end; one that is nothing else."""
    size = int(size)
    with open('holes', 'wb') as file:
        for place in (1 << 20, size // 2, size - (2 << 20)):
            file.seek(place)
            file.write(b'data at %d' % place)
        file.truncate(size)
    with open('hole', 'wb') as file:
        file.truncate(5 << 20)


def modes(_):
    for mode in (0o0, 0o111, 0o400, 0o644, 0o4755, 0o2755, 0o6711, 0o1644, 0o7777):
        write(f'file-{mode:o}')
        os.chmod(f'file-{mode:o}', mode)
        os.mkdir(f'directory-{mode:o}')
        write(f'directory-{mode:o}/inside')
        os.chmod(f'directory-{mode:o}', mode)
        write(f'owned-{mode:o}')
        os.chown(f'owned-{mode:o}', 1000, 1000)
        os.chmod(f'owned-{mode:o}', mode)


def devices(_):
    os.mknod('large-numbers', 0o640 | stat.S_IFCHR, os.makedev(300, 70000))
    os.mknod('block', 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    os.mkfifo('pipe', 0o611)
    os.chown('pipe', 7, 8)
    os.link('pipe', 'pipe-too')
    os.link('block', 'block-too')
    os.symlink('pipe', 'symlink')
    os.link('symlink', 'symlink-too', follow_symlinks=False)


def sockets(_):
    for name in ('socket', 'other socket'):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
    write('beside')
    shutil.rmtree('dir')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind('dir')  # what the base has there stays hidden
    os.makedirs('new/deep')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind('new/deep/socket')  # where no layer below has anything, a whiteout would be seen as a name


def xattrs(_):
    write('file')
    os.setxattr('file', 'user.text', b'value')
    os.setxattr('file', 'user.empty', b'')
    os.setxattr('file', 'user.binary', bytes(range(256)))
    os.setxattr('file', 'user.with = and space', b'a=b\n')
    os.setxattr('file', 'user.large', b'L' * 2000)
    os.mkdir('directory')
    os.setxattr('directory', 'user.of.directory', b'1')
    os.setxattr('dir/file', 'user.on.base', b'1')  # copied up for it
    os.setxattr('dir', 'user.on.base', b'1')


def capabilities(_):
    write('ping')
    os.chmod('ping', 0o755)
    os.setxattr('ping', 'security.capability', CAPABILITY)
    os.setxattr('dir/file', 'security.capability', CAPABILITY)


def acls(_):
    """acl(5), <linux/posix_acl_xattr.h>: version 2, then tag, permissions and id of each entry."""
    entries = [(0x01, 6, 0xffffffff), (0x02, 7, 1234), (0x04, 4, 0xffffffff), (0x10, 7, 0xffffffff), (0x20, 0, 0xffffffff)]
    acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)
    write('file')
    os.setxattr('file', 'system.posix_acl_access', acl)
    os.mkdir('directory')
    os.setxattr('directory', 'system.posix_acl_default', acl)


def symlinks(_):
    targets = {'absolute': b'/etc/passwd', 'dangling': b'nowhere', 'up': b'../../../../../../etc/shadow', 'itself': b'itself',
               'directory': b'dir', 'bytes': b'\xff\xfe/\xe9', 'newline': b'a\nb', 'space': b' ', 'slash': b'dir/',
               'long': b'x/' * 2000 + b'end', 'of 100': b'y' * 100, 'of 101': b'z' * 101}
    for name, target in targets.items():
        os.symlink(target, name)
    os.lchown('dangling', 5, 6)
    os.utime('dangling', (10, 10), follow_symlinks=False)


def hard_links(_):
    write('zz', b'first written, last by name')
    for name in ('dir/b', 'a', 'other/c'):
        os.link('zz', name)
    for number in range(300):
        os.link('zz', f'many-{number}')
    os.mkdir('new')
    write('new/' + 'n' * 200)
    os.link('new/' + 'n' * 200, 'new/' + 'm' * 200)
    os.link('other/file', 'of-base')  # copied up for it
    os.chmod('zz', 0o4711)


def times(_):
    for name, time in (('1970', 0), ('1971', 31536000), ('before-1970', OLD), ('2200', NEW), ('2106', 4294967296), ('2400', FAR)):
        write(name)
        os.utime(name, (time, time))
        os.mkdir(f'directory-{name}')
        os.utime(f'directory-{name}', (time, time))
    write('nanoseconds')
    os.utime('nanoseconds', ns=(1700000000_999_999_999, 1700000000_999_999_999))
    write('before-the-epoch-by-half-a-second')
    os.utime('before-the-epoch-by-half-a-second', ns=(-500_000_000, -500_000_000))


def large_ids(_):
    for number in (2097151, 2097152, 4000000, 4294967294):
        write(f'{number}')
        os.chown(f'{number}', number, number)
        os.mkdir(f'directory-{number}')
        os.chown(f'directory-{number}', number, 0)


def whiteout_names(_):
    """What would delete or hide others' files if it came into a layer by its name."""
    os.mkdir('harmless')
    for name in ('.wh.top', '.wh..wh..opq', 'harmless/.wh.x', '.wh.'):
        write(name)
    os.mkdir('.wh.dir')
    write('.wh.dir/inside')
    os.link('.wh.top', 'link-to-such')
    os.link('.wh.top', 'second-link')


def main():
    os.chroot(sys.argv[1])
    for name, argument in zip(sys.argv[2::2], sys.argv[3::2]):
        os.chdir(f'/rows/{name}')
        globals()[name](argument)


main()
