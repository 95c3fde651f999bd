import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imageCapability, isAcl, isKeptXattr, overlayAttribute } from './xattrs.ts'

const KEPT: readonly (readonly [string, boolean, string])[] = [
  ['user.comment', true, "the user's own"],
  ['user.overlayed', true, "a name that only begins like overlay's"],
  ['user.overlay.opaque', false, "overlay's own, rootless"],
  ['trusted.overlay.opaque', false, "overlay's own"],
  ['trusted.other', false, 'what only root of the host may see'],
  ['security.capability', true, 'file capabilities'],
  ['security.selinux', false, "labels of the host's policy"],
  ['security.ima', false, "signatures by the host's key"],
  ['system.posix_acl_access', true, 'ACLs'],
  ['system.posix_acl_default', true, 'default ACLs'],
]
for (const [name, isKept, reason] of KEPT) test(`${name}: ${reason}`, () => assert.equal(isKeptXattr(name), isKept))

test("an ACL is told from other attributes, for its ids are the host's", () => {
  assert.deepEqual(['system.posix_acl_default', 'user.system.posix_acl_default'].map(isAcl), [true, false])
})

test("overlay's attributes count only under the prefix of the mount: the other one anybody may write", () => {
  assert.equal(overlayAttribute('trusted.overlay.opaque', 'trusted.overlay.'), 'opaque')
  assert.equal(overlayAttribute('user.overlay.opaque', 'trusted.overlay.'), undefined)
  assert.equal(overlayAttribute('user.overlay.metacopy', 'user.overlay.'), 'metacopy')
})

// linux/capability.h: struct vfs_ns_cap_data, little endian: magic and flags, two pairs of permitted and inheritable, rootid.
const capability = (magic: number, ...words: number[]) => new Uint8Array(Uint32Array.of(magic, ...words).buffer)
const EFFECTIVE = 1

test("a capability of the container's root becomes revision 2, with the same rights", () => {
  const value = capability(0x03000000 | EFFECTIVE, 0x400, 0, 0, 0, 100_000)
  const toImageUid = (uid: number) => (uid === 100_000 ? 0 : undefined)
  assert.deepEqual(imageCapability(value, toImageUid), capability(0x02000000 | EFFECTIVE, 0x400, 0, 0, 0))
})

const UNTOUCHED: readonly (readonly [string, Uint8Array])[] = [
  ['revision 2', capability(0x02000001, 0x400, 0, 0, 0)],
  ['revision 3 of another namespace', capability(0x03000001, 0x400, 0, 0, 0, 7)],
  ['24 bytes of something else', capability(0x09000001, 1, 2, 3, 4, 100_000)],
  ['not a capability at all', Uint8Array.of(1, 2, 3)],
]
for (const [name, value] of UNTOUCHED) {
  test(`a capability stays as it is: ${name}`, () =>
    assert.deepEqual(
      imageCapability(value, (uid) => (uid === 100_000 ? 0 : undefined)),
      value,
    ))
}
