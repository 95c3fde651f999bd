/** The names overlay keeps its own state under: `trusted.` by default, `user.` for rootless mounts (option `userxattr`). */
const PRIVATE = /^(?:trusted|user)\.overlay\./
const ACLS = ['system.posix_acl_access', 'system.posix_acl_default']

export const WHITEOUT_PREFIX = '.wh.'

/**
 * Whether an extended attribute belongs to the image: the user's own, file capabilities, and ACLs. Not overlay's, and not
 * what the host's security modules put on files (`security.selinux`, `security.ima`).
 */
export function isKeptXattr(name: string): boolean {
  return (name.startsWith('user.') && !PRIVATE.test(name)) || name === 'security.capability' || isAcl(name)
}

/** An ACL holds ids; they are the host's where the container has a user namespace. */
export function isAcl(name: string): boolean {
  return ACLS.includes(name)
}

/** Where a mount keeps overlay's attributes: under the other prefix, anyone in the container may write what looks like them. */
export type OverlayPrefix = 'trusted.overlay.' | 'user.overlay.'

/** The attribute of overlay's that `name` is (`opaque`, `redirect`, `metacopy` …), or undefined. */
export function overlayAttribute(name: string, prefix: OverlayPrefix): string | undefined {
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined
}

const CAP_V2 = 0x02000000
const CAP_V3 = 0x03000000
const CAP_V3_BYTES = 24
const CAP_REVISION_MASK = 0xff000000

/**
 * A file capability as the image must have it. Revision 3 carries the host id of the user namespace's root: where that is
 * the container's own root the capability is what the container sees as revision 2 (capabilities(7)).
 */
export function imageCapability(value: Uint8Array, toImageUid: (uid: number) => number | undefined): Uint8Array {
  if (value.byteLength !== CAP_V3_BYTES) return value
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  const magic = view.getUint32(0, true)
  if ((magic & CAP_REVISION_MASK) >>> 0 !== CAP_V3 || toImageUid(view.getUint32(20, true)) !== 0) return value
  const plain = value.slice(0, 20)
  new DataView(plain.buffer).setUint32(0, ((magic & ~CAP_REVISION_MASK) | CAP_V2) >>> 0, true)
  return plain
}
