import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { findRootOverlay, mountedPaths, parseMountinfo } from './mountinfo.ts'

const ROOT = '/var/lib/docker/overlay2'
const parse = (text: string) => parseMountinfo(Buffer.from(text, 'latin1'))
const overlay = (options: string) =>
  findRootOverlay(parse(`76 51 0:39 / / rw,relatime - overlay overlay ${options}`), { mountedFrom: ROOT })

const SNAPSHOTS = '/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots'
const FOUND: readonly (readonly [string, string, string, readonly string[]])[] = [
  [
    'Docker 20.10, overlay2',
    `rw,lowerdir=${ROOT}/l/AAAA:${ROOT}/l/BBBB,upperdir=${ROOT}/c1/diff,workdir=${ROOT}/c1/work`,
    `${ROOT}/c1/diff`,
    [`${ROOT}/l/AAAA`, `${ROOT}/l/BBBB`],
  ],
  [
    'Docker 20.10 with many layers: all relative to the overlay2 root',
    'rw,lowerdir=l/AAAA:l/BBBB,upperdir=c1/diff,workdir=c1/work,index=off',
    `${ROOT}/c1/diff`,
    [`${ROOT}/l/AAAA`, `${ROOT}/l/BBBB`],
  ],
  [
    'Docker 28 with the containerd store',
    `rw,lowerdir=${SNAPSHOTS}/4/fs:${SNAPSHOTS}/1/fs,upperdir=${SNAPSHOTS}/5/fs,workdir=${SNAPSHOTS}/5/work`,
    `${SNAPSHOTS}/5/fs`,
    [`${SNAPSHOTS}/4/fs`, `${SNAPSHOTS}/1/fs`],
  ],
  [
    'Kubernetes with 45 layers and more',
    `rw,lowerdir=61/fs:60/fs,upperdir=${SNAPSHOTS}/62/fs,workdir=${SNAPSHOTS}/62/work,uuid=null,nouserxattr`.replace(
      ',nouserxattr',
      '',
    ),
    `${SNAPSHOTS}/62/fs`,
    [`${SNAPSHOTS}/61/fs`, `${SNAPSHOTS}/60/fs`],
  ],
  [
    'Podman',
    'rw,lowerdir=/v/overlay/l/X,upperdir=/v/overlay/c/diff,workdir=/v/overlay/c/work,uuid=on',
    '/v/overlay/c/diff',
    ['/v/overlay/l/X'],
  ],
  [
    'SELinux, index, xino and volatile',
    'rw,context="system_u:object_r:container_file_t:s0:c1,c2",lowerdir=/l,upperdir=/u/d,workdir=/u/w,index=on,xino=off,volatile,nfs_export=off,redirect_dir=nofollow,metacopy=off',
    '/u/d',
    ['/l'],
  ],
  ['layers one by one (fsconfig)', 'rw,lowerdir+=/a:b,lowerdir+=/c,upperdir=/u/d,workdir=/u/w', '/u/d', ['/a:b', '/c']],
  [
    'a blank, a comma and a backslash',
    'rw,lowerdir=/a\\040b,upperdir=/u\\054v/d,workdir=/u\\134x/w',
    '/u,v/d',
    ['/a b'],
  ],
  ['a colon in a path', 'rw,lowerdir=/a\\134:b:/c,upperdir=/u/d,workdir=/u/w', '/u/d', ['/a:b', '/c']],
  ['a path of UTF-8', `rw,lowerdir=/${Buffer.from('ä').toString('latin1')},upperdir=/u/d,workdir=/u/w`, '/u/d', ['/ä']],
]
for (const [reason, options, upperdir, lowerdirs] of FOUND)
  test(`found: ${reason}`, () => {
    const found = overlay(options)
    assert.deepEqual([found.upperdir, found.lowerdirs, found.device], [upperdir, lowerdirs, '0:39'])
  })

test('user.overlay attributes are told', () => {
  assert.equal(overlay('rw,lowerdir=/l,upperdir=/u/d,workdir=/u/w,userxattr').userXattr, true)
  assert.equal(overlay('rw,lowerdir=/l,upperdir=/u/d,workdir=/u/w').userXattr, false)
})

const DIRS = 'lowerdir=/l,upperdir=/u/d,workdir=/u/w'
const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['redirect_dir', `1 0 0:1 / / rw - overlay o rw,${DIRS},redirect_dir=on`, /redirect_dir=on is in use/],
  ['metacopy', `1 0 0:1 / / rw - overlay o rw,${DIRS},metacopy=on`, /metacopy=on is in use/],
  ['verity', `1 0 0:1 / / rw - overlay o rw,${DIRS},verity=require`, /verity=require is in use/],
  ['an option of a coming kernel', `1 0 0:1 / / rw - overlay o rw,${DIRS},magic=9`, /magic=9 is not known/],
  ['data-only layers', '1 0 0:1 / / rw - overlay o rw,lowerdir=/l::/d,upperdir=/u/d,workdir=/u/w', /data-only/],
  [
    'data-only layers one by one',
    `1 0 0:1 / / rw - overlay o rw,lowerdir+=/l,datadir+=/d,upperdir=/u/d,workdir=/u/w`,
    /datadir/,
  ],
  ['no upperdir', '1 0 0:1 / / ro - overlay o ro,lowerdir=/a:/b', /no upperdir/],
  ['a relative upperdir', '1 0 0:1 / / rw - overlay o rw,lowerdir=/a,upperdir=u/d,workdir=u/w', /relative upperdir/],
  ['a part of an overlay', `1 0 0:1 /sub / rw - overlay o rw,${DIRS}`, /part of an overlay/],
  ['btrfs', '1 0 0:30 /btrfs/subvolumes/x / rw,relatime - btrfs /dev/sda2 rw,ssd,subvol=/x', /type btrfs/],
  ['zfs', '1 0 0:44 / / rw,relatime - zfs tank/docker/0a1b rw,xattr,noacl', /type zfs/],
  ['devmapper', '1 0 253:3 /rootfs / rw,relatime - xfs /dev/mapper/docker-8:1-x rw,nouuid', /type xfs/],
  ['erofs', '1 0 7:0 / / ro,relatime - erofs /dev/loop0 ro,user_xattr,acl', /type erofs/],
  ['overlaybd without an overlay', '1 0 8:16 / / rw,relatime - ext4 /dev/sdb rw,discard', /type ext4/],
  ['vfs on ext4', '1 0 8:1 /var/lib/docker/vfs/dir/x / rw - ext4 /dev/sda1 rw', /type ext4/],
  ['fuse-overlayfs', '1 0 0:55 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0', /type fuse-overlayfs/],
  ['gVisor', '1 0 0:20 / / rw - 9p none rw,trans=fd,rfdno=4,wfdno=4', /9p \(gVisor/],
  ['Kata', '1 0 0:20 /c1/rootfs / rw - virtiofs kataShared rw', /virtiofs \(Kata/],
  ['stargz or nydus over fuse', '1 0 0:20 / / rw - fuse.rawBridge stargz rw', /fuse\.rawBridge/],
  ['an init that changed its root', '2 1 0:42 / /proc rw - proc proc rw', /no root of its own/],
  [
    'a directory that is not UTF-8',
    `1 0 0:1 / / rw - overlay o rw,lowerdir=/\xff,upperdir=/u/d,workdir=/u/w`,
    /not UTF-8/,
  ],
]
for (const [reason, text, message] of REFUSED)
  test(`refused: ${reason}`, () =>
    assert.throws(() => findRootOverlay(parse(text)), { code: 'overlay_unsupported', message }))

test('of two mounts at / the one on top counts', () => {
  const text = `1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:1 / / rw - overlay o rw,${DIRS}\n`
  assert.equal(findRootOverlay(parse(text)).upperdir, '/u/d')
})

test('a line with optional fields, one without, and none', () => {
  const mounts = parse('36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n')
  assert.deepEqual(mounts, [
    {
      id: 36,
      parentId: 35,
      device: '98:0',
      root: '/mnt1',
      mountPoint: '/mnt2',
      type: 'ext3',
      superOptions: ['rw', 'errors=continue'],
    },
  ])
  assert.equal(parse('36 35 98:0 / /a - b rw - ext3 /dev/root rw\n').length, 1)
  assert.deepEqual(parse(''), [])
  for (const line of ['36 35', '36 35 98:0 / /mnt2 rw ext3 /dev/root rw'])
    assert.throws(() => parse(line), { code: 'internal' })
})

test('mount points: what the engine mounts is a stub, what the user mounts is a volume', () => {
  const paths: readonly (readonly [string, boolean])[] = [
    ['/proc', false],
    ['/proc/sys', false],
    ['/dev/shm', false],
    ['/etc/hosts', false],
    ['/etc/resolv.conf', false],
    ['/run/secrets/kubernetes.io/serviceaccount', false],
    ['/usr/bin/nvidia-smi', false],
    ['/usr/lib/x86_64-linux-gnu/libcuda.so.550.54', false],
    ['/usr/lib/firmware/nvidia/550/gsp.bin', false],
    ['/data', true],
    ['/processes', true],
    ['/home/ada/nvidia-project/data', true],
    ['/mnt/workspace', true],
  ]
  const text = paths.map(([path], index) => `${index} 0 0:1 / ${path} rw - tmpfs tmpfs rw`).join('\n')
  const root = `99 0 0:1 / / rw - overlay o rw,${DIRS}`
  const found = mountedPaths(parse(`${root}\n${text}\n${text}`))
  assert.deepEqual(
    found.map(({ path, isVolume }) => [path.toString(), isVolume]),
    paths,
  )
})

test('any path comes back byte for byte', () => {
  const escape = (bytes: Uint8Array) =>
    [...bytes]
      .map((byte) =>
        byte > 0x20 && byte !== 0x5c ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`,
      )
      .join('')
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, max: 255 }), (bytes) => {
      const name = bytes.filter((byte) => byte !== 0 && byte !== 0x2f)
      const [mounted] = mountedPaths(parse(`1 0 0:1 / /x${escape(name)} rw - tmpfs tmpfs rw`))
      assert.deepEqual(mounted?.path, Buffer.from([0x2f, 0x78, ...name]))
    }),
  )
})

test("this machine's own mountinfo is of the form", () => {
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo'))
  assert.ok(mounts.some(({ mountPoint, type }) => mountPoint === '/proc' && type === 'proc'))
})
