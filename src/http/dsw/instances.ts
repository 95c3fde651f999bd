import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { newDraftOf, updateOf } from './instance-draft.ts'
import { writeInstance, writeListed } from './instance-wire.ts'
import { ALL_WORKSPACES, filterOf, pageOf, workspaceOf } from './list-filter.ts'
import { allInstancesArn, dswArn, instanceArn, instancePath, viewerIn, viewerInAll, viewerOf } from './scope.ts'
import { checkPush, type SnapshotRouteParts } from './snapshots.ts'
import { DEFAULT_WORKSPACE } from '#service/workspace.ts'

/** Instances one by one, and their list. */
export function instanceRoutes(parts: SnapshotRouteParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'CreateInstance',
      resource: (call) => allInstancesArn(parts, call, call.body.WorkspaceId),
      async handle(call) {
        const viewer = await viewerIn(parts, call, call.body.WorkspaceId || DEFAULT_WORKSPACE)
        return { InstanceId: await instances.create(newDraftOf(call.body), viewer) }
      },
    }),
    route({
      action: 'GetInstance',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId, call.query.Token),
      async handle(call) {
        const { InstanceId: id } = call.params
        return writeInstance(await instances.get(id, await viewerOf(parts, call, id), call.query.Token))
      },
    }),
    route({
      action: 'ListInstances',
      resource: (call) => dswArn(parts, call.caller, instancePath(workspaceOf(call.query), '*')),
      async handle(call) {
        const page = pageOf(call.query)
        const filter = filterOf(call.query)
        if (!filter) return { Instances: [], TotalCount: 0 }
        const workspace = workspaceOf(call.query)
        const isAll = workspace === ALL_WORKSPACES
        const { viewer, ...narrower } = isAll
          ? await viewerInAll(parts, call)
          : { viewer: await viewerIn(parts, call, workspace) }
        const { instances: found, total } = await instances.list({ ...filter, ...narrower }, page, viewer)
        return { Instances: found.map(writeListed), TotalCount: total }
      },
    }),
    ...changeRoutes(parts),
  ]
}

function changeRoutes(parts: SnapshotRouteParts): readonly AnyRoute[] {
  const { instances, snapshots } = parts
  return [
    route({
      action: 'UpdateInstance',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        await instances.update(id, updateOf(call.body), await viewerOf(parts, call, id))
        return { InstanceId: id }
      },
    }),
    route({
      action: 'StartInstance',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        await instances.startOne(id, await viewerOf(parts, call, id))
        return { InstanceId: id }
      },
    }),
    route({
      action: 'StopInstance',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        const saveTo =
          call.query.SaveImage === true ? await snapshots.stopRepository(id, call.caller.ownerId) : undefined
        if (saveTo !== undefined) await checkPush(parts, call, saveTo)
        await instances.stopOne(id, await viewerOf(parts, call, id), saveTo)
        return { InstanceId: id }
      },
    }),
    route({
      action: 'DeleteInstance',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        await instances.deleteOne(id, await viewerOf(parts, call, id))
        return { InstanceId: id }
      },
    }),
  ]
}
