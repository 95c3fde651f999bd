import type { DatabaseKind } from '#store/database.ts'

/** What the two databases call the same thing. */
export interface ColumnTypes {
  readonly kind: DatabaseKind
  /** Text, ordered by its bytes whatever the locale of the database. */
  readonly text: string
  /** 64 bits. */
  readonly int: string
  readonly float: string
  /** A number that grows with each row. */
  readonly serial: string
}

export function typesOf(kind: DatabaseKind): ColumnTypes {
  return kind === 'sqlite'
    ? { kind, text: 'text', int: 'integer', float: 'real', serial: 'integer primary key autoincrement' }
    : {
        kind,
        text: 'text collate "C"',
        int: 'bigint',
        float: 'double precision',
        serial: 'bigint generated always as identity primary key',
      }
}

/** A column, and how many rows have each value of it, kept in another table. */
export interface CountedTable {
  readonly table: string
  readonly counts: string
  readonly by: readonly string[]
}

/**
 * Triggers that keep in `counts` how many rows of `table` there are for each value of the columns `by`. PostgreSQL
 * counts once per statement: a row that one transaction updates 100 000 times gets slower with each time.
 */
export function countTriggers(kind: DatabaseKind, counted: CountedTable): readonly string[] {
  return kind === 'sqlite' ? sqliteTriggers(counted) : postgresTriggers(counted)
}

function sqliteTriggers({ table, counts, by }: CountedTable): readonly string[] {
  const columns = by.join(', ')
  const values = (row: string) => by.map((column) => `${row}.${column}`).join(', ')
  const add = `insert into ${counts} (${columns}, total) values (${values('new')}, 1)
    on conflict (${columns}) do update set total = total + 1;`
  const where = by.map((column) => `${column} = old.${column}`).join(' and ')
  const remove = `update ${counts} set total = total - 1 where ${where};
    delete from ${counts} where ${where} and total = 0;`
  const isMoved = by.map((column) => `old.${column} <> new.${column}`).join(' or ')
  return [
    `create trigger ${table}_counted after insert on ${table} begin ${add} end`,
    `create trigger ${table}_uncounted after delete on ${table} begin ${remove} end`,
    `create trigger ${table}_recounted after update of ${columns} on ${table} when ${isMoved} begin ${remove} ${add} end`,
  ]
}

function postgresTriggers({ table, counts, by }: CountedTable): readonly string[] {
  const columns = by.join(', ')
  // Groups in one order, whoever changes them: two transactions that lock them in different orders would block each other.
  const count = (rows: string, sign: '' | '-') => `insert into ${counts} as kept (${columns}, total)
    select ${columns}, ${sign}count(*) from ${rows} group by ${columns} order by ${columns}
    on conflict (${columns}) do update set total = kept.total + excluded.total;`
  const sweep = `delete from ${counts} where total = 0 and (${columns}) in (select ${columns} from removed);`
  const routine = (name: string, body: string) =>
    `create function ${table}_${name}() returns trigger language plpgsql as $$ begin ${body} return null; end $$`
  const trigger = (name: string, event: string, rows: string) =>
    `create trigger ${table}_${name} after ${event} on ${table} referencing ${rows}
     for each statement execute function ${table}_${name}()`
  const isMoved = `exists ((select ${columns} from removed except all select ${columns} from added)
    union all (select ${columns} from added except all select ${columns} from removed))`
  const recount = `if ${isMoved} then ${count('removed', '-')} ${count('added', '')} ${sweep} end if;`
  return [
    routine('counted', count('added', '')),
    routine('uncounted', `${count('removed', '-')} ${sweep}`),
    routine('recounted', recount),
    trigger('counted', 'insert', 'new table as added'),
    trigger('uncounted', 'delete', 'old table as removed'),
    trigger('recounted', 'update', 'old table as removed new table as added'),
  ]
}
