/**
 * What a stack of layers amounts to: the tree that they put over whatever lies below them. Applied bottom up, it is the
 * same as merging them top first: what a higher layer holds, hides or whites out is not there any more.
 */
import type { TarHeader, TarKind } from '#oci/tar.ts'
import { refuseTar } from '#oci/tar-fields.ts'

/** What a header says of a directory. */
export type DirectoryMetadata = Pick<TarHeader, 'mode' | 'uid' | 'gid' | 'mtimeSec' | 'mtimeNs' | 'xattrs'>

export class Directory {
  /** By name, one char a byte. */
  readonly children = new Map<string, Node>()
  /** Missing when no layer has a header of it: it is there because something below it is. */
  metadata: DirectoryMetadata | undefined
  /** What lies below the layers at this place does not shine through: it was hidden, whited out or no directory meanwhile. */
  isOpaque: boolean
  /** The layer of the result that has its header already; 0: none. */
  writtenIn = 0

  constructor(metadata: DirectoryMetadata | undefined, isOpaque: boolean) {
    this.metadata = metadata
    this.isOpaque = isOpaque
  }
}

/** Anything but a directory: one for each inode, at each of its names. */
export class Leaf {
  readonly kind: Exclude<TarKind, 'directory' | 'hardlink'>
  readonly sizeBytes: number
  /** Where its member is: which layer of the stack, which member there. */
  readonly layer: number
  readonly member: number
  /** All names that its layer gives it, when there are several: paths, the first one its own. */
  links: string[] | undefined
  /** As its last link said: engines set what each header says, and all are one inode. */
  lastMetadata: DirectoryMetadata | undefined
  writtenIn = 0

  constructor(header: TarHeader, layer: number, member: number) {
    const { kind } = header
    if (kind === 'directory' || kind === 'hardlink') throw refuseTar('a member is not what it was taken for')
    this.kind = kind
    this.sizeBytes = header.size
    this.layer = layer
    this.member = member
  }
}

/** Here was something below the layers, and is nothing now. */
export const WHITEOUT = 'whiteout'
export type Node = Directory | Leaf | typeof WHITEOUT

/** More would not fit into memory; an image of a million files has not a quarter of it. */
const MOST_NODES = 5_000_000

/** Throws `image_unsupported` when a layer, or a tree of layers, has more entries than fit into memory. */
export function requireFewEntries(count: number): void {
  if (count > MOST_NODES) refuseTar(`it has more than ${MOST_NODES} entries`)
}

/** How a directory is made that no layer describes, by every engine that was asked (attacks.md A6). */
export const IMPLIED: DirectoryMetadata = { mode: 0o755, uid: 0, gid: 0, mtimeSec: 0 }

export class Tree {
  readonly root = new Directory(undefined, false)
  #nodes = 0

  /** What is at a path; undefined when nothing is. */
  get(path: string): Node | undefined {
    let node: Node | undefined = this.root
    for (const name of partsOf(path)) {
      if (!(node instanceof Directory)) return undefined
      node = node.children.get(name)
    }
    return node
  }

  /** A layer whites out `path`. Where its parent is no directory there is nothing to hide (attacks.md A7). */
  whiteOut(path: string): void {
    const [parent, name] = this.#parentOf(path, 'whiteout')
    if (parent) this.#set(parent, name, WHITEOUT)
  }

  /** A layer makes the directory at `path` opaque. */
  makeOpaque(path: string): void {
    const directory = path === '' ? this.root : this.#directory(partsOf(path), 'whiteout')
    if (!directory) return
    directory.children.clear()
    directory.isOpaque = true
  }

  putDirectory(path: string, metadata: DirectoryMetadata): void {
    const directory = path === '' ? this.root : this.#directory(partsOf(path), 'entry', true)
    if (directory) directory.metadata = metadata
  }

  putLeaf(path: string, leaf: Leaf): void {
    const [parent, name] = this.#parentOf(path, 'entry')
    if (parent) this.#set(parent, name, leaf)
  }

  #parentOf(path: string, by: 'entry' | 'whiteout'): [parent: Directory | undefined, name: string] {
    const parts = partsOf(path)
    const name = parts.pop() ?? ''
    return [this.#directory(parts, by), name]
  }

  /**
   * The directory at a path, made where it is missing. A whiteout makes none where something else was or is: undefined.
   * An entry needs one that its layer describes (`replaces`, for the last part) where something else is: what it would
   * be put into otherwise, engines do not agree on.
   */
  #directory(parts: readonly string[], by: 'entry' | 'whiteout', replaces = false): Directory | undefined {
    let directory = this.root
    for (const [i, name] of parts.entries()) {
      const found = directory.children.get(name)
      if (found instanceof Directory) {
        directory = found
        continue
      }
      if (found !== undefined && by === 'whiteout') return undefined
      const isDescribed = replaces && i === parts.length - 1
      if (found instanceof Leaf && !isDescribed)
        return refuseTar(
          `it has an entry below ${JSON.stringify(parts.slice(0, i + 1).join('/'))}, which is no directory`,
        )
      // Whatever was at this place, what lies below all layers was hidden by it.
      const made = new Directory(found === undefined ? undefined : IMPLIED, found !== undefined)
      this.#set(directory, name, made)
      directory = made
    }
    return directory
  }

  #set(parent: Directory, name: string, node: Node): void {
    const before = parent.children.size
    parent.children.set(name, node)
    this.#nodes += parent.children.size - before
    requireFewEntries(this.#nodes)
  }
}

/** The names of a path from the root on; none for the root. */
export function partsOf(path: string): string[] {
  return path === '' ? [] : path.split('/')
}

/** The names in a directory in the order of their bytes, which are their chars. */
export function sortedNames({ children }: Directory): readonly string[] {
  return [...children.keys()].sort()
}
