"""Describe a tree as a judge that is not the code under test: one JSON object a line, sorted by path.

    describe-tree.py ROOT [SKIPPED-PATH ...]

Paths are relative and given with one character a byte (latin-1). A skipped path is left out with all below it. Sockets are
left out: no image can hold them. `group` is the first path of a set of hard links that are all inside of ROOT.
"""
import hashlib
import json
import os
import stat
import sys

KINDS = {stat.S_IFREG: 'file', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'symlink', stat.S_IFIFO: 'fifo',
         stat.S_IFCHR: 'char', stat.S_IFBLK: 'block'}


def kept(name):
    is_users = name.startswith('user.') and not name.startswith('user.overlay.')
    return is_users or name in ('security.capability', 'system.posix_acl_access', 'system.posix_acl_default')


def xattrs(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in sorted(names) if kept(name)}


def content(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def describe(path, name, info, groups):
    kind = KINDS[stat.S_IFMT(info.st_mode)]
    entry = {'path': name.decode('latin-1'), 'kind': kind, 'mode': stat.S_IMODE(info.st_mode), 'uid': info.st_uid,
             'gid': info.st_gid, 'mtime': info.st_mtime_ns // 10**9}
    if kind == 'file':
        entry.update(size=info.st_size, sha256=content(path))
    if kind != 'directory' and info.st_nlink > 1:
        entry['group'] = groups.setdefault((info.st_dev, info.st_ino), entry['path'])
    if kind == 'symlink':
        entry['link'] = os.readlink(path).decode('latin-1')
    if kind in ('char', 'block'):
        entry['device'] = [os.major(info.st_rdev), os.minor(info.st_rdev)]
    found = xattrs(path)
    if found and kind in ('file', 'directory'):
        entry['xattrs'] = found
    return entry


def walk(directory, prefix, skipped, groups):
    for item in sorted(os.listdir(directory)):
        name = prefix + item
        if name in skipped:
            continue
        path = os.path.join(directory, item)
        info = os.lstat(path)
        if stat.S_ISSOCK(info.st_mode):
            continue
        yield describe(path, name, info, groups)
        if stat.S_ISDIR(info.st_mode):
            yield from walk(path, name + b'/', skipped, groups)


def main():
    root = os.fsencode(sys.argv[1])
    skipped = {os.fsencode(path).strip(b'/') for path in sys.argv[2:]}
    entries = list(walk(root, b'', skipped, {}))
    sizes = {}
    for entry in entries:
        if 'group' in entry:
            sizes[entry['group']] = sizes.get(entry['group'], 0) + 1
    for entry in entries:
        if sizes.get(entry.get('group')) == 1:
            del entry['group']  # its other links are not in this tree
        print(json.dumps(entry, sort_keys=True))


main()
