import { sql } from 'kysely'
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import type { Db, Schema } from './schema.ts'
import type { Label } from './snapshot-record.ts'

export interface ImageSearch {
  /** Only what this user may see: public images, and those of the user. Undefined: everything. */
  readonly visibleTo: string | undefined
  readonly workspaceId?: string
  readonly accessibility?: 'PUBLIC' | 'PRIVATE'
  readonly uri?: string
  /** A part of the name. */
  readonly name?: string
  /** A part of the name or of the description. */
  readonly query?: string
  /** Every one of them. */
  readonly labels: readonly Label[]
  readonly descending: boolean
  readonly offset: number
  readonly limit: number
}

export interface LabelSearch extends Pick<ImageSearch, 'visibleTo' | 'workspaceId' | 'labels'> {
  readonly imageId?: string
  /** Undefined: all keys. */
  readonly keys?: readonly string[]
}

/** Labels beyond that are no list that anybody reads. */
const MOST_LABELS = 1_000

/** The labels that images have, each pair once, by key and value. */
export async function findLabels(db: Db, { imageId, keys, ...images }: LabelSearch): Promise<readonly Label[]> {
  const matching = db
    .selectFrom('images')
    .select('images.imageId')
    .where((eb) => eb.and(conditions(eb, images)))
    .$if(imageId !== undefined, (query) => query.where('images.imageId', '=', imageId ?? ''))
  return db
    .selectFrom('imageLabels')
    .select(['key', 'value'])
    .distinct()
    .where('imageId', 'in', matching)
    .$if(keys !== undefined, (query) => query.where('key', 'in', [...(keys ?? [])]))
    .orderBy('key')
    .orderBy('value')
    .limit(MOST_LABELS)
    .execute()
}

/** The rows of one page, by time of creation, and how many fit in all. */
export async function findImages(db: Db, search: ImageSearch) {
  const where = (eb: ExpressionBuilder<Schema, 'images'>) => eb.and(conditions(eb, search))
  const direction = search.descending ? 'desc' : 'asc'
  const [rows, count] = await Promise.all([
    db
      .selectFrom('images')
      .selectAll()
      .where(where)
      .orderBy('createdMs', direction)
      .orderBy('imageId', direction)
      .limit(search.limit)
      .offset(search.offset)
      .execute(),
    db
      .selectFrom('images')
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .where(where)
      .executeTakeFirst(),
  ])
  return { rows, total: count?.total ?? 0 }
}

type Conditions = Omit<ImageSearch, 'descending' | 'offset' | 'limit'>

function conditions(eb: ExpressionBuilder<Schema, 'images'>, search: Conditions): Expression<SqlBool>[] {
  const { visibleTo, workspaceId, accessibility, uri, name, query, labels } = search
  const contains = (column: 'name' | 'description', part: string) =>
    sql<SqlBool>`lower(${eb.ref(column)}) like ${likePattern(part)} escape '\\'`
  return [
    ...(visibleTo === undefined ? [] : [eb.or([eb('accessibility', '=', 'PUBLIC'), eb('userId', '=', visibleTo)])]),
    ...(workspaceId === undefined ? [] : [eb('workspaceId', '=', workspaceId)]),
    // It narrows down custom images only (dsw-api §2).
    ...(accessibility === undefined
      ? []
      : [eb.or([eb('accessibility', '=', accessibility), eb.exists(withLabel(eb, OFFICIAL))])]),
    ...(uri === undefined ? [] : [eb('uri', '=', uri)]),
    ...(name === undefined ? [] : [contains('name', name)]),
    ...(query === undefined ? [] : [eb.or([contains('name', query), contains('description', query)])]),
    ...labels.map((label) => eb.exists(withLabel(eb, label))),
  ]
}

/** What marks the platform's own images. */
export const OFFICIAL: Label = { key: 'system.official', value: 'true' }

const withLabel = (eb: ExpressionBuilder<Schema, 'images'>, { key, value }: Label) =>
  eb
    .selectFrom('imageLabels')
    .select('imageLabels.imageId')
    .whereRef('imageLabels.imageId', '=', 'images.imageId')
    .where('imageLabels.key', '=', key)
    .where('imageLabels.value', '=', value)

/** Any text with `part` in it, as LIKE reads it: what would be a wildcard stands for itself. Both databases know the case of ASCII only. */
function likePattern(part: string): string {
  const lower = part.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  return `%${lower.replace(/[\\%_]/g, '\\$&')}%`
}
