import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import { newId } from '#service/ids.ts'
import { DEFAULT_WORKSPACE } from '#service/workspace.ts'
import type { ImageSearch, LabelSearch } from '#store/image-search.ts'
import type { Accessibility, ImageRecord, ImagesTable } from '#store/images.ts'
import type { Label } from '#store/snapshot-record.ts'
import { checkLabels } from './labels.ts'

/** Who asks. */
export interface ImageViewer {
  readonly userId: string
  /** The account itself: it sees and changes the images of all its users. */
  readonly seesAll: boolean
}

export interface AddImage {
  readonly imageId?: string | undefined
  readonly workspaceId?: string | undefined
  /** Absent: the viewer. Only the account may name another. */
  readonly userId?: string | undefined
  readonly name: string
  readonly description: string
  readonly uri: string
  readonly accessibility: Accessibility
  readonly sizeBytes: number
  readonly sourceType: string
  readonly sourceId: string
  readonly labels: readonly Label[]
}

export interface ImageWithLabels {
  readonly image: ImageRecord
  readonly labels: readonly Label[]
}

export type ImageQuery = Omit<ImageSearch, 'visibleTo'>
export type LabelQuery = Omit<LabelSearch, 'visibleTo'>

/** The catalogue of images: names for what is in registries. Removing one leaves the registry as it is. */
export interface Images {
  /** Its id. Throws `parameter_invalid`, `name_taken`. */
  add(request: AddImage, viewer: ImageViewer): Promise<string>
  /** Throws `image_not_found`, also for what is private to somebody else. */
  get(imageId: string, viewer: ImageViewer): Promise<ImageWithLabels>
  list(query: ImageQuery, viewer: ImageViewer): Promise<{ images: readonly ImageWithLabels[]; total: number }>
  /** The next three: throw `image_not_found`, and `permission_denied` for what is not the viewer's. */
  remove(imageId: string, viewer: ImageViewer): Promise<void>
  publish(imageId: string, viewer: ImageViewer): Promise<void>
  addLabels(imageId: string, labels: readonly Label[], viewer: ImageViewer): Promise<void>
  removeLabels(imageId: string, keys: readonly string[], viewer: ImageViewer): Promise<void>
  listLabels(query: LabelQuery, viewer: ImageViewer): Promise<readonly Label[]>
}

export interface ImagesParts {
  readonly images: ImagesTable
  readonly clock: Clock
}

export function openImages(parts: ImagesParts): Images {
  const { images, clock } = parts
  return {
    add: (request, viewer) => addImage(request, viewer, parts),
    async get(imageId, viewer) {
      const image = await findVisible(images, imageId, viewer)
      return { image, labels: (await images.labelsOf([imageId])).get(imageId) ?? [] }
    },
    async list(query, viewer) {
      const { images: found, total } = await images.search({ ...query, visibleTo: visibleTo(viewer) })
      const labels = await images.labelsOf(found.map(({ imageId }) => imageId))
      return { images: found.map((image) => ({ image, labels: labels.get(image.imageId) ?? [] })), total }
    },
    async remove(imageId, viewer) {
      await findOwn(images, imageId, viewer)
      if (!(await images.remove(imageId))) throw notFound(imageId)
    },
    async publish(imageId, viewer) {
      await findOwn(images, imageId, viewer)
      if (!(await images.setAccessibility(imageId, 'PUBLIC', clock.wallMs()))) throw notFound(imageId)
    },
    async addLabels(imageId, labels, viewer) {
      checkLabels(labels, viewer)
      await findOwn(images, imageId, viewer)
      if (!(await images.addLabels(imageId, labels, clock.wallMs()))) throw notFound(imageId)
    },
    async removeLabels(imageId, keys, viewer) {
      await findOwn(images, imageId, viewer)
      await images.removeLabels(imageId, keys)
    },
    listLabels: (query, viewer) => images.labels({ ...query, visibleTo: visibleTo(viewer) }),
  }
}

const visibleTo = ({ userId, seesAll }: ImageViewer) => (seesAll ? undefined : userId)

async function addImage(request: AddImage, viewer: ImageViewer, { images, clock }: ImagesParts): Promise<string> {
  checkLabels(request.labels, viewer)
  const { imageId = newId('image'), workspaceId = DEFAULT_WORKSPACE, userId = viewer.userId } = request
  if (userId !== viewer.userId && !viewer.seesAll) throw invalid('UserId', 'must be your own, or be left out')
  checkUri(request.uri)
  const image = { ...request, imageId, workspaceId, userId, fromSnapshot: false }
  if (await images.insert(image, clock.wallMs())) return imageId
  if (request.imageId !== undefined && (await images.find(request.imageId)))
    throw new AppError('name_taken', `ImageId: ${request.imageId} is in the catalogue already: leave it out.`)
  throw new AppError('name_taken', `Name: workspace ${workspaceId} has an image ${request.name} already.`)
}

function checkUri(uri: string): void {
  try {
    parseReference(uri)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new AppError('parameter_invalid', `ImageUri is no reference of an image: ${error.message}`, {
      cause: error,
      details: { field: 'ImageUri' },
    })
  }
}

async function findVisible(images: ImagesTable, imageId: string, viewer: ImageViewer): Promise<ImageRecord> {
  const image = await images.find(imageId)
  if (image && (viewer.seesAll || image.accessibility === 'PUBLIC' || image.userId === viewer.userId)) return image
  throw notFound(imageId)
}

async function findOwn(images: ImagesTable, imageId: string, viewer: ImageViewer): Promise<ImageRecord> {
  const image = await findVisible(images, imageId, viewer)
  if (viewer.seesAll || image.userId === viewer.userId) return image
  throw new AppError('permission_denied', `Image ${imageId} is somebody else's: only its owner may change it.`)
}

function notFound(imageId: string): AppError {
  return new AppError('image_not_found', `The catalogue has no image ${imageId}.`, { details: { imageId } })
}

function invalid(field: string, must: string): AppError {
  return new AppError('parameter_invalid', `${field} ${must}.`, { details: { field } })
}
