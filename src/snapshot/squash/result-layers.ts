import { AppError } from '#base/errors.ts'
import { OPAQUE_NAME, whiteoutName } from '#oci/tar.ts'
import type { TarHeader } from '#oci/tar.ts'
import type { Segments } from './segments.ts'
import { Directory, Leaf, partsOf, sortedNames, WHITEOUT } from './tree.ts'
import type { DirectoryMetadata, Tree } from './tree.ts'

const MARKER = { kind: 'file', mode: 0o600, uid: 0, gid: 0, size: 0, mtimeSec: 0 } as const
const HEADER_BYTES = 1024 // of most members, for the size at which a layer closes

/**
 * Writes a settled tree as layers, in whatever order the content comes. All directories, and with them all that hides
 * something below, are in the first layer: there nothing of ours lies below. Every further layer has the headers of the
 * ancestors of what it holds (attacks.md A6). That no layer has a form which some engine cannot pull (A7, A8) is not only
 * so, it is asserted with each member: `layer_invalid`.
 */
export class ResultLayers {
  readonly #tree: Tree
  readonly #segments: Segments
  readonly #layerBytes: number
  #open: Leaf | undefined

  constructor(tree: Tree, segments: Segments, layerBytes: number) {
    this.#tree = tree
    this.#segments = segments
    this.#layerBytes = layerBytes
  }

  /** All directories, parents first, each with its marker and its whiteouts. */
  async addDirectories(): Promise<void> {
    const { root } = this.#tree
    if (root.children.size > 0 || root.isOpaque || root.metadata) await this.#addDirectory(root, '')
  }

  async #addDirectory(directory: Directory, path: string): Promise<void> {
    this.#addHeaderOf(directory, path)
    if (directory.isOpaque) this.#segments.addHeader({ name: bytesOf(inside(path, OPAQUE_NAME)), ...MARKER })
    const names = sortedNames(directory)
    for (const name of names)
      if (directory.children.get(name) === WHITEOUT) this.#addWhiteout(directory, inside(path, name))
    await this.#segments.ready()
    for (const name of names) {
      const child = directory.children.get(name)
      if (child instanceof Directory) await this.#addDirectory(child, inside(path, name))
    }
  }

  /** A whiteout's path is in no entry of the layer, since a tree has one node at it; its parent is a directory that hides nothing. */
  #addWhiteout(parent: Directory, path: string): void {
    this.#assert(
      parent.writtenIn === this.#layer && !parent.isOpaque,
      path,
      'is whited out where nothing can shine through',
    )
    this.#segments.addHeader({ name: whiteoutName(bytesOf(path)), ...MARKER })
  }

  #addHeaderOf(directory: Directory, path: string): void {
    if (directory.writtenIn === this.#layer) return
    directory.writtenIn = this.#layer
    const { metadata } = directory
    if (path === '' && metadata === undefined) return // of the root no layer says anything
    if (metadata === undefined) return this.#assert(false, path, 'has no header')
    this.#segments.addHeader({
      name: bytesOf(path === '' ? './' : `${path}/`),
      kind: 'directory',
      size: 0,
      ...metadata,
    })
  }

  /**
   * The header of a leaf at the first of the names that it still has; its content follows by `addContent`, then
   * `endLeaf`. `header` is its member's.
   */
  beginLeaf(leaf: Leaf, names: readonly string[], header: TarHeader): void {
    const { sizeBytes } = leaf
    const bytes = sizeBytes + names.length * HEADER_BYTES
    const isFull = this.#segments.layerBytes > 0 && this.#segments.layerBytes + bytes > this.#layerBytes
    if (isFull) this.#segments.closeLayer()
    const [name = ''] = names
    this.#addAncestors(name)
    this.#assert(leaf.writtenIn === 0, name, 'is written twice')
    leaf.writtenIn = this.#layer
    this.#open = leaf
    this.#segments.addHeader({ ...header, ...withLast(header, leaf.lastMetadata), name: bytesOf(name) })
  }

  addContent(bytes: Uint8Array): void {
    this.#segments.addBytes(bytes)
  }

  /** The other names of the leaf directly after its content: the group is never cut (attacks.md B1). */
  endLeaf(leaf: Leaf, names: readonly string[], header: TarHeader): void {
    this.#segments.addPadding(leaf.sizeBytes)
    const [target = '', ...others] = names
    const {
      devMajor: _major,
      devMinor: _minor,
      xattrs: _xattrs,
      ...rest
    } = { ...header, ...withLast(header, leaf.lastMetadata) }
    for (const name of others) {
      this.#addAncestors(name)
      this.#assert(leaf.writtenIn === this.#layer && this.#open === leaf, name, 'is a link out of its layer')
      this.#segments.addHeader({ ...rest, kind: 'hardlink', size: 0, name: bytesOf(name), linkName: bytesOf(target) })
    }
    this.#open = undefined
  }

  /** The last layer ends, if it has anything. */
  finish(): void {
    if (this.#segments.layerBytes > 0) this.#segments.closeLayer()
  }

  #addAncestors(path: string): void {
    let directory: Directory = this.#tree.root
    this.#addHeaderOf(directory, '')
    const parts = partsOf(path)
    for (let i = 1; i < parts.length; i++) {
      const next = directory.children.get(parts[i - 1] ?? '')
      if (!(next instanceof Directory)) return this.#assert(false, path, 'has an ancestor that is no directory')
      directory = next
      this.#addHeaderOf(directory, parts.slice(0, i).join('/'))
    }
    this.#assert(directory.writtenIn === this.#layer, path, 'comes before its ancestors')
  }

  /** From 1: 0 is what nothing is written in. */
  get #layer(): number {
    return this.#segments.layer + 1
  }

  #assert(isTrue: boolean, path: string, what: string): void {
    if (isTrue) return
    throw new AppError('layer_invalid', `The squashed layer would be one that engines cannot pull: /${path} ${what}.`)
  }
}

const inside = (directory: string, name: string) => (directory === '' ? name : `${directory}/${name}`)
const bytesOf = (path: string) => Buffer.from(path, 'latin1')

/** All links are one inode: what the last header says is what engines leave it with, attributes of all headers. */
function withLast(header: Omit<TarHeader, 'name'>, last: DirectoryMetadata | undefined): Partial<TarHeader> {
  if (!last) return {}
  const xattrs = new Map([...(header.xattrs ?? []), ...(last.xattrs ?? [])])
  const { mtimeNs = 0, ...rest } = last
  return { ...rest, mtimeNs, ...(xattrs.size > 0 && { xattrs: [...xattrs] }) }
}
