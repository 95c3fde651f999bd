import { dsw } from './operation.ts'
import { fields, int32, int64, list, listed, said, text } from './schema.ts'
import { id, order, page64, time } from './shapes.ts'

const FILE = '/api/v2/tempfiles/{TempFileId}'
const TASK = '/api/v2/tempfiletasks/{TempFileTaskId}'
const ram = { defaultAllow: true }
const fileAnswered = () => fields({ TempFileId: said() })
const taskAnswered = () => fields({ TempFileTaskId: said() })

const tempFile = () => ({
  Bandwidth: int32(),
  Capacity: int64(),
  Description: said(),
  DownloadUrl: said(),
  GmtCreateTime: said(),
  GmtExpiredTime: said(),
  GmtModifiedTime: said(),
  InstanceId: said(),
  Name: said(),
  OwnerId: said(),
  Prefix: said(),
  Status: said(),
  TaskId: said(),
  Type: said(),
  UploadUrl: said(),
  UserId: said(),
  Uuid: said(),
})

/** Files on their way into or out of an instance, and the tasks that move them. */
export const tempFileOperations = {
  CreateTempFile: dsw('CreateTempFile', 'POST', '/api/v2/tempfiles', {
    summary: 'Announces a temporary file.',
    body: fields({ Capacity: int64({ min: 0 }), InstanceId: id(), Name: text(), Prefix: text(), TaskId: id() }),
    response: fileAnswered(),
    ram,
  }),
  GetTempFile: dsw('GetTempFile', 'GET', FILE, { summary: 'One temporary file.', response: fields(tempFile()), ram }),
  ListTempFiles: dsw('ListTempFiles', 'GET', '/api/v2/tempfiles', {
    summary: 'The temporary files that the caller may see, and how many there may be.',
    query: fields(
      { Delimiter: text(), InstanceId: id(), Name: text(), Order: order(), Prefix: text(), SortBy: text() },
      page64(),
    ),
    response: fields({
      Quota: fields({ TotalCapacity: int64(), TotalFileNum: int64(), UsedCapacity: int64(), UsedFileNum: int64() }),
      TempFiles: listed(fields(tempFile())),
      TotalCount: int64(),
    }),
    ram,
  }),
  UpdateTempFile: dsw('UpdateTempFile', 'PUT', FILE, {
    summary: 'Changes until when a temporary file is kept, or its status.',
    body: fields({ GmtExpiredTime: time(), Status: text() }),
    response: fileAnswered(),
    ram,
  }),
  DeleteTempFile: dsw('DeleteTempFile', 'DELETE', FILE, {
    summary: 'Deletes a temporary file.',
    response: fileAnswered(),
    ram,
  }),
  CreateTempFileTask: dsw('CreateTempFileTask', 'POST', '/api/v2/tempfiletasks', {
    summary: 'Starts a task that moves temporary files.',
    body: fields({ InstanceId: id() }),
    response: taskAnswered(),
    ram,
  }),
  GetTempFileTask: dsw('GetTempFileTask', 'GET', TASK, {
    summary: 'One task that moves temporary files.',
    response: fields({
      GmtCreateTime: said(),
      GmtExpiredTime: said(),
      GmtModifiedTime: said(),
      InstanceId: said(),
      OwnerId: said(),
      UserId: said(),
      Uuid: said(),
    }),
    ram,
  }),
  UpdateTempFileTask: dsw('UpdateTempFileTask', 'PUT', TASK, {
    summary: 'Changes until when a task is kept.',
    body: fields({ GmtExpiredTime: time() }),
    response: taskAnswered(),
    ram,
  }),
  DeleteTempFileTask: dsw('DeleteTempFileTask', 'DELETE', TASK, {
    summary: 'Deletes a task.',
    response: taskAnswered(),
    ram,
  }),
  DeleteTempFileTasks: dsw('DeleteTempFileTasks', 'PUT', '/api/v2/batch/tempfiletasks/delete', {
    summary: 'Deletes several tasks.',
    body: fields({ TempFileTaskIds: list(id()) }),
    ram,
  }),
} as const
