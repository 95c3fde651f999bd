import { isIP } from 'node:net'
import { formatReference, parseReference } from '#oci/reference.ts'
import type { Reference } from '#oci/reference.ts'
import { toAppError } from '#base/errors.ts'
import { classifyAddress } from '#registry/trust.ts'
import type { Store } from '#store/open-store.ts'
import { invalid } from './invalid.ts'

/** The image that an instance is made from. */
export interface ChosenImage {
  readonly imageId: string
  readonly imageUrl: string
  readonly imageName: string
}

/** What instances ask of the catalogue. Undefined: there is none, or the user may not see it. */
export interface ImageCatalogue {
  find(imageId: string, userId: string): Promise<{ readonly uri: string; readonly name: string } | undefined>
}

/** What every engine takes where neither tag nor digest is given. */
const LATEST = 'latest'

interface Wish {
  readonly imageId?: string | undefined
  readonly imageUrl?: string | undefined
}

/** Of ImageId and ImageUrl exactly one must be given; an empty text counts as absent. Throws `parameter_invalid`. */
export async function chooseImage(wish: Wish, catalogue: ImageCatalogue, userId: string): Promise<ChosenImage> {
  const imageId = wish.imageId === '' ? undefined : wish.imageId
  const imageUrl = wish.imageUrl === '' ? undefined : wish.imageUrl
  if (imageId !== undefined && imageUrl !== undefined)
    throw invalid('ImageUrl', 'cannot be given together with ImageId: leave one of them out')
  if (imageUrl !== undefined) {
    const reference = parseImageUrl(imageUrl)
    return { imageId: '', imageUrl, imageName: nameOf(reference) }
  }
  if (imageId === undefined) throw invalid('ImageUrl', 'is missing: give it or an ImageId')
  const image = await catalogue.find(imageId, userId)
  if (!image)
    throw invalid('ImageId', `${JSON.stringify(imageId)} is not in the catalogue: ListImages lists those that are`)
  return { imageId, imageUrl: image.uri, imageName: image.name }
}

/** `ImageUrl` as a reference. Throws `parameter_invalid`, also for addresses that no registry has (metadata services). */
export function parseImageUrl(imageUrl: string): Reference {
  const reference = parse(imageUrl)
  const host = hostOf(reference.registry)
  if (isIP(host) !== 0 && classifyAddress(host) === 'refused')
    throw invalid('ImageUrl', `names the address ${host}, where no registry can be`)
  return reference
}

/** What is pulled: without a tag or digest, `latest`, as every engine does. */
export function pulledReference(imageUrl: string): string {
  const reference = parseReference(imageUrl)
  const isExact = reference.tag !== undefined || reference.digest !== undefined
  return formatReference(isExact ? reference : { ...reference, tag: LATEST })
}

/** An image that a snapshot has put into a registry. */
export interface SavedImage {
  /** In full, with its tag. */
  readonly uri: string
  readonly digest: string
  /** Of the catalogue. */
  readonly imageId: string
}

/** Whether an instance that exists, stopped ones too, was made from this image, however it was named: by tag, digest or ImageId. */
export async function usesImage(
  { imageUses }: Pick<Store, 'imageUses'>,
  { uri, digest, imageId }: SavedImage,
): Promise<boolean> {
  const { repository, tag = LATEST } = parseReference(uri)
  const word = repository.slice(repository.lastIndexOf('/') + 1) // Docker Hub's may be named without the rest
  const found = await imageUses.ofInstances({ imageId, word, marks: [tag === LATEST ? word : tag, digest] })
  return found.some((image) => image.imageId === imageId || isSame(image.imageUrl, { uri, digest }))
}

function isSame(imageUrl: string, { uri, digest }: Pick<SavedImage, 'uri' | 'digest'>): boolean {
  const [theirs, ours] = [parseReference(pulledReference(imageUrl)), parseReference(uri)]
  const isOneRepository =
    theirs.registry.toLowerCase() === ours.registry.toLowerCase() && theirs.repository === ours.repository
  // Where both are given, the digest decides and the tag is for people.
  return isOneRepository && (theirs.digest === undefined ? theirs.tag === ours.tag : theirs.digest === digest)
}

/** The last part of the repository, with the tag: `pytorch:2.1`. */
function nameOf({ repository, tag }: Reference): string {
  const last = repository.slice(repository.lastIndexOf('/') + 1)
  return tag === undefined ? last : `${last}:${tag}`
}

function parse(imageUrl: string): Reference {
  try {
    return parseReference(imageUrl)
  } catch (error) {
    throw invalid('ImageUrl', `is no image reference: ${toAppError(error).message.replace(/\.$/, '')}`)
  }
}

const hostOf = (registry: string) => registry.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
