import { AppError } from '#base/errors.ts'
import type { AnyRoute, Call } from '#http/route.ts'
import { route } from '#http/route.ts'
import { putLabels, removeLabels } from '#service/instances/labels.ts'
import { forEachInstance, type BatchOutcome } from '#service/instances/power.ts'
import type { Viewer } from '#service/instances/parts.ts'
import { pairsOf } from './instance-draft.ts'
import { firstArn, instanceArn, viewerOf, type DswParts } from './scope.ts'

type BatchCall = Call<'StopInstances'> | Call<'DeleteInstances'>

/** Several instances in one call, and the labels of one. */
export function instanceBatchRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'StopInstances',
      resource: (call) => firstArn(parts, call, call.body.InstanceIds),
      handle: async (call) => writeOutcome(await batch(parts, call, (id, viewer) => instances.stopOne(id, viewer))),
    }),
    route({
      action: 'DeleteInstances',
      resource: (call) => firstArn(parts, call, call.body.InstanceIds),
      handle: async (call) => writeOutcome(await batch(parts, call, (id, viewer) => instances.deleteOne(id, viewer))),
    }),
    ...labelRoutes(parts),
  ]
}

type Work = (instanceId: string, viewer: Viewer) => Promise<void>

async function batch(parts: DswParts, call: BatchCall, work: Work): Promise<BatchOutcome> {
  const ids = call.body.InstanceIds ?? []
  if (ids.length === 0)
    throw new AppError('parameter_invalid', 'InstanceIds is empty: name at least one instance.', {
      details: { field: 'InstanceIds' },
    })
  return forEachInstance(ids, async (id) => {
    const arn = await instanceArn(parts, call, id)
    call.check(call.operation.ram, arn) // its names are those of the batch and of the single operation
    await work(id, await viewerOf(parts, call, id))
  })
}

/**
 * The instances that were changed. When none was, the first failure is the answer; else the answer is one that did not
 * succeed, with status 200 as documented, and tells each failure under its id.
 */
function writeOutcome({ done, failures }: BatchOutcome) {
  const [first] = failures
  const InstanceIds = [...done]
  if (!first) return { InstanceIds }
  if (done.length === 0) throw first.error
  const told = failures.map(({ instanceId, error }) => [instanceId, error.message] as const)
  const isDenied = failures.every(({ error }) => error.code === 'not_permitted')
  return {
    InstanceIds,
    Success: false,
    Code: isDenied ? 'PermissionError' : 'ValidationError',
    Message: `${failures.length} of ${done.length + failures.length} instances stay as they are. ${first.instanceId}: ${first.error.message}`,
    AccessDeniedDetail: Object.fromEntries(told),
  }
}

function labelRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'UpdateInstanceLabels',
      resource: async (call) => `${await instanceArn(parts, call, call.params.InstanceId)}/labels`,
      async handle(call) {
        const { InstanceId: id } = call.params
        const viewer = await viewerOf(parts, call, id)
        await putLabels(instances.parts, id, { labels: pairsOf(call.body.Labels), viewer })
        return {}
      },
    }),
    route({
      action: 'DeleteInstanceLabels',
      resource: async (call) => `${await instanceArn(parts, call, call.params.InstanceId)}/labels`,
      async handle(call) {
        const { InstanceId: id } = call.params
        const keys = call.query.LabelKeys.split(',').map((key) => key.trim())
        await removeLabels(instances.parts, id, { keys, viewer: await viewerOf(parts, call, id) })
        return {}
      },
    }),
  ]
}
