import { snapshotArn, type SnapshotRouteParts } from '#http/dsw/snapshots.ts'
import type { AnyRoute, ServerSentEvent } from '#http/route.ts'
import { route } from '#http/route.ts'
import type { Snapshots } from '#service/snapshots/snapshots.ts'
import { writeDetails, writeEvent, writePreview } from './snapshot-wire.ts'

/** What the documented API does not say of a snapshot: how far it is, what came of it, and how to end it. */
export function snapshotExtensionRoutes(parts: SnapshotRouteParts): readonly AnyRoute[] {
  const { snapshots } = parts
  return [
    route({
      action: 'PreviewInstanceSnapshot',
      resource: (call) => snapshotArn(parts, call),
      async handle({ params, query, signal }) {
        const { InstanceId } = params
        return writePreview(InstanceId, await snapshots.preview(InstanceId, query.ExcludePaths ?? [], signal))
      },
    }),
    route({
      action: 'GetSnapshotDetails',
      resource: (call) => snapshotArn(parts, call),
      handle: async ({ params }) => writeDetails(await snapshots.details(params.InstanceId, params.SnapshotId)),
    }),
    route({
      action: 'WatchSnapshot',
      async resource(call) {
        const arn = await snapshotArn(parts, call)
        await snapshots.get(call.params.InstanceId, call.params.SnapshotId) // once the events have begun, it is no answer
        return arn
      },
      handle: ({ params, signal }) => events(snapshots, params, signal),
    }),
    route({
      action: 'CancelInstanceSnapshot',
      resource: (call) => snapshotArn(parts, call),
      async handle({ params }) {
        const { InstanceId, SnapshotId } = params
        await snapshots.cancel(InstanceId, SnapshotId)
        return { InstanceId, SnapshotId }
      },
    }),
  ]
}

interface SnapshotParams {
  readonly InstanceId: string
  readonly SnapshotId: string
}

async function* events(
  snapshots: Snapshots,
  { InstanceId, SnapshotId }: SnapshotParams,
  signal: AbortSignal,
): AsyncIterable<ServerSentEvent> {
  for await (const event of snapshots.watch(InstanceId, SnapshotId, signal))
    yield { event: event.snapshot.isUnfinished ? 'progress' : 'end', data: writeEvent(event) }
}
