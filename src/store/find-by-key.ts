import { PostgresAdapter, sql, type Compilable, type CompiledQuery, type SqlBool } from 'kysely'
import type { Db } from './schema.ts'

export const isPostgres = (db: Db): boolean => db.getExecutor().adapter instanceof PostgresAdapter

/**
 * A function that runs a query with one parameter. The query is built and compiled once: that takes longer than the
 * database needs to find one row, and these are asked for with every request.
 */
export function findByKey<Row>(
  db: Db,
  build: (key: string) => Compilable<Row>,
): (key: string) => Promise<Row | undefined> {
  const rowsOf = compiledOnce(db, build)
  return async (key) => (await rowsOf(key))[0]
}

/** The same for all rows of several keys: `build` compares columns with `keys` by `isOneOf`, and has no other parameter. */
export function findByKeys<Row>(
  db: Db,
  build: (keys: readonly string[]) => Compilable<Row>,
): (keys: readonly string[]) => Promise<readonly Row[]> {
  const rowsOf = compiledOnce(db, build)
  return async (keys) => (keys.length === 0 ? [] : await rowsOf(keys))
}

/** Whether the column is one of `values`, which are one parameter however many they are: the query's text is always the same. */
export function isOneOf(db: Db, column: string, values: readonly string[]) {
  const list = parameterOf(db, values)
  return isPostgres(db)
    ? sql<SqlBool>`${sql.ref(column)} = any(${list})`
    : sql<SqlBool>`${sql.ref(column)} in (select value from json_each(${list}))`
}

/** Keys as SQL gets them: a list is an array for PostgreSQL, JSON for SQLite. */
export function parameterOf(db: Db, keys: string | readonly string[]): unknown {
  return typeof keys === 'string' || isPostgres(db) ? keys : JSON.stringify(keys)
}

function compiledOnce<Key extends string | readonly string[], Row>(db: Db, build: (keys: Key) => Compilable<Row>) {
  let compiled: CompiledQuery<Row> | undefined
  return async (keys: Key): Promise<readonly Row[]> => {
    compiled ??= build(keys).compile()
    const given = parameterOf(db, keys)
    const { rows } = await db.executeQuery<Row>({ ...compiled, parameters: compiled.parameters.map(() => given) })
    return rows
  }
}
