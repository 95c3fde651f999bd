import type { InstanceRecord } from '#store/instance-record.ts'
import type { InstanceOwner } from '#store/instances.ts'
import type { Store } from '#store/open-store.ts'
import { notFound } from './change.ts'
import type { Viewer } from './parts.ts'

/** Whether the viewer may know of this instance (dsw-api §9 row 17). */
export function canSee({ accessibility, userId }: InstanceOwner, viewer: Viewer): boolean {
  return viewer.seesAll || accessibility === 'PUBLIC' || userId === viewer.userId
}

/** Throws `instance_not_found` when there is none, and all the same when the viewer may not know of it. */
export async function findVisible(
  store: Pick<Store, 'instances'>,
  instanceId: string,
  viewer: Viewer,
): Promise<InstanceRecord> {
  const record = await store.instances.find(instanceId)
  if (!record || !canSee(record, viewer)) throw notFound(instanceId)
  return record
}
