import type { TarHeader } from '#oci/tar.ts'
import type { TarSink } from '#oci/read-tar.ts'
import { pathOf } from './index-layer.ts'
import type { ResultLayers } from './result-layers.ts'
import { Leaf } from './tree.ts'
import type { Tree } from './tree.ts'

/** What the first reading of a layer has left for the second. */
export interface LayerMembers {
  /** Its number in the stack. */
  readonly layer: number
  /** By member: what has several names. */
  readonly groups: ReadonlyMap<number, Leaf>
}

/** Hears one layer for the second time, and hands on of it what the tree still has. */
export class LayerContent implements TarSink {
  readonly #tree: Tree
  readonly #result: ResultLayers
  readonly #layer: LayerMembers
  #member = -1
  #kept: { readonly leaf: Leaf; readonly names: readonly string[]; readonly header: TarHeader } | undefined

  constructor(tree: Tree, result: ResultLayers, layer: LayerMembers) {
    this.#tree = tree
    this.#result = result
    this.#layer = layer
  }

  get members(): number {
    return this.#member + 1
  }

  onMember(header: TarHeader): void {
    this.#member++
    const names = this.#namesOf(header)
    const leaf = names[0] === undefined ? undefined : this.#tree.get(names[0])
    this.#kept = leaf instanceof Leaf ? { leaf, names, header } : undefined
    if (this.#kept) this.#result.beginLeaf(this.#kept.leaf, names, header)
  }

  onBody(bytes: Uint8Array): void {
    if (this.#kept) this.#result.addContent(bytes)
  }

  onMemberEnd(): void {
    if (this.#kept) this.#result.endLeaf(this.#kept.leaf, this.#kept.names, this.#kept.header)
    this.#kept = undefined
  }

  /** The names at which this very member is in the tree, in the order in which its layer gave them. */
  #namesOf(header: TarHeader): readonly string[] {
    if (header.kind === 'directory' || header.kind === 'hardlink') return []
    const names = this.#layer.groups.get(this.#member)?.links ?? [pathOf(header)]
    return [...new Set(names)].filter((name) => {
      const node = this.#tree.get(name)
      return node instanceof Leaf && node.layer === this.#layer.layer && node.member === this.#member
    })
  }
}
