import type { Caller } from '#access/caller.ts'
import type { BodyOf } from '#contract/operations.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import type { AddImage, Images, ImageViewer, ImageWithLabels } from '#service/images/images.ts'
import { parseKeys, parseLabelFilter } from '#service/images/labels.ts'
import type { Label } from '#store/snapshot-record.ts'

const viewerOf = ({ ownerId, kind }: Caller): ImageViewer => ({ userId: ownerId, seesAll: kind === 'Account' })
/** dsw-api §2: milliseconds, where DSW has whole seconds. */
const preciseTime = (ms: number) => new Date(ms).toISOString()
const readLabels = (labels: BodyOf<'AddImageLabels'>['Labels'] | undefined): Label[] =>
  (labels ?? []).map(({ Key = '', Value = '' }) => ({ key: Key, value: Value }))
const writeLabels = (labels: readonly Label[]) => labels.map(({ key, value }) => ({ Key: key, Value: value }))

/** dsw-api §2: GB on input, bytes on output. */
const GB = 1024 ** 3

/** AIWorkSpace 2021-02-04: the catalogue of images. */
export function imageRoutes(images: Images): readonly AnyRoute[] {
  return [
    route({
      action: 'AddImage',
      async handle({ body, caller }) {
        return { ImageId: await images.add(readImage(body), viewerOf(caller)) }
      },
    }),
    route({
      action: 'GetImage',
      async handle({ params, query, caller }) {
        return writeImage(await images.get(params.ImageId, viewerOf(caller)), caller, query.Verbose === true)
      },
    }),
    route({
      action: 'ListImages',
      async handle({ query, caller }) {
        const { Accessibility: accessibility, ImageUri: uri, Name: name, Query: text, WorkspaceId: workspaceId } = query
        const { images: found, total } = await images.list(
          {
            ...(accessibility && { accessibility }),
            ...(uri && { uri }),
            ...(name && { name }),
            ...(text && { query: text }),
            ...(workspaceId && { workspaceId }),
            labels: parseLabelFilter('Labels', query.Labels),
            descending: query.Order === 'DESC',
            offset: (query.PageNumber - 1) * query.PageSize,
            limit: query.PageSize,
          },
          viewerOf(caller),
        )
        const write = (one: ImageWithLabels) => ({
          ImageId: one.image.imageId,
          ...writeImage(one, caller, query.Verbose === true),
        })
        return { Images: found.map(write), TotalCount: total }
      },
    }),
    route({
      action: 'RemoveImage',
      async handle({ params, caller }) {
        await images.remove(params.ImageId, viewerOf(caller))
        return {}
      },
    }),
    route({
      action: 'PublishImage',
      async handle({ params, caller }) {
        await images.publish(params.ImageId, viewerOf(caller))
        return { ImageId: params.ImageId }
      },
    }),
    ...labelRoutes(images),
  ]
}

function labelRoutes(images: Images): readonly AnyRoute[] {
  return [
    route({
      action: 'AddImageLabels',
      async handle({ params, body, caller }) {
        await images.addLabels(params.ImageId, readLabels(body.Labels), viewerOf(caller))
        return {}
      },
    }),
    route({
      action: 'RemoveImageLabels',
      async handle({ params, caller }) {
        await images.removeLabels(params.ImageId, parseKeys(params.LabelKey) ?? [], viewerOf(caller))
        return {}
      },
    }),
    route({
      action: 'ListImageLabels',
      async handle({ query, caller }) {
        const { ImageId: imageId, WorkspaceId: workspaceId } = query
        const keys = parseKeys(query.LabelKeys)
        const labels = await images.listLabels(
          {
            ...(imageId && { imageId }),
            ...(workspaceId && { workspaceId }),
            ...(keys && { keys }),
            labels: parseLabelFilter('LabelFilter', query.LabelFilter),
          },
          viewerOf(caller),
        )
        return { Labels: writeLabels(labels), TotalCount: labels.length }
      },
    }),
  ]
}

function readImage(body: BodyOf<'AddImage'>): AddImage {
  return {
    imageId: body.ImageId,
    workspaceId: body.WorkspaceId || undefined,
    userId: body.UserId || undefined,
    name: body.Name,
    description: body.Description ?? '',
    uri: body.ImageUri,
    accessibility: body.Accessibility ?? 'PRIVATE',
    sizeBytes: (body.Size ?? 0) * GB,
    sourceType: body.SourceType ?? 'Import',
    sourceId: body.SourceId ?? '',
    labels: readLabels(body.Labels),
  }
}

function writeImage({ image, labels }: ImageWithLabels, caller: Caller, isVerbose: boolean) {
  return {
    Accessibility: image.accessibility,
    Description: image.description,
    GmtCreateTime: preciseTime(image.createdMs),
    GmtModifiedTime: preciseTime(image.modifiedMs),
    ImageUri: image.uri,
    ...(isVerbose && { Labels: writeLabels(labels) }),
    Name: image.name,
    ParentUserId: caller.accountId,
    Size: image.sizeBytes,
    SourceId: image.sourceId,
    SourceType: image.sourceType,
    UserId: image.userId,
    WorkspaceId: image.workspaceId,
  }
}
