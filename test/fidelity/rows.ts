/** What is done to a container, one row for each case of overlay.md; every row has a copy of the base's directory for itself. */
export interface Row {
  /** Its directory: `/rows/NAME`. */
  readonly directory: string
  readonly reason: string
  /** Run in the container, in the row's directory. */
  readonly script?: string
  /** What the row's function in rows.py is given; absent: it has none. */
  readonly python?: string
}

/** In each row's directory of the base image's second layer. */
export const BASE = `
mkdir -p dir/sub/deep other empty gone back
echo base > dir/file; echo base > dir/sub/file; echo deep > dir/sub/deep/file; echo base > other/file; echo top > top
echo lost > gone/file; echo old > back/old
ln top hardlink; ln -s dir/file link; chmod 2755 other; chown 12:34 other/file; chmod 750 dir/sub
echo x > $(printf 'n%.0s' $(seq 255)); echo x > $(printf '\\377\\376'); echo x > ./-rf; echo x > 'a
b'
touch -d 2001-02-03T04:05:06Z back dir .`

/**
 * What the base image's third layer changes there: deletions over which a container can put something again. umoci sees
 * by whole seconds that a directory has changed; those that do were last changed long before.
 */
export const SECOND_BASE = `
rm -rf gone back; mkdir back; echo new > back/new; echo second > dir/second`

const shell = (directory: string, reason: string, script: string): Row => ({ directory, reason, script })
const python = (directory: string, reason: string, argument = '-'): Row => ({ directory, reason, python: argument })

const SMALL_FILES = process.env['TINTYPE_TEST_LONG'] === '1' ? '100000' : '10000'
export const SPARSE_BYTES = process.env['TINTYPE_TEST_LONG'] === '1' ? 8.5 * 2 ** 30 : 48 * 2 ** 20

export const ROWS: readonly Row[] = [
  shell('nothing', 'nothing at all', 'true'),
  shell('file-gone', 'a file is deleted', 'rm dir/file'),
  shell('link-gone', 'a symlink, and one of two names of a file', 'rm link hardlink'),
  shell('tree-gone', 'a directory is deleted with all below it', 'rm -rf dir'),
  shell('deep-gone', 'a file deep in the tree', 'rm dir/sub/deep/file'),
  shell(
    'odd-gone',
    'names of 255 bytes, not UTF-8, with newlines, leading dashes',
    'rm nnn* ./-rf $(printf "\\377\\376") a?b',
  ),
  shell('all-gone', 'everything in its directory', 'rm -rf ./*'),
  shell('layers-gone', 'files of two layers of the base', 'rm dir/second dir/file back/new'),
  shell('again', 'what a layer of the base had deleted', 'mkdir gone; echo mine > gone/mine'),
  shell('base-opaque', 'a file of old in an opaque directory of the base', 'echo mine > back/old'),
  shell('opaque', 'a directory is deleted and made again', 'rm -rf dir; mkdir dir; echo x > dir/mine'),
  shell(
    'opaque-same',
    'and has some names again',
    'rm -rf dir; mkdir -p dir/sub; echo x > dir/sub/file; touch dir/file',
  ),
  shell('opaque-empty', 'and stays empty', 'rm -rf dir; mkdir dir; chmod 700 dir; chown 3:4 dir'),
  shell(
    'opaque-twice',
    'one opaque directory in another',
    'rm -rf dir; mkdir -p dir/sub; rm -rf dir/sub; mkdir dir/sub',
  ),
  shell('opaque-inner', 'a directory below one that is not', 'rm -rf dir/sub; mkdir dir/sub; echo x > dir/sub/y'),
  shell('dir-file', 'a directory becomes a file', 'rm -rf dir; echo f > dir'),
  shell('dir-file-dir', 'and a directory again', 'rm -rf dir; echo f > dir; rm dir; mkdir dir; echo x > dir/y'),
  shell('file-dir', 'a file becomes a directory', 'rm top; mkdir top; echo x > top/x'),
  shell('file-dir-file', 'and a file again', 'rm top; mkdir top; echo x > top/x; rm -rf top; echo new > top'),
  shell('dir-link', 'a directory becomes a symlink to another', 'rm -rf dir; ln -s other dir'),
  shell('link-dir', 'a symlink becomes a directory', 'rm link; mkdir link; echo x > link/x'),
  shell(
    'file-pipe',
    'a file becomes a pipe, another a device',
    'rm top other/file; mkfifo top; mknod other/file c 1 3',
  ),
  shell('renamed', 'a directory of the base is moved', 'mv dir moved; mv other/file moved/file-too'),
  shell('swapped', 'two directories of the base change places', 'mv dir t; mv other dir; mv t other'),
  shell('copied-up', 'only metadata changes', 'chmod 4711 top; chown 5:6 dir/file; chmod 1777 empty; touch dir/sub'),
  shell('no-op', 'a file is opened for writing, another gets the mode it has', ': >> top; chmod 644 dir/file'),
  shell('split-links', 'hard links over lower and upper are split by copy-up', 'echo more >> top'),
  shell('unlinked', 'a name of a linked file is replaced', 'rm top; echo other > top'),
  shell('devices-made', 'devices that a container may make', 'mknod c c 1 5; mknod b b 8 1; mkfifo p; chmod 0 p'),
  python('hard_links', 'hard links: to and from directories, 300 of one file, to a file of the base'),
  python('name_lengths', 'names of 1 to 255 bytes'),
  python('odd_names', 'names that are not UTF-8, with newlines, leading dashes, spaces, unicode'),
  python('deep_path', 'a path of 3 800 bytes'),
  python('small_files', `${SMALL_FILES} small files`, SMALL_FILES),
  python('empty_files', 'files of 0 bytes'),
  python('sparse_files', 'sparse files', String(SPARSE_BYTES)),
  python('modes', 'setuid, setgid, sticky, no rights at all'),
  python('devices', 'device numbers that need more than one byte, pipes, and hard links of both and of symlinks'),
  python('xattrs', 'user.* attributes'),
  python('capabilities', 'security.capability'),
  python('acls', 'ACLs'),
  python('symlinks', 'symlinks: absolute, dangling, long, of any bytes'),
  python('times', 'times: old, before 1970, far in the future'),
  python('large_ids', 'ids above 2097151'),
  python('sockets', 'sockets are left out, and what they replaced too'),
  python('whiteout_names', 'files that are named as whiteouts are left out'),
]
