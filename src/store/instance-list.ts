import { sql } from 'kysely'
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { isOneOf, isPostgres } from './find-by-key.ts'
import { parseInstance } from './instance-record.ts'
import type { Accessibility, InstanceRecord, InstanceStatus, PaymentType } from './instance-record.ts'
import { withFoundNames } from './instance-search.ts'
import { fromNearerEnd } from './nearer-end.ts'
import type { Db, Schema } from './schema.ts'

/** Both ends belong to it. */
export interface Range {
  readonly min?: number
  readonly max?: number
}

/** What a list is narrowed by; whatever is absent does not matter. */
export interface InstanceFilter {
  readonly workspaceId?: string
  /** In any of these. */
  readonly workspaceIds?: readonly string[]
  readonly resourceId?: string
  readonly paymentType?: PaymentType
  /** Public ones, and those of this user. */
  readonly visibleTo?: string
  readonly instanceIds?: readonly string[]
  readonly userId?: string
  readonly status?: InstanceStatus
  readonly accessibility?: Accessibility
  readonly acceleratorType?: 'CPU' | 'GPU'
  readonly gpuType?: string
  readonly oversoldType?: string
  /** Anywhere in the name, in any case. */
  readonly nameContains?: string
  readonly imageNameContains?: string
  readonly cpuMilli?: Range
  readonly memoryBytes?: Range
  readonly gpuCount?: Range
  readonly gpuMemoryBytes?: Range
  readonly createdMs?: Range
  /** All of these. */
  readonly labels?: ReadonlyMap<string, string>
  readonly tags?: ReadonlyMap<string, string>
}

export interface InstancePage {
  readonly sortBy: 'priority' | 'createdMs' | 'modifiedMs'
  readonly order: 'asc' | 'desc'
  readonly offset: number
  readonly limit: number
}

type Where = ExpressionBuilder<Schema, 'instances'>

const EQUAL = [
  'workspaceId',
  'resourceId',
  'paymentType',
  'userId',
  'status',
  'accessibility',
  'acceleratorType',
] as const
const RANGES = ['cpuMilli', 'memoryBytes', 'gpuCount', 'gpuMemoryBytes', 'createdMs'] as const

/** The instances of one page, and how many there are on all pages. */
export async function listInstances(
  db: Db,
  asked: InstanceFilter,
  page: InstancePage,
): Promise<{ readonly instances: readonly InstanceRecord[]; readonly total: number }> {
  const filter = await withFoundNames(db, asked)
  if (page.offset === 0) {
    const instances = await readPage(db, filter, page)
    // A page that is not full says by itself how many there are.
    const total = instances.length < page.limit ? instances.length : await countInstances(db, filter)
    return { instances, total }
  }
  const total = await countInstances(db, filter)
  const { limit, ...place } = fromNearerEnd(page, total)
  if (limit === 0) return { instances: [], total }
  const instances = await readPage(db, filter, { ...place, limit })
  return { instances: place.order === page.order ? instances : instances.toReversed(), total }
}

async function readPage(db: Db, filter: InstanceFilter, page: InstancePage): Promise<readonly InstanceRecord[]> {
  // The ids come from an index that holds every column of the filter; whole rows are read for one page only.
  const ids = db
    .selectFrom('instances')
    .select('instanceId')
    .where((where) => where.and(conditions(db, where, filter)))
    .orderBy(page.sortBy, page.order)
    .orderBy('instanceId', page.order)
    .limit(page.limit)
    .offset(page.offset)
  const rows = await db
    .selectFrom('instances')
    .selectAll()
    .where('instanceId', 'in', ids)
    .orderBy(page.sortBy, page.order)
    .orderBy('instanceId', page.order)
    .execute()
  return rows.map(parseInstance)
}

/** How many instances the filter leaves. */
export async function countInstances(db: Db, filter: InstanceFilter): Promise<number> {
  if (Object.keys(filter).every((key) => COUNTED.has(key))) return sumCounts(db, filter)
  const { total } = await db
    .selectFrom('instances')
    .select((part) => part.fn.countAll<number>().as('total'))
    .where((where) => where.and(conditions(db, where, filter)))
    .executeTakeFirstOrThrow()
  return Number(total)
}

/** What the triggers count by: everything that the list of a console has without a search. */
const COUNTED: ReadonlySet<string> = new Set<keyof InstanceFilter>([
  'workspaceId',
  'paymentType',
  'accessibility',
  'userId',
  'visibleTo',
])

async function sumCounts(db: Db, filter: InstanceFilter): Promise<number> {
  let query = db.selectFrom('instanceCounts').select(sql<number>`coalesce(sum(total), 0)`.as('total'))
  for (const column of ['workspaceId', 'paymentType', 'accessibility', 'userId'] as const) {
    const value = filter[column]
    if (value !== undefined) query = query.where(column, '=', value)
  }
  const { visibleTo } = filter
  if (visibleTo !== undefined)
    query = query.where((part) => part.or([part('accessibility', '=', 'PUBLIC'), part('userId', '=', visibleTo)]))
  return Number((await query.executeTakeFirstOrThrow()).total)
}

/** Public, or of this user. */
export const isVisible = (where: Where, userId: string) =>
  where.or([where('accessibility', '=', 'PUBLIC'), where('userId', '=', userId)])

function conditions(db: Db, where: Where, filter: InstanceFilter): Expression<SqlBool>[] {
  const all: Expression<SqlBool>[] = []
  const hasLabels = (filter.labels?.size ?? 0) + (filter.tags?.size ?? 0) > 0
  for (const column of EQUAL) {
    const value = filter[column]
    if (value === undefined) continue
    // SQLite would walk the workspace's index and look each instance up among the labels; so it begins with the labels.
    if (column === 'workspaceId' && hasLabels)
      all.push(sql<SqlBool>`(${sql.ref('instances.workspaceId')} || '') = ${value}`)
    else all.push(where(column, '=', value))
  }
  for (const column of RANGES) {
    const { min, max } = filter[column] ?? {}
    if (min !== undefined) all.push(where(column, '>=', min))
    if (max !== undefined) all.push(where(column, '<=', max))
  }
  const { visibleTo, instanceIds, workspaceIds, oversoldType, gpuType } = filter
  if (visibleTo !== undefined) all.push(isVisible(where, visibleTo))
  if (instanceIds !== undefined) all.push(isOneOf(db, 'instances.instanceId', instanceIds))
  if (workspaceIds !== undefined) all.push(isOneOf(db, 'instances.workspaceId', workspaceIds))
  if (gpuType !== undefined) all.push(contains(db, 'gpu_type', gpuType))
  if (oversoldType !== undefined) all.push(where('oversoldType', '=', oversoldType))
  if (filter.nameContains !== undefined) all.push(contains(db, 'name', filter.nameContains))
  if (filter.imageNameContains !== undefined) all.push(contains(db, 'image_name', filter.imageNameContains))
  for (const kind of ['label', 'tag'] as const)
    for (const [key, value] of filter[`${kind}s`] ?? []) all.push(hasLabel(where, kind, [key, value]))
  return all
}

/** Anywhere, in any case of ASCII: SQLite's LIKE means that. `lower` is what PostgreSQL has an index of, and SQLite is slow at. */
function contains(db: Db, column: 'name' | 'image_name' | 'gpu_type', text: string) {
  const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`
  const ref = sql.ref(`instances.${column}`)
  if (!isPostgres(db)) return sql<SqlBool>`${ref} like ${pattern} escape '\\'`
  return sql<SqlBool>`lower(${ref}) like ${pattern.replace(/[A-Z]/g, (letter) => letter.toLowerCase())}`
}

/** Not a look into each instance: labels are rarer than instances. */
function hasLabel(where: Where, kind: 'label' | 'tag', [key, value]: readonly [string, string]) {
  const labelled = where
    .selectFrom('instanceLabels')
    .select('instanceLabels.instanceId')
    .where('kind', '=', kind)
    .where('key', '=', key)
    .where('value', '=', value)
  return where('instances.instanceId', 'in', labelled)
}
