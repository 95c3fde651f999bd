import type { Selectable } from 'kysely'
import { findImages, findLabels } from './image-search.ts'
import type { ImageSearch, LabelSearch } from './image-search.ts'
import type { Db } from './schema.ts'
import type { ImageRow } from './schema-snapshots.ts'
import type { Label } from './snapshot-record.ts'

export type Accessibility = 'PUBLIC' | 'PRIVATE'

/** An image of the catalogue: a name for something in a registry. */
export interface ImageRecord {
  readonly imageId: string
  readonly workspaceId: string
  readonly userId: string
  readonly name: string
  readonly description: string
  readonly uri: string
  readonly accessibility: Accessibility
  readonly sizeBytes: number
  readonly sourceType: string
  readonly sourceId: string
  /** Names of snapshots may repeat; those of other images are unique in their workspace (dsw-api §9 row 8). */
  readonly fromSnapshot: boolean
  readonly createdMs: number
  readonly modifiedMs: number
}

export type NewImage = Omit<ImageRecord, 'createdMs' | 'modifiedMs'> & { readonly labels: readonly Label[] }

export interface ImagesTable {
  /** False: the id, or the name in its workspace, is taken. */
  insert(image: NewImage, nowMs: number): Promise<boolean>
  find(imageId: string): Promise<ImageRecord | undefined>
  search(search: ImageSearch): Promise<{ images: readonly ImageRecord[]; total: number }>
  /** False: there is none. */
  setAccessibility(imageId: string, accessibility: Accessibility, nowMs: number): Promise<boolean>
  remove(imageId: string): Promise<boolean>
  /** The labels that images have, each pair once. */
  labels(search: LabelSearch): Promise<readonly Label[]>
  labelsOf(imageIds: readonly string[]): Promise<ReadonlyMap<string, readonly Label[]>>
  /** Add labels; one that is there gets the new value. False: there is no such image. */
  addLabels(imageId: string, labels: readonly Label[], nowMs: number): Promise<boolean>
  /** How many of them the image had. */
  removeLabels(imageId: string, keys: readonly string[]): Promise<number>
}

/** The catalogue of images, with their labels. */
export function imagesTable(db: Db): ImagesTable {
  return {
    insert: (image, nowMs) => insert(db, image, nowMs),
    async find(imageId) {
      const row = await db.selectFrom('images').selectAll().where('imageId', '=', imageId).executeTakeFirst()
      return row && parseImage(row)
    },
    async search(search) {
      const { rows, total } = await findImages(db, search)
      return { images: rows.map(parseImage), total }
    },
    async setAccessibility(imageId, accessibility, nowMs) {
      const changed = await db
        .updateTable('images')
        .set({ accessibility, modifiedMs: nowMs })
        .where('imageId', '=', imageId)
        .executeTakeFirst()
      return changed.numUpdatedRows > 0n
    },
    async remove(imageId) {
      const removed = await db.deleteFrom('images').where('imageId', '=', imageId).executeTakeFirst()
      return removed.numDeletedRows > 0n
    },
    labels: (search) => findLabels(db, search),
    labelsOf: (imageIds) => labelsOf(db, imageIds),
    async addLabels(imageId, labels, nowMs) {
      const changed = await db
        .updateTable('images')
        .set({ modifiedMs: nowMs })
        .where('imageId', '=', imageId)
        .executeTakeFirst()
      if (changed.numUpdatedRows === 0n) return false
      await putLabels(db, imageId, labels)
      return true
    },
    async removeLabels(imageId, keys) {
      if (keys.length === 0) return 0
      const removed = await db
        .deleteFrom('imageLabels')
        .where('imageId', '=', imageId)
        .where('key', 'in', [...keys])
        .executeTakeFirst()
      return Number(removed.numDeletedRows)
    },
  }
}

async function insert(db: Db, { labels, ...image }: NewImage, nowMs: number): Promise<boolean> {
  const row = { ...image, fromSnapshot: image.fromSnapshot ? (1 as const) : (0 as const) }
  const inserted = await db
    .insertInto('images')
    .values({ ...row, createdMs: nowMs, modifiedMs: nowMs })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  if (inserted.numInsertedOrUpdatedRows !== 1n) return false
  await putLabels(db, image.imageId, labels)
  return true
}

async function putLabels(db: Db, imageId: string, labels: readonly Label[]): Promise<void> {
  const byKey = new Map(labels.map(({ key, value }) => [key, value]))
  if (byKey.size === 0) return
  await db
    .insertInto('imageLabels')
    .values([...byKey].map(([key, value]) => ({ imageId, key, value })))
    .onConflict((conflict) =>
      conflict.columns(['imageId', 'key']).doUpdateSet(({ ref }) => ({ value: ref('excluded.value') })),
    )
    .execute()
}

async function labelsOf(db: Db, imageIds: readonly string[]): Promise<ReadonlyMap<string, readonly Label[]>> {
  if (imageIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('imageLabels')
    .selectAll()
    .where('imageId', 'in', [...imageIds])
    .orderBy('key')
    .execute()
  const found = new Map<string, Label[]>()
  for (const { imageId, key, value } of rows) {
    const labels = found.get(imageId) ?? []
    labels.push({ key, value })
    found.set(imageId, labels)
  }
  return found
}

function parseImage(row: Selectable<ImageRow>): ImageRecord {
  return { ...row, accessibility: row.accessibility as Accessibility, fromSnapshot: row.fromSnapshot === 1 }
}
