import type { SQLInputValue } from 'node:sqlite'
import {
  CompiledQuery,
  SelectQueryNode,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  type TransactionSettings,
} from 'kysely'
import { sleep } from '#base/abort.ts'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { fieldNameOf, makeRow } from './rows.ts'
import { SqliteHandle, type SqliteResult } from './sqlite-handle.ts'
import { SqliteWriter } from './sqlite-writer.ts'

/** While another process writes, its turn is waited for between attempts, not inside SQLite: that would block its thread. */
const BUSY_TIMEOUT_MS = 10_000
const BUSY_STEP_MS = 5
const MIB = 1024 * 1024
const CACHE_MIB = 64
const CACHE = `cache_size = -${(CACHE_MIB * MIB) / 1024}`

/**
 * Kysely's driver for one SQLite file through node:sqlite. One connection writes, in a thread of its own, and transactions
 * take turns on it; another one reads here what is committed and waits for nobody (https://sqlite.org/wal.html). A commit
 * is on the disk when it returns.
 */
export class SqliteDriver implements Driver {
  readonly #path: string
  #writer: SqliteWriter | undefined
  #reader: SqliteHandle | undefined
  readonly #turns = new Turns()

  constructor(path: string) {
    this.#path = path
  }

  async init(): Promise<void> {
    const writer = (this.#writer = await SqliteWriter.open(this.#path))
    await whenFree(() => writer.exec('pragma journal_mode = wal'))
    for (const pragma of ['synchronous = full', CACHE, 'temp_store = memory']) await writer.exec(`pragma ${pragma}`)
    // What long-lived programs are told to do at their start, so that the planner knows the tables: sqlite.org/lang_analyze.html
    await whenFree(() => writer.exec('pragma optimize = 0x10002'))
    this.#reader = new SqliteHandle(this.#path)
    for (const pragma of [CACHE, 'temp_store = memory', 'query_only = on']) this.#reader.exec(`pragma ${pragma}`)
  }

  async acquireConnection(): Promise<SqliteConnection> {
    if (this.#writer === undefined || this.#reader === undefined)
      throw new AppError('internal', 'The SQLite database is not open.')
    return new SqliteConnection(this.#writer, this.#reader, this.#turns)
  }

  async beginTransaction(connection: DatabaseConnection, _settings: TransactionSettings): Promise<void> {
    await connectionOf(connection).begin()
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connectionOf(connection).end('commit')
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connectionOf(connection).end('rollback')
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    const endTurn = await this.#turns.take()
    this.#reader?.close()
    await this.#writer?.close()
    this.#reader = this.#writer = undefined
    endTurn()
  }
}

function connectionOf(connection: DatabaseConnection): SqliteConnection {
  if (connection instanceof SqliteConnection) return connection
  throw new AppError('internal', 'A connection of another driver was handed to the SQLite driver.')
}

class SqliteConnection implements DatabaseConnection {
  readonly #writer: SqliteWriter
  readonly #reader: SqliteHandle
  readonly #turns: Turns
  #endTurn: (() => void) | undefined

  constructor(writer: SqliteWriter, reader: SqliteHandle, turns: Turns) {
    this.#writer = writer
    this.#reader = reader
    this.#turns = turns
  }

  async begin(): Promise<void> {
    const endTurn = await this.#turns.take()
    try {
      // "immediate": a transaction that reads first and writes then could not get the write lock any more.
      await whenFree(() => this.#writer.exec('begin immediate'))
      this.#endTurn = endTurn
    } catch (error) {
      endTurn()
      throw error
    }
  }

  async end(how: 'commit' | 'rollback'): Promise<void> {
    try {
      if (how === 'commit') await whenFree(() => this.#writer.exec('commit'))
      else if (this.#writer.isInTransaction()) await this.#writer.exec('rollback')
    } finally {
      if (!this.#writer.isInTransaction()) {
        this.#endTurn?.()
        this.#endTurn = undefined
      }
    }
  }

  async executeQuery<R>({ sql, parameters, query }: CompiledQuery): Promise<QueryResult<R>> {
    const values = parameters.map(parseParameter)
    if (this.#endTurn) return parseResult<R>(await this.#writer.run(sql, values))
    if (SelectQueryNode.is(query)) return parseResult<R>(await whenFree(() => this.#reader.run(sql, values)))
    const endTurn = await this.#turns.take()
    try {
      return parseResult<R>(await whenFree(() => this.#writer.run(sql, values)))
    } finally {
      endTurn()
    }
  }

  // eslint-disable-next-line require-yield
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new AppError('internal', 'Rows are not streamed from SQLite: read them by pages.')
  }
}

function parseParameter(value: unknown): SQLInputValue {
  if (value === null || value instanceof Uint8Array) return value
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value
  throw new AppError('internal', `A value of type ${typeof value} cannot be a parameter of SQL.`)
}

// The query builder has typed the rows by the schema; the database has checked what went in.
function parseResult<R>({ columns, rows, changes, lastInsertRowid }: SqliteResult): QueryResult<R> {
  if (columns.length === 0) return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  const fields = columns.map(fieldNameOf)
  return { rows: rows.map((values) => makeRow(fields, values) as R), numAffectedRows: BigInt(rows.length) }
}

const SQLITE_BUSY = 5 // https://sqlite.org/rescode.html#busy; the low byte of its extended codes

async function whenFree<T>(work: () => T | Promise<T>): Promise<T> {
  const deadlineMs = systemClock.monotonicMs() + BUSY_TIMEOUT_MS
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error)) throw error
      if (systemClock.monotonicMs() > deadlineMs) {
        const message = 'Another process has kept the database locked for 10 seconds: end it, and try again.'
        throw new AppError('store_unavailable', message, { cause: error })
      }
      await sleep(BUSY_STEP_MS)
    }
  }
}

function isBusy(error: unknown): boolean {
  return (
    error instanceof Error &&
    'errcode' in error &&
    typeof error.errcode === 'number' &&
    (error.errcode & 0xff) === SQLITE_BUSY
  )
}

/** Who writes: one after the other, in the order of asking. */
class Turns {
  #last: Promise<void> = Promise.resolve()

  /** Resolves when it is this caller's turn, with the function that ends it. */
  async take(): Promise<() => void> {
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    await before
    return resolve
  }
}
