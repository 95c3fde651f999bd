import { toAppError } from '#base/errors.ts'
import { OPERATIONS, type Action, type BodyOf, type QueryOf } from '#contract/operations.ts'
import type { AnyRoute, Call } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import { repositoryOf } from '#service/snapshots/request.ts'
import type { Snapshots } from '#service/snapshots/snapshots.ts'
import type { Label, SnapshotRecord } from '#store/snapshot-record.ts'
import { dswArn, instanceArn, instancePath, viewerIn, type DswParts } from './scope.ts'

export interface SnapshotRouteParts extends DswParts {
  readonly snapshots: Snapshots
}

/** The condition key that says where a user may push (design.md §7). */
const REPOSITORY_KEY = 'tintype:Repository'
const SAVE = OPERATIONS.CreateInstanceSnapshot.ram

type Asking = Parameters<typeof instanceArn>[1]
interface SnapshotCall extends Asking {
  readonly params: { readonly InstanceId: string; readonly SnapshotId?: string }
}

/**
 * What RAM decides on (dsw-api §9 row 18): `…/dswinstance/ID/snapshot/SID`, or `*` where there is no single one. A record
 * outlives its instance: then its owner finds it still. Throws `instance_not_found` when the caller may not even know.
 */
export async function snapshotArn(parts: SnapshotRouteParts, call: SnapshotCall): Promise<string> {
  const { InstanceId, SnapshotId } = call.params
  try {
    return `${await instanceArn(parts, call, InstanceId)}/snapshot/${SnapshotId ?? '*'}`
  } catch (error) {
    if (SnapshotId === undefined || toAppError(error).code !== 'instance_not_found') throw error
    const arn = await orphanArn(parts, call, { InstanceId, SnapshotId })
    if (arn === undefined) throw error
    return arn
  }
}

async function orphanArn(
  parts: SnapshotRouteParts,
  call: Asking,
  { InstanceId, SnapshotId }: { readonly InstanceId: string; readonly SnapshotId: string },
): Promise<string | undefined> {
  const record = await parts.snapshots.get(InstanceId, SnapshotId).catch(() => undefined)
  if (record?.instanceGone !== true) return undefined
  const { userId, seesAll } = await viewerIn(parts, call, record.workspaceId)
  if (!seesAll && record.userId !== userId) return undefined
  return dswArn(parts, call.caller, `${instancePath(record.workspaceId, InstanceId)}/snapshot/${SnapshotId}`)
}

/**
 * Who may not save an instance to a repository by CreateInstanceSnapshot may not write there by another operation.
 * Throws `not_permitted`, and `instance_not_found` as `snapshotArn`.
 */
export async function checkPush(
  parts: SnapshotRouteParts,
  call: SnapshotCall & Pick<Call<Action>, 'check'>,
  imageUrl: string,
): Promise<void> {
  call.check(SAVE, await snapshotArn(parts, call), repositoryContext(imageUrl))
}

/** What policies may ask of a push. Throws `parameter_invalid`. */
export const repositoryContext = (imageUrl: string) => ({ [REPOSITORY_KEY]: [repositoryOf(imageUrl)] })

/** PAI-DSW 2022-01-01: saving instances as images. */
export function snapshotRoutes(parts: SnapshotRouteParts): readonly AnyRoute[] {
  const { snapshots } = parts
  return [
    route({
      action: 'CreateInstanceSnapshot',
      resource: (call) => snapshotArn(parts, call),
      context: ({ body }) => repositoryContext(body.ImageUrl),
      async handle({ params, body, caller }) {
        const { InstanceId } = params
        const { snapshotId } = await snapshots.create({
          ...readRequest(body),
          instanceId: InstanceId,
          userId: caller.ownerId,
          origin: 'api',
        })
        return { InstanceId, SnapshotId: snapshotId }
      },
    }),
    route({
      action: 'GetInstanceSnapshot',
      resource: (call) => snapshotArn(parts, call),
      handle: async ({ params }) => writeSnapshot(await snapshots.get(params.InstanceId, params.SnapshotId)),
    }),
    route({
      action: 'ListInstanceSnapshot',
      resource: (call) => snapshotArn(parts, call),
      async handle({ params, query }) {
        const { records, total } = await snapshots.list(params.InstanceId, readPage(query))
        return { Snapshots: records.map(writeSnapshot), TotalCount: total }
      },
    }),
    route({
      action: 'DeleteInstanceSnapshot',
      resource: (call) => snapshotArn(parts, call),
      async handle(call) {
        const { InstanceId, SnapshotId } = call.params
        const deleteImage = call.query.DeleteImage === true
        // The server's credentials take the tag away: that is a write, too.
        if (deleteImage) await checkPush(parts, call, (await snapshots.get(InstanceId, SnapshotId)).imageUrl)
        await snapshots.delete(InstanceId, SnapshotId, { deleteImage })
        return { InstanceId, SnapshotId }
      },
    }),
  ]
}

function readRequest(body: BodyOf<'CreateInstanceSnapshot'>) {
  return {
    name: body.SnapshotName,
    imageUrl: body.ImageUrl,
    description: body.SnapshotDescription ?? '',
    labels: (body.Labels ?? []).map(({ Key = '', Value = '' }): Label => ({ key: Key, value: Value })),
    excludePaths: body.ExcludePaths ?? [],
    overwrite: body.Overwrite ?? false,
  }
}

/** Newest first unless the oldest are asked for (dsw-api §9 row 14). */
function readPage({ Order, PageNumber, PageSize }: QueryOf<'ListInstanceSnapshot'>) {
  return { descending: Order !== 'ASC', offset: (PageNumber - 1) * PageSize, limit: PageSize }
}

/** A snapshot as GetInstanceSnapshot shows it. */
export function writeSnapshot(snapshot: SnapshotRecord) {
  return {
    ExcludePaths: [...snapshot.excludePaths],
    GmtCreateTime: wireTime(snapshot.createdMs),
    GmtModifiedTime: wireTime(snapshot.modifiedMs),
    ImageId: snapshot.imageId,
    ImageUrl: snapshot.imageUrl,
    InstanceId: snapshot.instanceId,
    Labels: snapshot.labels.map(({ key, value }) => ({ Key: key, Value: value })),
    ReasonCode: snapshot.reasonCode,
    ReasonMessage: snapshot.reasonMessage,
    SnapshotId: snapshot.snapshotId,
    SnapshotName: snapshot.name,
    Status: snapshot.status,
  }
}
