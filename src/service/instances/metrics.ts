import type { MetricName, MetricPoint } from '#store/instance-metrics.ts'
import { findVisible } from './find.ts'
import { invalid } from './invalid.ts'
import type { InstanceParts, Viewer } from './parts.ts'

/** In percent of what the instance may use; rates in bytes a second. GPUs are not measured: they have no points. */
export const METRICS = {
  GpuCoreUsage: 'gpuPct',
  GpuMemoryUsage: 'gpuMemoryPct',
  CpuCoreUsage: 'cpuPct',
  MemoryUsage: 'memoryPct',
  NetworkInputRate: 'netIn',
  NetworkOutputRate: 'netOut',
  DiskReadRate: 'diskRead',
  DiskWriteRate: 'diskWrite',
} as const satisfies Readonly<Record<string, MetricName>>

export type MetricType = keyof typeof METRICS

export interface MetricRequest {
  readonly type: MetricType
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
  readonly stepMs?: number | undefined
  readonly limit?: number | undefined
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
const POINTS = 7 * 1440 // as long as readings are kept, minute by minute

/** The points of one metric: of the last hour and minute by minute, unless asked otherwise. Oldest first. */
export async function metricsOf(
  { store, clock }: Pick<InstanceParts, 'store' | 'clock'>,
  instanceId: string,
  { request, viewer }: { readonly request: MetricRequest; readonly viewer: Viewer },
): Promise<readonly MetricPoint[]> {
  await findVisible(store, instanceId, viewer)
  const toMs = request.toMs ?? clock.wallMs()
  const fromMs = request.fromMs ?? toMs - HOUR_MS
  if (fromMs > toMs) throw invalid('StartTime', 'must not be after EndTime')
  const { stepMs = MINUTE_MS, limit = POINTS } = request
  return store.metrics.series(instanceId, { metric: METRICS[request.type], fromMs, toMs, stepMs, limit })
}
