import type { ResponseOf } from '#contract/operations.ts'
import type { AnyRoute } from '#http/route.ts'
import { route } from '#http/route.ts'
import { wireTime } from '#http/wire-time.ts'
import * as files from '#service/instances/temp-files.ts'
import type { TempFileRow } from '#store/schema-instances.ts'
import { dswArn, timeOf, viewerIn, type DswParts } from './scope.ts'

/** Temporary files and their tasks: kept as records, as this server has no object store. */
export function tempFileRoutes(parts: DswParts): readonly AnyRoute[] {
  return [...fileRoutes(parts), ...fileChangeRoutes(parts), ...taskRoutes(parts), ...taskDeletionRoutes(parts)]
}

function fileRoutes(parts: DswParts): readonly AnyRoute[] {
  const service = parts.instances.parts
  return [
    route({
      action: 'CreateTempFile',
      resource: ({ caller }) => dswArn(parts, caller, 'tempfile/*'),
      async handle(call) {
        const { InstanceId: instanceId, TaskId: taskId, Name: name, Prefix: prefix, Capacity: capacity } = call.body
        const draft = { instanceId, taskId, name, prefix, capacity }
        return { TempFileId: await files.createTempFile(service, draft, await viewerIn(parts, call, '*')) }
      },
    }),
    route({
      action: 'GetTempFile',
      resource: ({ caller, params }) => dswArn(parts, caller, `tempfile/${params.TempFileId}`),
      handle: async (call) =>
        writeFile(await files.getTempFile(service, call.params.TempFileId, await viewerIn(parts, call, '*'))),
    }),
    route({
      action: 'ListTempFiles',
      resource: ({ caller }) => dswArn(parts, caller, 'tempfile/*'),
      async handle(call) {
        const { query } = call
        const filter = {
          order: query.Order === 'ASC' ? ('asc' as const) : ('desc' as const),
          offset: (query.PageNumber - 1) * query.PageSize,
          limit: query.PageSize,
          ...(query.InstanceId && { instanceId: query.InstanceId }),
          ...(query.Name && { name: query.Name }),
          ...(query.Prefix && { prefix: query.Prefix }),
        }
        const found = await files.listTempFiles(service, filter, await viewerIn(parts, call, '*'))
        const quota = {
          TotalCapacity: files.TEMP_FILE_QUOTA.bytes,
          TotalFileNum: files.TEMP_FILE_QUOTA.files,
          UsedCapacity: found.used.bytes,
          UsedFileNum: found.used.files,
        }
        return { TempFiles: found.files.map(writeFile), TotalCount: found.total, Quota: quota }
      },
    }),
  ]
}

function fileChangeRoutes(parts: DswParts): readonly AnyRoute[] {
  const service = parts.instances.parts
  return [
    route({
      action: 'UpdateTempFile',
      resource: ({ caller, params }) => dswArn(parts, caller, `tempfile/${params.TempFileId}`),
      async handle(call) {
        const { TempFileId: id } = call.params
        const expiresMs = timeOf(call.body.GmtExpiredTime)
        const { Status: status } = call.body
        const patch = { ...(expiresMs !== undefined && { expiresMs }), ...(status !== undefined && { status }) }
        await files.updateTempFile(service, id, { patch, viewer: await viewerIn(parts, call, '*') })
        return { TempFileId: id }
      },
    }),
    route({
      action: 'DeleteTempFile',
      resource: ({ caller, params }) => dswArn(parts, caller, `tempfile/${params.TempFileId}`),
      async handle(call) {
        const { TempFileId: id } = call.params
        await files.deleteTempFile(service, id, await viewerIn(parts, call, '*'))
        return { TempFileId: id }
      },
    }),
  ]
}

/** There is nowhere to send a file to, so that it has no addresses. */
function writeFile(file: TempFileRow): ResponseOf<'GetTempFile'> {
  return {
    Capacity: file.capacity,
    GmtCreateTime: wireTime(file.createdMs),
    GmtExpiredTime: wireTime(file.expiresMs),
    GmtModifiedTime: wireTime(file.modifiedMs),
    InstanceId: file.instanceId,
    Name: file.name,
    OwnerId: file.userId,
    Prefix: file.prefix,
    Status: file.status,
    TaskId: file.taskId,
    UserId: file.userId,
    Uuid: file.tempFileId,
  }
}

function taskRoutes(parts: DswParts): readonly AnyRoute[] {
  const service = parts.instances.parts
  return [
    route({
      action: 'CreateTempFileTask',
      resource: ({ caller }) => dswArn(parts, caller, 'tempfiletask/*'),
      async handle(call) {
        const viewer = await viewerIn(parts, call, '*')
        return { TempFileTaskId: await files.createTask(service, call.body.InstanceId, viewer) }
      },
    }),
    route({
      action: 'GetTempFileTask',
      resource: ({ caller, params }) => dswArn(parts, caller, `tempfiletask/${params.TempFileTaskId}`),
      async handle(call) {
        const task = await files.getTask(service, call.params.TempFileTaskId, await viewerIn(parts, call, '*'))
        return {
          GmtCreateTime: wireTime(task.createdMs),
          GmtExpiredTime: wireTime(task.expiresMs),
          GmtModifiedTime: wireTime(task.modifiedMs),
          InstanceId: task.instanceId,
          OwnerId: task.userId,
          UserId: task.userId,
          Uuid: task.taskId,
        }
      },
    }),
    route({
      action: 'UpdateTempFileTask',
      resource: ({ caller, params }) => dswArn(parts, caller, `tempfiletask/${params.TempFileTaskId}`),
      async handle(call) {
        const { TempFileTaskId: id } = call.params
        const expiresMs = timeOf(call.body.GmtExpiredTime)
        await files.updateTask(service, id, { expiresMs, viewer: await viewerIn(parts, call, '*') })
        return { TempFileTaskId: id }
      },
    }),
  ]
}

function taskDeletionRoutes(parts: DswParts): readonly AnyRoute[] {
  const service = parts.instances.parts
  return [
    route({
      action: 'DeleteTempFileTask',
      resource: ({ caller, params }) => dswArn(parts, caller, `tempfiletask/${params.TempFileTaskId}`),
      async handle(call) {
        const { TempFileTaskId: id } = call.params
        await files.deleteTasks(service, [id], await viewerIn(parts, call, '*'))
        return { TempFileTaskId: id }
      },
    }),
    route({
      action: 'DeleteTempFileTasks',
      resource: ({ caller }) => dswArn(parts, caller, 'tempfiletask/*'),
      async handle(call) {
        await files.deleteTasks(service, call.body.TempFileTaskIds ?? [], await viewerIn(parts, call, '*'))
        return {}
      },
    }),
  ]
}
