import { refuseTar } from '#oci/tar-fields.ts'
import { Directory, IMPLIED, Leaf, sortedNames, WHITEOUT } from './tree.ts'
import type { Node, Tree } from './tree.ts'

/** Whether what the layers amount to depends on what lies below them. */
export function needsBase(tree: Tree): boolean {
  const depends = (node: Node): boolean => {
    if (!(node instanceof Directory)) return node === WHITEOUT
    if (node.isOpaque || (node.metadata === undefined && node !== tree.root)) return true
    return node.children.values().some(depends)
  }
  return depends(tree.root)
}

/**
 * Settle a tree over the one that lies below it: a whiteout stays only where the base has the path, a directory is opaque
 * only where the base has a directory that would shine through, and one that no layer describes is as the base says.
 * Throws `image_unsupported` where entries would lie below something that is no directory in the base.
 */
export function settle(tree: Tree, base: Tree): void {
  const { root } = tree
  if (!root.isOpaque) settleChildren(root, base.root)
  else settleChildren(root, hasAny(base.root) ? base.root : undefined)
}

const hasAny = ({ children }: Directory) => children.size > 0

function settleChildren(directory: Directory, base: Directory | undefined): void {
  if (!base) directory.isOpaque = false
  const below = directory.isOpaque ? undefined : base
  for (const [name, node] of directory.children) {
    const under = below?.children.get(name)
    if (node === WHITEOUT && under === undefined) directory.children.delete(name)
    if (node instanceof Directory && !settleDirectory(node, under, name)) directory.children.delete(name)
  }
}

/** False for a directory that is only named by whiteouts which hide nothing. */
function settleDirectory(directory: Directory, under: Node | undefined, name: string): boolean {
  const isDescribed = directory.metadata !== undefined
  const base = under instanceof Directory ? under : undefined
  settleChildren(directory, base)
  if (isDescribed) return true
  if (directory.children.size === 0 && !directory.isOpaque) return false
  if (under instanceof Leaf)
    refuseTar(`it has entries below ${JSON.stringify(name)}, which is no directory in the base image`)
  directory.metadata = base?.metadata ?? IMPLIED
  return true
}

export interface Settled {
  readonly entries: number
  /** Of all files: what the result's layers hold, but for headers. */
  readonly contentBytes: number
}

/** How much a settled tree holds. */
export function measure(tree: Tree): Settled {
  let entries = 0
  let contentBytes = 0
  const seen = new Set<Leaf>() // of those with several names
  const visit = (node: Node) => {
    entries++
    if (node instanceof Directory) for (const name of sortedNames(node)) visit(node.children.get(name) ?? WHITEOUT)
    else if (node instanceof Leaf && !seen.has(node)) {
      contentBytes += node.sizeBytes
      if (node.links) seen.add(node)
    }
  }
  for (const node of tree.root.children.values()) visit(node)
  return { entries, contentBytes }
}
