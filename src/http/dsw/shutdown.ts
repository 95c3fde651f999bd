import { AppError } from '#base/errors.ts'
import type { AnyRoute, Call } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import {
  createCuller,
  createTimer,
  deleteCuller,
  deleteTimer,
  getCuller,
  getTimer,
  shutdownPolicies,
  type ShutdownPolicy,
} from '#service/instances/shutdown.ts'
import { writeCuller, writeTimer } from './instance-wire.ts'
import { firstArn, instanceArn, viewerOf, type DswParts } from './scope.ts'

/** What the official console offers first. */
const CULLER_DEFAULTS = { cpuPct: 5, gpuPct: 5, maxIdleMinutes: 60 } as const

/** What stops an instance by itself. */
export function shutdownRoutes(parts: DswParts): readonly AnyRoute[] {
  return [...cullerRoutes(parts), ...timerRoutes(parts), policiesRoute(parts)]
}

function cullerRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'CreateIdleInstanceCuller',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: instanceId } = call.params
        const { CpuPercentThreshold, GpuPercentThreshold, MaxIdleTimeInMinutes } = call.body
        const draft = {
          instanceId,
          cpuPct: CpuPercentThreshold ?? CULLER_DEFAULTS.cpuPct,
          gpuPct: GpuPercentThreshold ?? CULLER_DEFAULTS.gpuPct,
          maxIdleMinutes: MaxIdleTimeInMinutes ?? CULLER_DEFAULTS.maxIdleMinutes,
        }
        await createCuller(instances.parts, draft, await viewerOf(parts, call, instanceId))
        return { InstanceId: instanceId }
      },
    }),
    route({
      action: 'GetIdleInstanceCuller',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        return writeCuller(await getCuller(instances.parts, id, await viewerOf(parts, call, id)))
      },
    }),
    route({
      action: 'DeleteIdleInstanceCuller',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        await deleteCuller(instances.parts, id, await viewerOf(parts, call, id))
        return { InstanceId: id }
      },
    }),
  ]
}

function timerRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'CreateInstanceShutdownTimer',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: instanceId } = call.params
        const { DueTime, RemainingTimeInMs: remainingMs } = call.body
        const dueMs = DueTime === undefined ? undefined : Date.parse(DueTime)
        await createTimer(instances.parts, { instanceId, dueMs, remainingMs }, await viewerOf(parts, call, instanceId))
        return { InstanceId: instanceId }
      },
    }),
    route({
      action: 'GetInstanceShutdownTimer',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        return writeTimer(await getTimer(instances.parts, id, await viewerOf(parts, call, id)))
      },
    }),
    route({
      action: 'DeleteInstanceShutdownTimer',
      resource: (call) => instanceArn(parts, call, call.params.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.params
        await deleteTimer(instances.parts, id, await viewerOf(parts, call, id))
        return { InstanceId: id }
      },
    }),
  ]
}

function policiesRoute(parts: DswParts): AnyRoute {
  return route({
    action: 'QueryAutoShutdownPolicies',
    resource: (call) => firstArn(parts, call, askedFor(call)),
    async handle(call) {
      const ids = askedFor(call)
      if (ids.length === 0)
        throw new AppError('parameter_invalid', 'InstanceIds is empty: name at least one instance.', {
          details: { field: 'InstanceIds' },
        })
      const policies = await shutdownPolicies(parts.instances.parts, await readableOf(parts, call, ids))
      return { AutoShutdownPolicies: policies.map(writePolicy) }
    },
  })
}

type PoliciesCall = Call<'QueryAutoShutdownPolicies'>

const askedFor = ({ body, query }: PoliciesCall) => body.InstanceIds ?? (query.InstanceId ? [query.InstanceId] : [])

/** Those that the caller may see and ask about; the others are left out. */
async function readableOf(parts: DswParts, call: PoliciesCall, ids: readonly string[]): Promise<readonly string[]> {
  const readable = []
  for (const id of new Set(ids)) {
    const arn = await instanceArn(parts, call, id).catch(() => undefined)
    if (arn !== undefined && call.may(call.operation.ram, arn)) readable.push(id)
  }
  return readable
}

function writePolicy({ instanceId, culler, timer }: ShutdownPolicy) {
  const conditions = [
    ...(culler ? [`IdleDuration > ${culler.maxIdleMinutes} min AND CpuUtilization <= ${culler.cpuPct}%`] : []),
    ...(timer ? [`Time >= ${wireTime(timer.dueMs)}`] : []),
  ].map((Expression) => ({ Context: {}, Expression, SourceType: 'Instance' }))
  return {
    InstanceId: instanceId,
    Conditions: conditions,
    Context: {},
    Expression: conditions[0]?.Expression ?? '',
    SourceType: 'Instance',
  }
}
