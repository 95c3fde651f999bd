import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type Dialect,
} from 'kysely'
import { sleep } from '#base/abort.ts'
import { systemCode } from '#base/errors.ts'
import type { Database } from '#config/values.ts'
import { ColumnNamesPlugin } from './column-names.ts'
import { PostgresDriver } from './postgres-driver.ts'
import type { Db, Schema } from './schema.ts'
import { SqliteDriver } from './sqlite-driver.ts'

/** Which of the two databases it is: for the little that they say differently. */
export type DatabaseKind = Database['kind']

/** A connection to `database`, without a look at what is in it. It must be destroyed. */
export function connect(database: Database): Db {
  const dialect = database.kind === 'sqlite' ? sqliteDialect(database.path) : postgresDialect(database.url)
  return new Kysely<Schema>({ dialect, plugins: [new ColumnNamesPlugin()] })
}

/** Kysely's own lets one caller at a time in; our driver lets readers pass a transaction that is open. */
class TwoConnectionAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

function sqliteDialect(path: string): Dialect {
  return {
    createAdapter: () => new TwoConnectionAdapter(),
    createDriver: () => new SqliteDriver(path),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

function postgresDialect(url: string): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new PostgresDriver(url),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  }
}

const MAX_ATTEMPTS = 20

/**
 * Run `work` in a transaction as if nobody else were there (serializable). On PostgreSQL two that touch the same rows
 * may make one of them start again: `work` can run more than once, and must change nothing outside of the database.
 */
export async function inTransaction<T>(db: Db, kind: DatabaseKind, work: (tx: Db) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const transaction = db.transaction()
      return await (kind === 'postgres' ? transaction.setIsolationLevel('serializable') : transaction).execute(work)
    } catch (error) {
      if (!isSerializationFailure(error) || attempt === MAX_ATTEMPTS) throw error
      await sleep(Math.random() * 2 ** Math.min(attempt, 7))
    }
  }
}

// serialization_failure, deadlock_detected: https://www.postgresql.org/docs/15/mvcc-serialization-failure-handling.html
const isSerializationFailure = (error: unknown) => ['40001', '40P01'].includes(systemCode(error) ?? '')
