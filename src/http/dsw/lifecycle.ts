import type { QueryOf } from '#contract/operations.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import { eventsOf, lifecycleOf } from '#service/instances/history.ts'
import { metricsOf } from '#service/instances/metrics.ts'
import type { LifecycleRecord } from '#store/instance-history.ts'
import { instanceArn, timeOf, viewerOf, type DswParts } from './scope.ts'

const MINUTE_MS = 60_000
const SESSIONS = 10

/** What happened to an instance, and what it used. */
export function lifecycleRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'GetLifecycle',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId, call.query.Token),
      async handle(call) {
        const { InstanceId: id } = call.params
        const { Token: viewToken, Order, SessionNumber: offset = 0, Limit: limit = SESSIONS } = call.query
        const viewer = await viewerOf(parts, call, id)
        const order = Order === 'ASC' ? 'asc' : 'desc'
        const query = { ...periodOf(call.query), viewer, viewToken, order, offset, limit } as const
        const { sessions, total } = await lifecycleOf(instances.parts, id, query)
        return { Lifecycle: sessions.map((states) => states.map(writeState)), TotalCount: total }
      },
    }),
    route({
      action: 'GetInstanceEvents',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId, call.query.Token),
      async handle(call) {
        const { InstanceId: id } = call.params
        const { Token: viewToken, Offset: offset, MaxEventsNum: limit, Reverse } = call.query
        const viewer = await viewerOf(parts, call, id)
        const order = Reverse === true ? 'desc' : 'asc'
        const query = { ...periodOf(call.query), viewer, viewToken, order, offset, limit } as const
        const { events, total } = await eventsOf(instances.parts, id, query)
        const lines = events.map(({ timeMs, level, text }) => `${wireTime(timeMs)} ${level} ${text}`)
        return { InstanceId: id, Events: lines, TotalCount: total }
      },
    }),
    route({
      action: 'GetInstanceMetrics',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        const { MetricType: type, TimeStep } = call.query
        const stepMs = TimeStep === undefined ? undefined : Number(TimeStep.replace('m', '')) * MINUTE_MS
        const request = { ...periodOf(call.query), type, stepMs }
        const points = await metricsOf(instances.parts, id, { request, viewer: await viewerOf(parts, call, id) })
        const metrics = points.map(({ timeMs, value }) => ({ Time: Math.floor(timeMs / 1000), Value: value }))
        return { InstanceId: id, PodMetrics: metrics.length === 0 ? [] : [{ PodId: id, Metrics: metrics }] }
      },
    }),
  ]
}

/** From StartTime to all of the second EndTime. */
function periodOf({ StartTime, EndTime }: Pick<QueryOf<'GetLifecycle'>, 'StartTime' | 'EndTime'>) {
  const fromMs = timeOf(StartTime)
  const toMs = timeOf(EndTime)
  return { ...(fromMs !== undefined && { fromMs }), ...(toMs !== undefined && { toMs: toMs + 999 }) }
}

const writeState = (entry: LifecycleRecord) => ({
  GmtCreateTime: wireTime(entry.startMs),
  ...(entry.endMs !== null && { GmtEndTime: wireTime(entry.endMs) }),
  LifecycleId: String(entry.id),
  ReasonCode: entry.reasonCode,
  ReasonMessage: entry.reasonMessage,
  Status: entry.status,
})
