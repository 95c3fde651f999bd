import { sql, type SqlBool } from 'kysely'
import { isPostgres } from './find-by-key.ts'
import type { Db } from './schema.ts'
import type { SnapshotRecord } from './snapshot-record.ts'

export interface InstanceImage {
  readonly imageUrl: string
  readonly imageId: string
}

export interface ImageSearchWords {
  /** Of the catalogue; empty: of none. */
  readonly imageId: string
  /** What the text of a reference must have in it: this, and one of those. */
  readonly word: string
  readonly marks: readonly string[]
}

/** A snapshot that has its image under a tag, or is about to put it there. */
export interface TagHolder {
  readonly snapshotId: string
  readonly createdMs: number
  readonly isUnfinished: boolean
}

/** Who needs an image: asked before it is deleted. */
export interface ImageUses {
  /** What instances were made from, as they named it, each once: all that may be the image, by the words of its reference. */
  ofInstances(words: ImageSearchWords): Promise<readonly InstanceImage[]>
  /** The snapshots whose image was or will be put under this reference, without those that failed. */
  tagHolders(imageUrl: string): Promise<readonly TagHolder[]>
  /** What the saved snapshots of the same instance that came later have left out, each set once. */
  laterExclusions(
    snapshot: Pick<SnapshotRecord, 'instanceId' | 'snapshotId' | 'createdMs'>,
  ): Promise<readonly (readonly string[])[]>
}

export function imageUses(db: Db): ImageUses {
  const has = (word: string) =>
    isPostgres(db)
      ? sql<SqlBool>`strpos(${sql.ref('imageUrl')}, ${word}) > 0`
      : sql<SqlBool>`instr(${sql.ref('imageUrl')}, ${word}) > 0`
  return {
    async ofInstances({ imageId, word, marks }) {
      return db
        .selectFrom('instances')
        .select(['imageUrl', 'imageId'])
        .distinct()
        .where((part) =>
          part.or([
            part.and([has(word), part.or(marks.map(has))]),
            ...(imageId === '' ? [] : [part('imageId', '=', imageId)]),
          ]),
        )
        .execute()
    },

    async tagHolders(imageUrl) {
      const rows = await db
        .selectFrom('snapshots')
        .select(['snapshotId', 'createdMs', 'unfinishedOf'])
        .where('imageUrl', '=', imageUrl)
        .where((part) => part.or([part('status', '=', 'Saved'), part('unfinishedOf', 'is not', null)]))
        .execute()
      return rows.map(({ unfinishedOf, ...row }) => ({ ...row, isUnfinished: unfinishedOf !== null }))
    },

    async laterExclusions({ instanceId, snapshotId, createdMs }) {
      const rows = await db
        .selectFrom('snapshots')
        .select('excludePaths')
        .distinct()
        .where('instanceId', '=', instanceId)
        .where('status', '=', 'Saved')
        .where((part) =>
          part.or([
            part('createdMs', '>', createdMs),
            part.and([part('createdMs', '=', createdMs), part('snapshotId', '>', snapshotId)]),
          ]),
        )
        .execute()
      return rows.map(({ excludePaths }) => JSON.parse(excludePaths) as string[])
    },
  }
}
