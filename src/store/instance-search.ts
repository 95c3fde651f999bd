import { sql } from 'kysely'
import { isPostgres } from './find-by-key.ts'
import type { InstanceFilter } from './instance-list.ts'
import type { Db } from './schema.ts'

/** Where so many have the letters that are looked for, it takes longer to look up each of them than to read all names. */
const MOST_FOUND = 2_000
/** What the index knows: shorter texts are in none of its entries. Names have no other characters than these. */
const PART_LENGTH = 3
const INDEXED_TEXT = /^[\w.:/@-]{3,200}$/

/**
 * The filter, with the ids of all instances that may match where an index of names finds them to be few. It does not find
 * them by their text, only by the parts of three letters of it: names are still to be compared. PostgreSQL asks its own
 * index by itself.
 */
export async function withFoundNames(db: Db, filter: InstanceFilter): Promise<InstanceFilter> {
  const { nameContains, imageNameContains, instanceIds } = filter
  const wanted = [...partsOf('name', nameContains), ...partsOf('image_name', imageNameContains)]
  if (wanted.length === 0 || instanceIds !== undefined || isPostgres(db)) return filter
  const rows = await db
    .selectFrom(
      sql<{ instanceId: string }>`(select numbers.instance_id from instance_search
        join instance_numbers as numbers on numbers.number = instance_search.rowid
        where instance_search match ${wanted.join(' AND ')} limit ${MOST_FOUND + 1})`.as('found'),
    )
    .select('instanceId')
    .execute()
  return rows.length > MOST_FOUND ? filter : { ...filter, instanceIds: rows.map(({ instanceId }) => instanceId) }
}

/** In the language of FTS5: https://sqlite.org/fts5.html#full_text_query_syntax */
function partsOf(column: 'name' | 'image_name', text = ''): readonly string[] {
  if (!INDEXED_TEXT.test(text)) return []
  const parts = Array.from({ length: text.length - PART_LENGTH + 1 }, (_, i) => text.slice(i, i + PART_LENGTH))
  return [`${column} : (${[...new Set(parts)].map((part) => `"${part}"`).join(' AND ')})`]
}
