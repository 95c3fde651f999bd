import { resolve } from 'node:path'
import { AppError } from '#base/errors.ts'
import { formatReference, parseReference } from '#oci/reference.ts'

/** Where an image is to go. `text` is the whole reference, as it is reported. */
export type Destination =
  | {
      readonly kind: 'registry'
      readonly registry: string
      readonly repository: string
      readonly tag: string
      readonly text: string
    }
  | { readonly kind: 'layout'; readonly directory: string; readonly tag: string; readonly text: string }

const DEFAULT_TAG = 'latest'
const LAYOUT = 'oci:'
// image-spec, annotations.md: what org.opencontainers.image.ref.name may hold, less what a reference would take for a path.
const LAYOUT_TAG = /^[A-Za-z0-9](?:[A-Za-z0-9._+-]*[A-Za-z0-9])?$/

/**
 * `REGISTRY/REPOSITORY[:TAG]` or `oci:DIRECTORY[:TAG]`; without a tag it is `latest`. Throws `reference_invalid`, also
 * for a digest: what is saved gets its digest from its content.
 */
export function parseDestination(text: string): Destination {
  const scheme = /^(?:https?|docker|oci):\/\//i.exec(text)?.[0]
  if (scheme !== undefined)
    throw new AppError(
      'reference_invalid',
      `${JSON.stringify(text)} is a URL: write REGISTRY/REPOSITORY:TAG, without ${scheme}.`,
    )
  if (text.startsWith(LAYOUT)) return parseLayout(text)
  const reference = parseReference(text)
  if (reference.digest !== undefined)
    throw new AppError(
      'reference_invalid',
      `${JSON.stringify(text)} names a digest, and an image gets its digest when it is saved: name a tag instead.`,
    )
  const { registry, repository, tag = DEFAULT_TAG } = reference
  return { kind: 'registry', registry, repository, tag, text: formatReference({ registry, repository, tag }) }
}

function parseLayout(text: string): Destination {
  const refuse = (why: string) =>
    new AppError('reference_invalid', `${JSON.stringify(text)} must be oci:DIRECTORY:TAG: ${why}.`)
  // As skopeo and umoci, the first colon ends the directory: they could not open another.
  const [directory = '', tag = DEFAULT_TAG, ...more] = text.slice(LAYOUT.length).split(':')
  if (directory === '' || directory.includes('\0')) throw refuse('the directory is missing')
  if (more.length > 0) throw refuse('neither the directory nor the tag may have a colon')
  if (!LAYOUT_TAG.test(tag))
    throw refuse('the tag must be letters, digits, ".", "_", "+" and "-", without one of these at an end')
  const path = resolve(directory)
  return { kind: 'layout', directory: path, tag, text: `${LAYOUT}${path}:${tag}` }
}
