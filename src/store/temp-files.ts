import type { TempFileRow, TempFileTaskRow } from './schema-instances.ts'
import type { Db } from './schema.ts'

export interface TempFileFilter {
  readonly userId: string
  readonly instanceId?: string
  readonly name?: string
  readonly prefix?: string
  readonly order: 'asc' | 'desc'
  readonly offset: number
  readonly limit: number
}

export type TempFilesTable = ReturnType<typeof tempFilesTable>

/** What is known of temporary files: their names, sizes and how long they are kept. */
export function tempFilesTable(db: Db) {
  return {
    async insert(file: TempFileRow): Promise<void> {
      await db.insertInto('tempFiles').values(file).execute()
    },

    find(tempFileId: string): Promise<TempFileRow | undefined> {
      return db.selectFrom('tempFiles').selectAll().where('tempFileId', '=', tempFileId).executeTakeFirst()
    },

    list: (filter: TempFileFilter) => listTempFiles(db, filter),

    /** How many files the user has, and their bytes together. */
    async usage(userId: string): Promise<{ readonly files: number; readonly bytes: number }> {
      const row = await db
        .selectFrom('tempFiles')
        .select((part) => [part.fn.countAll<number>().as('files'), part.fn.sum<number>('capacity').as('bytes')])
        .where('userId', '=', userId)
        .executeTakeFirstOrThrow()
      return { files: Number(row.files), bytes: Number(row.bytes) }
    },

    /** False: there is none. */
    async update(
      tempFileId: string,
      patch: Partial<Pick<TempFileRow, 'status' | 'expiresMs' | 'modifiedMs'>>,
    ): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('tempFiles')
        .set(patch)
        .where('tempFileId', '=', tempFileId)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /** False: there was none. */
    async remove(tempFileId: string): Promise<boolean> {
      const { numDeletedRows } = await db
        .deleteFrom('tempFiles')
        .where('tempFileId', '=', tempFileId)
        .executeTakeFirst()
      return numDeletedRows > 0n
    },

    /** What was to be kept until `nowMs` at most. */
    async removeExpired(nowMs: number): Promise<void> {
      await db.deleteFrom('tempFiles').where('expiresMs', '<=', nowMs).execute()
    },
  }
}

async function listTempFiles(
  db: Db,
  filter: TempFileFilter,
): Promise<{ readonly files: readonly TempFileRow[]; readonly total: number }> {
  let matching = db.selectFrom('tempFiles').where('userId', '=', filter.userId)
  if (filter.instanceId !== undefined) matching = matching.where('instanceId', '=', filter.instanceId)
  if (filter.name !== undefined) matching = matching.where('name', '=', filter.name)
  if (filter.prefix !== undefined) {
    const { prefix } = filter
    matching = matching.where((part) =>
      part(part.fn('substr', ['prefix', part.lit(1), part.lit([...prefix].length)]), '=', prefix),
    )
  }
  const files = await matching
    .selectAll()
    .orderBy('createdMs', filter.order)
    .orderBy('tempFileId', filter.order)
    .limit(filter.limit)
    .offset(filter.offset)
    .execute()
  const { total } = await matching.select((part) => part.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  return { files, total: Number(total) }
}

export type TempFileTasksTable = ReturnType<typeof tempFileTasksTable>

/** Under which temporary files are brought together. A file outlives its task. */
export function tempFileTasksTable(db: Db) {
  return {
    async insert(task: TempFileTaskRow): Promise<void> {
      await db.insertInto('tempFileTasks').values(task).execute()
    },

    /** How many a user has. */
    async count(userId: string): Promise<number> {
      const found = db.selectFrom('tempFileTasks').where('userId', '=', userId)
      const row = await found.select(({ fn }) => fn.countAll<number>().as('total')).executeTakeFirst()
      return Number(row?.total ?? 0)
    },

    find(taskId: string): Promise<TempFileTaskRow | undefined> {
      return db.selectFrom('tempFileTasks').selectAll().where('taskId', '=', taskId).executeTakeFirst()
    },

    /** False: there is none. */
    async update(taskId: string, patch: Pick<TempFileTaskRow, 'expiresMs' | 'modifiedMs'>): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('tempFileTasks')
        .set(patch)
        .where('taskId', '=', taskId)
        .executeTakeFirst()
      return numUpdatedRows > 0n
    },

    /** How many there were. */
    async remove(taskIds: readonly string[]): Promise<number> {
      if (taskIds.length === 0) return 0
      const { numDeletedRows } = await db.deleteFrom('tempFileTasks').where('taskId', 'in', taskIds).executeTakeFirst()
      return Number(numDeletedRows)
    },

    /** What was to be kept until `nowMs` at most. */
    async removeExpired(nowMs: number): Promise<void> {
      await db.deleteFrom('tempFileTasks').where('expiresMs', '<=', nowMs).execute()
    },
  }
}
