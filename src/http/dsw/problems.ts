import { AppError } from '#base/errors.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import { diagnose, systemLogsOf } from '#service/instances/history.ts'
import { createSanityCheck, findSanityCheck, getSanityCheck, type SanityCheck } from '#service/instances/sanity.ts'
import { instanceArn, timeOf, viewerOf, type DswParts } from './scope.ts'

/** Why an instance does not do what it should: its system log, diagnoses, checks. */
export function problemRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'ListSystemLogs',
      resource: (call) => instanceArn(parts, call, required(call.query.InstanceId)),
      async handle(call) {
        const id = required(call.query.InstanceId)
        const { GmtStartTime, GmtEndTime, Order, LogLevel } = call.query
        const fromMs = timeOf(GmtStartTime)
        const toMs = timeOf(GmtEndTime)
        const logs = await systemLogsOf(instances.parts, id, {
          viewer: await viewerOf(parts, call, id),
          order: Order === 'DESC' ? 'desc' : 'asc',
          errorsOnly: LogLevel === 'Error',
          ...(fromMs !== undefined && { fromMs }),
          ...(toMs !== undefined && { toMs: toMs + 999 }), // all of that second
        })
        const lines = logs.map(({ timeMs, level, text }) => ({
          Content: text,
          ...(timeMs !== undefined && { GmtCreateTime: wireTime(timeMs) }),
          Level: level,
        }))
        return { SystemLogs: lines }
      },
    }),
    route({
      action: 'CreateDiagnosis',
      resource: (call) => instanceArn(parts, call, required(call.body.InstanceId)),
      async handle(call) {
        const id = required(call.body.InstanceId)
        const found = await diagnose(instances.parts, id, await viewerOf(parts, call, id))
        return {
          ReasonCode: found.reasonCode,
          ReasonMessage: found.reasonMessage,
          SolutionMessage: found.solutionMessage,
        }
      },
    }),
    ...sanityRoutes(parts),
  ]
}

function sanityRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'CreateSanityCheckTask',
      resource: (call) => instanceArn(parts, call, call.body.InstanceId),
      async handle(call) {
        const { InstanceId: id } = call.body
        return { TaskId: await createSanityCheck(instances.parts, id, await viewerOf(parts, call, id)) }
      },
    }),
    route({
      action: 'GetSanityCheckTask',
      async resource(call) {
        const { instanceId } = await findSanityCheck(instances.parts, call.params.TaskId)
        return instanceArn(parts, call, instanceId)
      },
      async handle(call) {
        const { TaskId } = call.params
        const { instanceId } = await findSanityCheck(instances.parts, TaskId)
        const check = await getSanityCheck(instances.parts, TaskId, await viewerOf(parts, call, instanceId))
        return writeCheck(check, call.query.Verbose ?? false)
      },
    }),
  ]
}

function writeCheck(check: SanityCheck, isVerbose: boolean) {
  const details = check.details.map(({ name, description, isPassed, reason }) => ({
    Name: name,
    Description: description,
    Result: isPassed ? 'passed' : 'failed',
    Reason: reason,
  }))
  return {
    CheckType: 'SSH',
    InstanceId: check.instanceId,
    TaskId: check.taskId,
    Status: check.status,
    StartTime: wireTime(check.startMs),
    ...(check.endMs !== null && { EndTime: wireTime(check.endMs) }),
    Issues: check.details.flatMap(({ isPassed, reason }) => (isPassed ? [] : [reason])),
    ...(isVerbose && { CheckDetails: details }),
  }
}

function required(instanceId: string | undefined): string {
  if (instanceId !== undefined && instanceId !== '') return instanceId
  throw new AppError('parameter_invalid', 'InstanceId is missing: name the instance.', {
    details: { field: 'InstanceId' },
  })
}
