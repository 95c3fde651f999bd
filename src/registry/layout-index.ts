import { AppError } from '#base/errors.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { parseDigest } from '#oci/digest.ts'

/** `index.json` of a layout: which manifests it holds, and under which tags (image-spec, image-layout.md § index.json). */
export interface LayoutIndex {
  readonly manifests: readonly IndexEntry[]
  /** Everything else of the file, kept as it was. */
  readonly rest: Readonly<Record<string, unknown>>
}

/** One descriptor, and all that its writer has put beside. */
export interface IndexEntry {
  readonly descriptor: Descriptor
  readonly tag?: string
  readonly json: Readonly<Record<string, unknown>>
}

const REF_NAME = 'org.opencontainers.image.ref.name'

/** The index of a layout; `text` undefined: one that holds nothing yet. Throws `layout_invalid`. */
export function parseLayoutIndex(directory: string, text: string | undefined): LayoutIndex {
  if (text === undefined) return { manifests: [], rest: { schemaVersion: 2 } }
  try {
    const { manifests, ...rest } = JSON.parse(text) as { manifests: Record<string, unknown>[]; schemaVersion: unknown }
    if (rest.schemaVersion !== 2) throw new Error('schemaVersion is not 2')
    return { manifests: manifests.map(parseEntry), rest }
  } catch (cause) {
    throw new AppError(
      'layout_invalid',
      `${directory}/index.json is not an OCI image index: repair it, or name another directory.`,
      { cause },
    )
  }
}

function parseEntry(json: Record<string, unknown>): IndexEntry {
  const { mediaType, digest, size, annotations } = json
  if (typeof mediaType !== 'string' || typeof digest !== 'string' || !Number.isSafeInteger(size))
    throw new Error('a descriptor lacks its mediaType, digest or size')
  const tag = (annotations as Record<string, unknown> | undefined)?.[REF_NAME]
  return {
    descriptor: { mediaType, digest: parseDigest(digest), size: size as number },
    ...(typeof tag === 'string' && { tag }),
    json,
  }
}

/** The index with `tag` at `descriptor`; every other entry stays. Without a tag the manifest is listed once, by digest. */
export function setLayoutTag(index: LayoutIndex, descriptor: Descriptor, tag: string | undefined): LayoutIndex {
  const { mediaType, digest, size } = descriptor
  const isListed = index.manifests.some((entry) => entry.descriptor.digest === digest)
  if (tag === undefined && isListed) return index
  const json = { mediaType, digest, size, ...(tag !== undefined && { annotations: { [REF_NAME]: tag } }) }
  const others = index.manifests.filter((entry) => tag === undefined || entry.tag !== tag)
  return { ...index, manifests: [...others, { descriptor, ...(tag !== undefined && { tag }), json }] }
}

/** The file's bytes. */
export function encodeLayoutIndex({ manifests, rest }: LayoutIndex): string {
  return `${JSON.stringify({ ...rest, manifests: manifests.map(({ json }) => json) })}\n`
}
