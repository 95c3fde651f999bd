import type { SelectQueryBuilder } from 'kysely'
import type { InstanceStatus } from './instance-record.ts'
import type { Db, Schema } from './schema.ts'

export interface LifecycleEntry {
  readonly instanceId: string
  /** From one start to the stop or failure after it. */
  readonly session: number
  readonly status: InstanceStatus
  readonly reasonCode: string
  readonly reasonMessage: string
  readonly startMs: number
}

/** An entry as it is read. `endMs` is null while the state goes on. */
export interface LifecycleRecord extends LifecycleEntry {
  readonly id: number
  readonly endMs: number | null
}

export interface InstanceEvent {
  readonly instanceId: string
  readonly timeMs: number
  readonly level: EventLevel
  readonly text: string
}

export type EventLevel = 'Info' | 'Warning' | 'Error'

/** Both ends belong to it. */
export interface Period {
  readonly fromMs?: number
  readonly toMs?: number
}

export interface HistoryPage extends Period {
  readonly order: 'asc' | 'desc'
  readonly offset: number
  readonly limit: number
}

export type LifecycleTable = ReturnType<typeof lifecycleTable>

/** Every state that an instance was in. The state before ends when the next begins. */
export function lifecycleTable(db: Db) {
  return {
    async begin(entry: LifecycleEntry): Promise<void> {
      await db
        .updateTable('lifecycle')
        .set({ endMs: entry.startMs })
        .where('instanceId', '=', entry.instanceId)
        .where('endMs', 'is', null)
        .execute()
      await db
        .insertInto('lifecycle')
        .values({ ...entry, endMs: null })
        .execute()
    },

    /** Something that happened in the present state, and took no time. */
    async note(entry: LifecycleEntry): Promise<void> {
      await db
        .insertInto('lifecycle')
        .values({ ...entry, endMs: entry.startMs })
        .execute()
    },

    /** `limit` sessions, each with its states in order, and how many sessions there are. */
    async sessions(instanceId: string, page: HistoryPage) {
      const matching = db
        .selectFrom('lifecycle')
        .where('instanceId', '=', instanceId)
        .$if(page.fromMs !== undefined, (query) => query.where('startMs', '>=', page.fromMs ?? 0))
        .$if(page.toMs !== undefined, (query) => query.where('startMs', '<=', page.toMs ?? 0))
      const numbers = await matching
        .select('session')
        .distinct()
        .orderBy('session', page.order)
        .limit(page.limit)
        .offset(page.offset)
        .execute()
      const { total } = await matching
        .select((part) => part.fn.count<number>('session').distinct().as('total'))
        .executeTakeFirstOrThrow()
      const wanted = numbers.map(({ session }) => session)
      const rows =
        wanted.length === 0 ? [] : await matching.selectAll().where('session', 'in', wanted).orderBy('id').execute()
      const sessions = wanted.map((number) => rows.filter(({ session }) => session === number).map(parseEntry))
      return { sessions, total: Number(total) }
    },
  }
}

const parseEntry = (row: Omit<LifecycleRecord, 'status'> & { readonly status: string }): LifecycleRecord => ({
  ...row,
  status: row.status as InstanceStatus,
})

type Events<O> = SelectQueryBuilder<Schema, 'instanceEvents', O>

export type InstanceEventsTable = ReturnType<typeof instanceEventsTable>

/** What a person wants to read about an instance. */
export function instanceEventsTable(db: Db) {
  return {
    async add(event: InstanceEvent): Promise<void> {
      await db.insertInto('instanceEvents').values(event).execute()
    },

    /** `levels`: only these. */
    async list(instanceId: string, page: HistoryPage & { readonly levels?: readonly EventLevel[] }) {
      const narrow = <O>(query: Events<O>): Events<O> => {
        let result = query.where('instanceId', '=', instanceId)
        if (page.fromMs !== undefined) result = result.where('timeMs', '>=', page.fromMs)
        if (page.toMs !== undefined) result = result.where('timeMs', '<=', page.toMs)
        if (page.levels !== undefined) result = result.where('level', 'in', page.levels)
        return result
      }
      const events = await narrow(db.selectFrom('instanceEvents').selectAll())
        .orderBy('timeMs', page.order)
        .orderBy('id', page.order)
        .limit(page.limit)
        .offset(page.offset)
        .execute()
      const { total } = await narrow(
        db.selectFrom('instanceEvents').select((part) => part.fn.countAll<number>().as('total')),
      ).executeTakeFirstOrThrow()
      return { events, total: Number(total) }
    },

    /** How many were older than `beforeMs`. */
    async prune(beforeMs: number): Promise<number> {
      const { numDeletedRows } = await db.deleteFrom('instanceEvents').where('timeMs', '<', beforeMs).executeTakeFirst()
      return Number(numDeletedRows)
    },
  }
}
