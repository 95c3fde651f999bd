import { sql } from 'kysely'
import type { MetricsRow } from './schema-instances.ts'
import type { Db } from './schema.ts'

export type MetricName = Exclude<keyof MetricsRow, 'instanceId' | 'timeMs'>

/** The mean of the readings from `timeMs` until the next bucket. */
export interface MetricPoint {
  readonly timeMs: number
  readonly value: number
}

export interface MetricQuery {
  readonly metric: MetricName
  /** Both ends belong to it. */
  readonly fromMs: number
  readonly toMs: number
  /** Width of a bucket. */
  readonly stepMs: number
  readonly limit: number
}

export type MetricsTable = ReturnType<typeof metricsTable>

/** Readings of how much instances use. */
export function metricsTable(db: Db) {
  return {
    /** A second reading of the same millisecond is left out. */
    async add(readings: readonly MetricsRow[]): Promise<void> {
      if (readings.length === 0) return
      await db
        .insertInto('metrics')
        .values([...readings])
        .onConflict((conflict) => conflict.columns(['instanceId', 'timeMs']).doNothing())
        .execute()
    },

    /** In buckets that begin at whole multiples of the step; empty ones are left out. Oldest first. */
    async series(instanceId: string, query: MetricQuery): Promise<readonly MetricPoint[]> {
      const column = sql.ref<number>(query.metric)
      // As a literal: PostgreSQL takes two equal parameters for two different expressions, and cannot group by them.
      const step = sql.lit(query.stepMs)
      const bucket = sql<number>`time_ms - time_ms % ${step}`
      const rows = await db
        .selectFrom('metrics')
        .select([bucket.as('timeMs'), sql<number>`avg(${column})`.as('value')])
        .where('instanceId', '=', instanceId)
        .where('timeMs', '>=', query.fromMs)
        .where('timeMs', '<=', query.toMs)
        .where(column, 'is not', null)
        .groupBy(bucket)
        .orderBy(bucket)
        .limit(query.limit)
        .execute()
      return rows.map(({ timeMs, value }) => ({ timeMs: Number(timeMs), value: Number(value) }))
    },

    /** How many were older than `beforeMs`. */
    async prune(beforeMs: number): Promise<number> {
      const { numDeletedRows } = await db.deleteFrom('metrics').where('timeMs', '<', beforeMs).executeTakeFirst()
      return Number(numDeletedRows)
    },
  }
}
