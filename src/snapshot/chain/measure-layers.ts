import { LayerIndex, pathOf, roleOf } from '#snapshot/squash/index-layer.ts'
import { readLayer, type StoredLayer } from '#snapshot/squash/read-layer.ts'
import { Directory, Leaf, Tree, type Node } from '#snapshot/squash/tree.ts'
import type { LayerBytes } from './choose-squash.ts'
import { headerOf, keepMembers, MemberLister, readMembers, tidyMembers, type Member } from './member-list.ts'

export interface MeasureOptions {
  /** TINTYPE_HOME: what layers hold is kept below it. */
  readonly home: string
  readonly signal: AbortSignal
  /** Compressed bytes that were read, and members that were seen. */
  readonly onProgress?: (bytes: number, members: number) => void
}

const HEADER_BYTES = 1024 // a header, and half a block of padding on average

/**
 * How much of the layers is content that a higher one of them replaces, removes or hides. Each layer's members are read
 * once, and known from then on. Of a layer's compressed bytes as much is taken for superseded as of its files' bytes: what
 * compresses well and what does not are mixed in few layers (docs/adr/0010-when-a-capture-squashes.md). Throws
 * `image_unsupported` for layers that cannot be read exactly, `blob_missing`, `registry_…`, `cancelled`.
 */
export async function measureLayers(layers: readonly StoredLayer[], options: MeasureOptions): Promise<LayerBytes> {
  const tree = new Tree()
  const written: number[] = []
  let seen = 0
  for (const [i, layer] of layers.entries()) {
    const members = await membersOf(layer, options, (bytes) => options.onProgress?.(bytes, seen))
    seen += members.length
    const index = new LayerIndex(i)
    for (const member of members) index.onMember(headerOf(member))
    index.applyTo(tree)
    written.push(members.reduce((sum, member) => sum + contentOf(member), 0))
  }
  await tidyMembers(options.home)
  const living = livingBytes(tree, layers.length)
  let total = 0
  let superseded = 0
  for (const [i, { descriptor }] of layers.entries()) {
    const all = written[i] ?? 0
    total += descriptor.size
    if (all > 0) superseded += descriptor.size * (1 - (living[i] ?? 0) / all)
  }
  return { total, superseded }
}

async function membersOf(
  layer: StoredLayer,
  { home, signal }: MeasureOptions,
  onBytes: (count: number) => void,
): Promise<readonly Member[]> {
  const kept = await readMembers(home, layer.diffID)
  if (kept) return kept
  const lister = new MemberLister()
  const check = new LayerIndex(0) // refuses what a list does not tell
  await readLayer(
    layer,
    {
      onMember(header) {
        check.onMember(header)
        lister.onMember(header)
      },
      onBody() {},
      onMemberEnd() {},
    },
    { signal, onBytes },
  )
  await keepMembers(home, layer.diffID, lister.members)
  return lister.members
}

function contentOf(member: Member): number {
  const [kind] = member
  return kind === 'f' && roleOf(pathOf(headerOf(member))) === 'entry' ? member[2] + HEADER_BYTES : 0
}

/** By layer: what of its files is there in the end, each once whatever its names. */
function livingBytes(tree: Tree, layers: number): readonly number[] {
  const living = Array.from({ length: layers }, () => 0)
  const seen = new Set<Leaf>()
  const visit = (node: Node) => {
    if (node instanceof Directory) for (const child of node.children.values()) visit(child)
    if (!(node instanceof Leaf) || seen.has(node)) return
    seen.add(node)
    living[node.layer] = (living[node.layer] ?? 0) + node.sizeBytes + HEADER_BYTES
  }
  visit(tree.root)
  return living
}
