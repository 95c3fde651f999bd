import { dsw } from './operation.ts'
import { decimal, fields, flag, int32, int64, listed, oneOf, said, text } from './schema.ts'
import { id, order, time } from './shapes.ts'

export const METRIC_TYPES = [
  'GpuCoreUsage',
  'GpuMemoryUsage',
  'CpuCoreUsage',
  'MemoryUsage',
  'NetworkInputRate',
  'NetworkOutputRate',
  'DiskReadRate',
  'DiskWriteRate',
] as const

/** dsw-api §1.5: as many events as GetInstanceEvents answers unless it is asked for another number. */
const EVENTS = 2000
const PROBLEM_CATEGORIES = ['InstanceStartFailed', 'InstanceTerminating', 'InstanceCreateFailed'] as const
/** CloudMonitor takes a time as text, and as milliseconds since 1970. */
const cloudMonitorTime = () =>
  text({
    max: 30,
    pattern: '^(?:\\d{1,15}|\\d{4}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,9})?Z?)$',
    rule: 'a time like 2026-01-31T08:00:00Z, or milliseconds since 1970',
  })

/** What happened to an instance, what it used, what went wrong. */
export const lifecycleOperations = {
  GetLifecycle: dsw('GetLifecycle', 'GET', '/api/v2/instances/{InstanceId}/lifecycle', {
    summary: 'The states that an instance went through, session by session.',
    query: fields({
      EndTime: time(),
      Limit: int32({ min: 1, max: 1000 }),
      Order: order(),
      SessionNumber: int32({ min: 0 }),
      StartTime: time(),
      Token: text({ secret: true }),
    }),
    response: fields({
      Lifecycle: listed(
        listed(
          fields({
            GmtCreateTime: said(),
            GmtEndTime: said(),
            LifecycleId: said(),
            ReasonCode: said(),
            ReasonMessage: said(),
            Status: said(),
          }),
        ),
      ),
      TotalCount: int32(),
    }),
    envelope: 'noStatus',
  }),
  GetInstanceEvents: dsw('GetInstanceEvents', 'GET', '/api/v2/instances/{InstanceId}/events', {
    summary: 'The events of an instance as lines of text.',
    query: fields(
      {
        EndTime: time(),
        EventLevel: text(),
        Reverse: flag(),
        StartTime: time(),
        Token: text({ secret: true }),
      },
      { MaxEventsNum: int32({ min: 1, max: 10000, default: EVENTS }), Offset: int32({ min: 0, default: 0 }) },
    ),
    response: fields({ Events: listed(said()), InstanceId: said(), TotalCount: int32() }),
  }),
  GetInstanceMetrics: dsw('GetInstanceMetrics', 'GET', '/api/v2/instance/{InstanceId}/metrics', {
    summary: 'One metric of an instance over time.',
    query: fields(
      {
        EndTime: time(),
        StartTime: time(),
        TimeStep: text({ max: 8, pattern: '^[1-9]\\d{0,4}m$', rule: 'a number of minutes like 15m' }),
      },
      { MetricType: oneOf(...METRIC_TYPES) },
    ),
    response: fields({
      InstanceId: said(),
      PodMetrics: listed(
        fields({ Metrics: listed(fields({ Time: int64(), Value: decimal('float') })), PodId: said() }),
      ),
    }),
  }),
  GetMetrics: dsw('GetMetrics', 'GET', '/api/v2/instance/{InstanceId}/cms/metrics', {
    summary: 'The same metrics in the form of the cloud monitor: Datapoints is one JSON text.',
    query: fields({
      Dimensions: text(),
      EndTime: cloudMonitorTime(),
      Length: text({
        max: 4,
        pattern: '^(?:[1-9]\\d{0,2}|1[0-3]\\d\\d|14[0-3]\\d|1440)$',
        rule: 'a number from 1 to 1440',
      }),
      MetricName: text(),
      Namespace: text(),
      NextToken: text(),
      Period: text({ max: 8, pattern: '^[1-9]\\d{0,6}$', rule: 'a number of seconds' }),
      StartTime: cloudMonitorTime(),
    }),
    response: fields({ Datapoints: said(), NextToken: said(), Period: said() }),
    envelope: 'noStatus',
  }),
  ListSystemLogs: dsw('ListSystemLogs', 'GET', '/api/v2/systemlogs', {
    summary: 'What the system logged about an instance.',
    query: fields({
      GmtEndTime: time(),
      GmtStartTime: time(),
      InstanceId: id(),
      LifecycleId: id(),
      LogLevel: oneOf('Error'),
      LogRepository: text(),
      Offset: text(),
      Order: order(),
      ProblemCategory: oneOf(...PROBLEM_CATEGORIES),
      SortBy: oneOf('GmtCreateTime', 'GmtModifiedTime'),
      SourceRequestId: id(),
    }),
    response: fields({
      Offset: said(),
      SystemLogs: listed(fields({ Content: said(), GmtCreateTime: said(), Level: said() })),
    }),
    envelope: 'none',
  }),
  CreateDiagnosis: dsw('CreateDiagnosis', 'POST', '/api/v2/diagnoses', {
    summary: 'Says why an instance failed, as far as it is known.',
    body: fields({ GmtFailureTime: time(), InstanceId: id() }, { ProblemCategory: text({ min: 1 }) }),
    response: fields({ ReasonCode: said(), ReasonMessage: said(), SolutionMessage: said() }),
    envelope: 'none',
    isChange: false,
  }),
  CreateSanityCheckTask: dsw('CreateSanityCheckTask', 'POST', '/api/v2/sanitychecks/{CheckType}', {
    summary: 'Starts a check of an instance.',
    body: fields({}, { InstanceId: text({ min: 1, max: 256 }) }),
    response: fields({ TaskId: said() }),
    envelope: 'requestId',
  }),
  GetSanityCheckTask: dsw('GetSanityCheckTask', 'GET', '/api/v2/sanitychecks/{CheckType}/{TaskId}', {
    summary: 'What a check of an instance found.',
    query: fields({ Verbose: flag() }),
    response: fields({
      CheckDetails: listed(fields({ Description: said(), Name: said(), Reason: said(), Result: said() })),
      CheckType: said(),
      EndTime: said(),
      InstanceId: said(),
      Issues: listed(said()),
      StartTime: said(),
      Status: said(),
      TaskId: said(),
    }),
    envelope: 'requestIdLower',
  }),
} as const
