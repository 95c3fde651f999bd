import { AppError } from '#base/errors.ts'
import { newId } from '#service/ids.ts'
import type { TempFileFilter } from '#store/temp-files.ts'
import type { TempFileRow, TempFileTaskRow } from '#store/schema-instances.ts'
import { findVisible } from './find.ts'
import { invalid } from './invalid.ts'
import type { InstanceParts, Viewer } from './parts.ts'

/**
 * Temporary files are announced, listed and forgotten here; this server has no object store, so that no file has an
 * address where it could be sent.
 */
type FileParts = Pick<InstanceParts, 'store' | 'clock'>

export interface TempFileDraft {
  readonly instanceId?: string | undefined
  readonly taskId?: string | undefined
  readonly name?: string | undefined
  readonly prefix?: string | undefined
  readonly capacity?: number | undefined
}

/** What one user may announce. */
export const TEMP_FILE_QUOTA = { files: 1_000, bytes: 100 * 2 ** 30 } as const

const KEEP_MS = 86_400_000
const MAX_KEEP_MS = 7 * 86_400_000

/** Its id. Throws `parameter_invalid` past the quota; `instance_not_found`, `instance_resource_not_found`. */
export async function createTempFile(parts: FileParts, draft: TempFileDraft, viewer: Viewer): Promise<string> {
  const { store, clock } = parts
  const { instanceId = '', taskId = '', name = '', prefix = '', capacity = 0 } = draft
  if (instanceId !== '') await findVisible(store, instanceId, viewer)
  if (taskId !== '') await getTask(parts, taskId, viewer)
  const { files, bytes } = await store.tempFiles.usage(viewer.userId)
  if (files >= TEMP_FILE_QUOTA.files)
    throw invalid('Name', `is one too many: ${TEMP_FILE_QUOTA.files} files are the most, delete some`)
  if (bytes + capacity > TEMP_FILE_QUOTA.bytes)
    throw invalid('Capacity', `is too much: all files together may have ${TEMP_FILE_QUOTA.bytes} bytes`)
  const nowMs = clock.wallMs()
  const tempFileId = newId('tempfile')
  const times = { createdMs: nowMs, modifiedMs: nowMs, expiresMs: nowMs + KEEP_MS }
  const row = { tempFileId, instanceId, taskId, name, prefix, capacity, status: 'Created', userId: viewer.userId }
  await store.tempFiles.insert({ ...row, ...times })
  return tempFileId
}

/** Others' files are not there. Throws `instance_resource_not_found`. */
export async function getTempFile({ store }: FileParts, tempFileId: string, viewer: Viewer): Promise<TempFileRow> {
  const file = await store.tempFiles.find(tempFileId)
  if (file && (viewer.seesAll || file.userId === viewer.userId)) return file
  throw new AppError('instance_resource_not_found', `There is no temporary file ${JSON.stringify(tempFileId)}.`)
}

/** The viewer's files, and how much of the quota they use. */
export async function listTempFiles({ store }: FileParts, filter: Omit<TempFileFilter, 'userId'>, viewer: Viewer) {
  const { userId } = viewer
  const [list, used] = await Promise.all([store.tempFiles.list({ ...filter, userId }), store.tempFiles.usage(userId)])
  return { ...list, used }
}

export async function updateTempFile(
  parts: FileParts,
  tempFileId: string,
  {
    patch,
    viewer,
  }: { readonly patch: { readonly expiresMs?: number; readonly status?: string }; readonly viewer: Viewer },
): Promise<void> {
  await getTempFile(parts, tempFileId, viewer)
  const modifiedMs = parts.clock.wallMs()
  if (patch.expiresMs !== undefined) checkExpiry(patch.expiresMs, modifiedMs)
  await parts.store.tempFiles.update(tempFileId, { ...patch, modifiedMs })
}

export async function deleteTempFile(parts: FileParts, tempFileId: string, viewer: Viewer): Promise<void> {
  await getTempFile(parts, tempFileId, viewer)
  await parts.store.tempFiles.remove(tempFileId)
}

export async function createTask(
  { store, clock }: FileParts,
  instanceId: string | undefined,
  viewer: Viewer,
): Promise<string> {
  if (instanceId !== undefined && instanceId !== '') await findVisible(store, instanceId, viewer)
  if ((await store.tempFileTasks.count(viewer.userId)) >= TEMP_FILE_QUOTA.files)
    throw invalid('TempFileTask', `is one too many: ${TEMP_FILE_QUOTA.files} tasks are the most, delete some`)
  const nowMs = clock.wallMs()
  const taskId = newId('task')
  const times = { createdMs: nowMs, modifiedMs: nowMs, expiresMs: nowMs + KEEP_MS }
  await store.tempFileTasks.insert({ taskId, instanceId: instanceId ?? '', userId: viewer.userId, ...times })
  return taskId
}

/** Throws `instance_resource_not_found`. */
export async function getTask({ store }: FileParts, taskId: string, viewer: Viewer): Promise<TempFileTaskRow> {
  const task = await store.tempFileTasks.find(taskId)
  if (task && (viewer.seesAll || task.userId === viewer.userId)) return task
  throw new AppError('instance_resource_not_found', `There is no task ${JSON.stringify(taskId)}.`)
}

export async function updateTask(
  parts: FileParts,
  taskId: string,
  { expiresMs, viewer }: { readonly expiresMs?: number | undefined; readonly viewer: Viewer },
): Promise<void> {
  const task = await getTask(parts, taskId, viewer)
  const modifiedMs = parts.clock.wallMs()
  if (expiresMs !== undefined) checkExpiry(expiresMs, modifiedMs)
  await parts.store.tempFileTasks.update(taskId, { expiresMs: expiresMs ?? task.expiresMs, modifiedMs })
}

/** All or none. Throws `instance_resource_not_found`. */
export async function deleteTasks(parts: FileParts, taskIds: readonly string[], viewer: Viewer): Promise<void> {
  for (const taskId of taskIds) await getTask(parts, taskId, viewer)
  await parts.store.tempFileTasks.remove(taskIds)
}

function checkExpiry(expiresMs: number, nowMs: number): void {
  if (expiresMs <= nowMs || expiresMs > nowMs + MAX_KEEP_MS)
    throw invalid('GmtExpiredTime', 'must be within the next 7 days')
}
