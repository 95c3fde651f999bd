import { roaProduct } from './operation.ts'
import { fields, flag, int32, int64, listed, oneOf, said, text } from './schema.ts'
import { accessibility, id, label, labels, newWorkspaceId, order, workspaceId } from './shapes.ts'

const workspace = roaProduct({
  product: 'aiworkspace',
  version: '2021-02-04',
  envelope: 'requestId',
  ramCode: 'paiimage',
})
/** Older pages name the same right `pai:AddImage`; dsw-api §2. */
const olderName = (action: string) => ({ aliases: [`pai:${action}`] })

const IMAGE = '/api/v1/images/{ImageId}'
const NAME_PATTERN = '^[a-z][a-z0-9-]{0,49}$'
const NAME_RULE = '1 to 50 lower-case letters, digits and hyphens, and begin with a letter'
const IMAGE_ID_PATTERN = '^image-[A-Za-z0-9]{18}$'
const IMAGE_URI_LIMIT = 1024

const image = () => ({
  Accessibility: said(),
  Description: said(),
  GmtCreateTime: said(),
  GmtModifiedTime: said(),
  ImageUri: said(),
  Labels: labels(),
  Name: said(),
  ParentUserId: said(),
  Size: int64(),
  SourceId: said(),
  SourceType: said(),
  UserId: said(),
  WorkspaceId: said(),
})

/** Sizes are kept and told in bytes, and a number in JSON is exact to 2^53. */
const MOST_GB = 2 ** 23 - 1

/** The catalogue of images: AIWorkSpace, version 2021-02-04. */
export const imageOperations = {
  AddImage: workspace('AddImage', 'POST', '/api/v1/images', {
    summary: 'Enters an image that is in a registry into the catalogue.',
    body: fields(
      {
        Accessibility: accessibility(),
        Description: text(),
        ImageId: text({ max: 24, pattern: IMAGE_ID_PATTERN, rule: '"image-" and 18 letters or digits' }),
        Labels: labels(),
        Size: int64({ min: 0, max: MOST_GB }),
        SourceId: id(),
        SourceType: oneOf('Import', 'Build'),
        UserId: id(),
        WorkspaceId: newWorkspaceId(),
      },
      {
        ImageUri: text({ min: 1, max: IMAGE_URI_LIMIT }),
        Name: text({ max: 50, pattern: NAME_PATTERN, rule: NAME_RULE }),
      },
    ),
    response: fields({ ImageId: said() }),
    ram: olderName('AddImage'),
  }),
  GetImage: workspace('GetImage', 'GET', IMAGE, {
    summary: 'One image of the catalogue; its labels with Verbose=true.',
    query: fields({ Verbose: flag() }),
    response: fields(image()),
    ram: olderName('GetImage'),
  }),
  ListImages: workspace('ListImages', 'GET', '/api/v1/images', {
    summary: 'The images of the catalogue that the caller may see, filtered, page by page.',
    query: fields(
      {
        Accessibility: accessibility(),
        ImageUri: text({ max: IMAGE_URI_LIMIT }),
        Labels: text(),
        Name: text(),
        Order: order(),
        Query: text(),
        SortBy: oneOf('GmtCreateTime'),
        Verbose: flag(),
        WorkspaceId: workspaceId(),
      },
      { PageNumber: int32({ min: 1, default: 1 }), PageSize: int32({ min: 1, max: 100, default: 20 }) },
    ),
    response: fields({ Images: listed(fields({ ...image(), ImageId: said() })), TotalCount: int64() }),
    ram: olderName('ListImages'),
  }),
  RemoveImage: workspace('RemoveImage', 'DELETE', IMAGE, {
    summary: 'Removes an image from the catalogue. It stays in its registry.',
    ram: olderName('RemoveImage'),
  }),
  AddImageLabels: workspace('AddImageLabels', 'POST', `${IMAGE}/labels`, {
    summary: 'Adds labels to an image, and replaces those whose key it has.',
    body: fields({}, { Labels: labels() }),
    ram: olderName('AddImageLabels'),
  }),
  RemoveImageLabels: workspace('RemoveImageLabels', 'DELETE', `${IMAGE}/labels/{LabelKey}`, {
    summary: 'Removes labels from an image: one key, or several with commas between.',
    ram: olderName('RemoveImageLabels'),
  }),
  ListImageLabels: workspace('ListImageLabels', 'GET', '/api/v1/image/labels', {
    summary: 'The labels that images have.',
    query: fields({
      ImageId: id(),
      LabelFilter: text(),
      LabelKeys: text(),
      Region: text(),
      WorkspaceId: workspaceId(),
    }),
    response: fields({ Labels: listed(label()), TotalCount: int64() }),
    ram: olderName('ListImageLabels'),
  }),
  PublishImage: workspace('PublishImage', 'PUT', `${IMAGE}/publish`, {
    summary: 'Makes an image visible to everyone.',
    response: fields({ ImageId: said() }),
    ram: olderName('PublishImage'),
  }),
} as const
