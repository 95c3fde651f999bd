import { AppError } from '#base/errors.ts'
import type { QueryOf } from '#contract/operations.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { METRICS, metricsOf, type MetricType } from '#service/instances/metrics.ts'
import { instanceArn, viewerOf, type DswParts } from './scope.ts'

type Query = QueryOf<'GetMetrics'>

const NAMESPACE = 'acs_pai_dsw'
const PERIOD_SECONDS = '60'
const POINTS = 1440 // dsw-api §1.5: Length is at most this

/** The metrics once more, in the words of CloudMonitor: the names of the metrics are those of GetInstanceMetrics. */
export function cloudMonitorRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'GetMetrics',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        const { query } = call
        const period = query.Period || PERIOD_SECONDS
        const limit = Number(query.Length || POINTS)
        const fromMs = parseNextToken(query.NextToken) ?? timeOf(query.StartTime)
        const toMs = timeOf(query.EndTime)
        // One more than a page: whether there is a next one.
        const request = { type: metricOf(query), fromMs, toMs, stepMs: Number(period) * 1000, limit: limit + 1 }
        const points = await metricsOf(instances.parts, id, { request, viewer: await viewerOf(parts, call, id) })
        const next = points[limit]
        const datapoints = points
          .slice(0, limit)
          .map(({ timeMs, value }) => ({ timestamp: timeMs, instanceId: id, Average: value }))
        return {
          Datapoints: JSON.stringify(datapoints),
          Period: period,
          ...(next && { NextToken: String(next.timeMs) }),
        }
      },
    }),
  ]
}

function metricOf({ MetricName, Namespace }: Query): MetricType {
  if (Namespace !== undefined && Namespace !== '' && Namespace !== NAMESPACE) throw invalid('Namespace', NAMESPACE)
  const wanted = (MetricName ?? '').toLowerCase()
  const found = METRIC_TYPES.find((type) => type.toLowerCase() === wanted)
  if (!found) throw invalid('MetricName', METRIC_TYPES.join(', '))
  return found
}

const METRIC_TYPES = parseTypes(Object.keys(METRICS))
function parseTypes(names: readonly string[]): readonly MetricType[] {
  return names as readonly MetricType[]
}

const invalid = (field: string, allowed: string) =>
  new AppError('parameter_invalid', `${field} must be one of ${allowed}.`, { details: { field } })

/** Milliseconds since 1970, or a time in UTC with or without its letters. */
function timeOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^\d+$/.test(text)) return Number(text)
  const ms = Date.parse(`${text.replace(' ', 'T').replace(/Z$/, '')}Z`)
  if (Number.isNaN(ms)) throw invalid('StartTime', 'the times that there are, like 2026-01-31T08:00:00Z')
  return ms
}

function parseNextToken(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new AppError('parameter_invalid', 'NextToken must be one that an earlier answer gave.', {
    details: { field: 'NextToken' },
  })
}
