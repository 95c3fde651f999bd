import { dsw } from './operation.ts'
import { fields, flag, int64, list, listed, oneOf, said, text } from './schema.ts'
import { absolutePath, id, labels, order, page64 } from './shapes.ts'

/** The four documented states; there is no other, dsw-api §1.2. */
export const SNAPSHOT_STATUSES = ['Committing', 'Pushing', 'Saved', 'Failed'] as const
/** dsw-api §9 row 7. */
export const SNAPSHOT_NAME_PATTERN = '^[a-z0-9][a-z0-9-]{0,49}$'
const SNAPSHOT_NAME_RULE = '1 to 50 lower-case letters, digits and hyphens, and begin with a letter or a digit'
/** Host, repository and tag at their longest. */
const IMAGE_URL_LIMIT = 1024

const snapshot = {
  ExcludePaths: listed(said()),
  GmtCreateTime: said(),
  GmtModifiedTime: said(),
  ImageId: said(),
  ImageUrl: said(),
  InstanceId: said(),
  Labels: labels(),
  ReasonCode: said(),
  ReasonMessage: said(),
  SnapshotId: said(),
  SnapshotName: said(),
  Status: oneOf(...SNAPSHOT_STATUSES),
}

/** Saving instances as images: what the project exists for. */
export const snapshotOperations = {
  CreateInstanceSnapshot: dsw('CreateInstanceSnapshot', 'POST', '/api/v2/instances/{InstanceId}/snapshots', {
    summary:
      'Saves a running instance as an image in a registry. Answers at once; the snapshot is followed by its status.',
    body: fields(
      {
        ExcludePaths: list(absolutePath()),
        Labels: labels(),
        Overwrite: flag(),
        SnapshotDescription: text(),
      },
      {
        ImageUrl: text({ min: 1, max: IMAGE_URL_LIMIT }),
        SnapshotName: text({ max: 50, pattern: SNAPSHOT_NAME_PATTERN, rule: SNAPSHOT_NAME_RULE }),
      },
    ),
    response: fields({ InstanceId: id(), SnapshotId: id() }),
  }),
  GetInstanceSnapshot: dsw('GetInstanceSnapshot', 'GET', '/api/v2/instances/{InstanceId}/snapshots/{SnapshotId}', {
    summary: 'One snapshot and its status.',
    response: fields(snapshot),
  }),
  ListInstanceSnapshot: dsw('ListInstanceSnapshot', 'GET', '/api/v2/instances/{InstanceId}/snapshots', {
    summary: 'The snapshots of an instance, the newest first.',
    query: fields({ Order: order(), SortBy: oneOf('gmtCreate') }, page64()),
    response: fields({ Snapshots: listed(fields(snapshot)), TotalCount: int64() }),
  }),
  DeleteInstanceSnapshot: dsw(
    'DeleteInstanceSnapshot',
    'DELETE',
    '/api/v2/instances/{InstanceId}/snapshots/{SnapshotId}',
    {
      summary:
        'Removes the record of a snapshot, and cancels it if it is not finished. The image stays in its registry, unless DeleteImage=true; it refuses to delete one that an instance was made from, or that the next snapshot adds to.',
      query: fields({ DeleteImage: flag() }),
      response: fields({ InstanceId: id(), SnapshotId: id() }),
    },
  ),
} as const
