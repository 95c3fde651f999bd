import { OPAQUE_NAME, WHITEOUT_PREFIX } from '#oci/tar.ts'
import type { TarHeader } from '#oci/tar.ts'
import type { TarSink } from '#oci/read-tar.ts'
import { refuseTar } from '#oci/tar-fields.ts'
import type { LayerMembers } from './merge.ts'
import { Leaf, requireFewEntries } from './tree.ts'
import type { DirectoryMetadata, Tree } from './tree.ts'

/** What a member of a layer is, by its name (image-spec, layer.md § Whiteouts). */
export type MemberRole = 'entry' | 'whiteout' | 'opaque' | 'ignored'

/** aufs kept its own things in layers under such names; engines skip them. */
const AUFS_PREFIX = '.wh..wh.'
/** Marks of the overlay in an attribute: engines would take them for their own, each in another way. */
const OVERLAY_XATTR = /^(?:trusted|user)\.overlay\./

interface Entry {
  readonly path: string
  readonly put: Leaf | DirectoryMetadata | { readonly target: string; readonly metadata: DirectoryMetadata }
}

/**
 * Hears one layer, and applies it to a tree when all of it was heard: its whiteouts first, since they hide what lower
 * layers hold and never what their own does, wherever they stand.
 */
export class LayerIndex implements TarSink {
  readonly #layer: number
  readonly #whiteouts: string[] = []
  readonly #opaque: string[] = []
  readonly #entries: Entry[] = []
  readonly #groups = new Map<number, Leaf>()
  #members = 0

  constructor(layer: number) {
    this.#layer = layer
  }

  get members(): number {
    return this.#members
  }

  onMember(header: TarHeader): void {
    const path = pathOf(header)
    const role = roleOf(path)
    const member = this.#members++
    requireFewEntries(this.#members)
    if (role === 'whiteout' || role === 'opaque') requireMarker(header, path)
    if (role === 'whiteout') this.#whiteouts.push(hiddenBy(path))
    else if (role === 'opaque') this.#opaque.push(path.slice(0, Math.max(0, path.lastIndexOf('/'))))
    else if (role === 'entry') this.#entries.push({ path, put: this.#entryOf(header, member) })
  }

  onBody(): void {}
  onMemberEnd(): void {}

  #entryOf(header: TarHeader, member: number): Entry['put'] {
    requireEngineNeutral(header)
    if (header.kind === 'directory') return metadataOf(header)
    if (header.kind !== 'hardlink') return new Leaf(header, this.#layer, member)
    return { target: Buffer.from(header.linkName ?? '').toString('latin1'), metadata: metadataOf(header) }
  }

  /** Throws `image_unsupported` for links out of the layer, which no engine unpacks (attacks.md A8). */
  applyTo(tree: Tree): LayerMembers {
    for (const path of this.#opaque) tree.makeOpaque(path)
    for (const path of this.#whiteouts) tree.whiteOut(path)
    for (const { path, put } of this.#entries) {
      if (put instanceof Leaf) tree.putLeaf(path, put)
      else if ('target' in put) this.#link(tree, path, put)
      else tree.putDirectory(path, put)
    }
    return { layer: this.#layer, groups: this.#groups }
  }

  #link(tree: Tree, path: string, { target, metadata }: { target: string; metadata: DirectoryMetadata }): void {
    const leaf = tree.get(target)
    if (!(leaf instanceof Leaf) || leaf.layer !== this.#layer)
      return refuseTar(`${JSON.stringify(path)} is a hard link to ${JSON.stringify(target)}, which is not in the layer`)
    leaf.lastMetadata = metadata
    leaf.links ??= [target]
    leaf.links.push(path)
    this.#groups.set(leaf.member, leaf)
    tree.putLeaf(path, leaf)
  }
}

/** The member's path, one char a byte, without a slash at its end; empty for the root. */
export function pathOf({ name }: TarHeader): string {
  const bytes = Buffer.from(name.buffer, name.byteOffset, name.byteLength)
  const path = bytes.toString('latin1', 0, bytes.at(-1) === 0x2f ? bytes.length - 1 : bytes.length)
  return path === '.' ? '' : path
}

/** By the path; what is below a name that is reserved is as good as not there. */
export function roleOf(path: string): MemberRole {
  const at = path.startsWith(WHITEOUT_PREFIX) ? 0 : path.indexOf(`/${WHITEOUT_PREFIX}`) + 1
  if (at === 0 && !path.startsWith(WHITEOUT_PREFIX)) return 'entry'
  const name = path.slice(at)
  if (name === OPAQUE_NAME) return 'opaque'
  if (name.startsWith(AUFS_PREFIX)) return 'ignored'
  return name.includes('/') || name === WHITEOUT_PREFIX
    ? refuseTar(`${JSON.stringify(path)} is no name that an entry may have`)
    : 'whiteout'
}

function hiddenBy(path: string): string {
  const base = path.lastIndexOf('/') + 1
  return path.slice(0, base) + path.slice(base + WHITEOUT_PREFIX.length)
}

/** aufs made its whiteouts as links of one file; engines go by the name. */
function requireMarker({ kind, size }: TarHeader, path: string): void {
  if ((kind !== 'file' && kind !== 'hardlink') || size > 0)
    refuseTar(`the whiteout ${JSON.stringify(path)} is no empty file`)
}

function requireEngineNeutral({ kind, devMajor, devMinor, xattrs = [] }: TarHeader): void {
  if (kind === 'char' && devMajor === 0 && devMinor === 0)
    refuseTar('it has a character device 0/0, which some engines take for a whiteout')
  const marks = xattrs.find(([name]) => OVERLAY_XATTR.test(name))
  if (marks) refuseTar(`it has the attribute ${marks[0]}, which belongs to the engine`)
}

export function metadataOf({ mode, uid, gid, mtimeSec, mtimeNs, xattrs }: TarHeader): DirectoryMetadata {
  return { mode, uid, gid, mtimeSec, ...(mtimeNs !== undefined && { mtimeNs }), ...(xattrs && { xattrs }) }
}
