import { CompiledQuery, type DatabaseConnection, type Driver, type QueryResult, type TransactionSettings } from 'kysely'
import { Pool, types, type PoolClient } from 'pg'
import { AppError, systemCode } from '#base/errors.ts'
import { fieldNameOf, makeRow } from './rows.ts'

/** Connections of one server: more than that wait, and two cores of a database have no use for more. */
const MAX_CONNECTIONS = 10
const CONNECT_TIMEOUT_MS = 5_000
/** No query of ours takes as long; one that does holds up everybody else. */
const STATEMENT_TIMEOUT_MS = 30_000

const INT8 = 20 // pg_type.oid

/** Kysely's driver for PostgreSQL through `pg`. A database that does not answer is `store_unavailable`. */
export class PostgresDriver implements Driver {
  readonly #url: string
  #pool: Pool | undefined

  constructor(url: string) {
    this.#url = url
  }

  async init(): Promise<void> {
    this.#pool = new Pool({
      connectionString: this.#url,
      max: MAX_CONNECTIONS,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      // Where nothing comes back at all, TCP would wait for a quarter of an hour.
      query_timeout: STATEMENT_TIMEOUT_MS + CONNECT_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'tintype',
      // Counts and milliseconds fit a number; as text, which pg gives by default, they would be compared as text.
      types: { getTypeParser: (id, format) => (id === INT8 ? Number : types.getTypeParser(id, format)) },
    })
    this.#pool.on('error', () => {}) // an idle connection that breaks is replaced by the pool
    // One that breaks inside a transaction tells the next query; without a listener it would end the process.
    this.#pool.on('connect', (client) => void client.on('error', () => {}))
  }

  async acquireConnection(): Promise<PostgresConnection> {
    if (this.#pool === undefined) throw new AppError('internal', 'The PostgreSQL database is not open.')
    try {
      return new PostgresConnection(await this.#pool.connect())
    } catch (cause) {
      throw unavailable(cause)
    }
  }

  async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    const level = settings.isolationLevel ?? 'read committed'
    await connection.executeQuery(CompiledQuery.raw(`start transaction isolation level ${level}`))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connectionOf(connection).commit()
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connectionOf(connection).rollback()
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    connectionOf(connection).release()
  }

  async destroy(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    await pool?.end()
  }
}

function connectionOf(connection: DatabaseConnection): PostgresConnection {
  if (connection instanceof PostgresConnection) return connection
  throw new AppError('internal', 'A connection of another driver was handed to the PostgreSQL driver.')
}

class PostgresConnection implements DatabaseConnection {
  readonly #client: PoolClient
  #isBroken = false

  constructor(client: PoolClient) {
    this.#client = client
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const query = { text: sql, values: [...parameters], rowMode: 'array' } as const
    const { fields, rows, rowCount } = await this.#ask(() => this.#client.query<unknown[]>(query))
    const names = fields.map(({ name }) => fieldNameOf(name))
    return { rows: parseRows<R>(names, rows), numAffectedRows: BigInt(rowCount ?? 0) }
  }

  async commit(): Promise<void> {
    const { command } = await this.#ask(() => this.#client.query('commit'))
    // After an error that nobody looked at, PostgreSQL answers COMMIT by a rollback.
    if (command === 'ROLLBACK') throw new AppError('internal', 'A transaction was rolled back instead of committed.')
  }

  async #ask<T>(query: () => Promise<T>): Promise<T> {
    try {
      return await query()
    } catch (error) {
      if (!isLost(error)) throw error
      this.#isBroken = true
      throw unavailable(error)
    }
  }

  async rollback(): Promise<void> {
    try {
      await this.#client.query('rollback')
    } catch {
      this.#isBroken = true // a connection whose state is unknown is not used again
    }
  }

  release(): void {
    this.#client.release(this.#isBroken)
  }

  // eslint-disable-next-line require-yield
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new AppError('internal', 'Rows are not streamed from PostgreSQL: read them by pages.')
  }
}

// The query builder has typed the rows by the schema; the database has checked what went in.
const parseRows = <R>(names: readonly string[], rows: readonly unknown[][]): R[] =>
  rows.map((values) => makeRow(names, values) as R)

/** Class 08 (connection), 57P (shutdown), 53 (out of connections) of its codes; what the socket says; what pg says itself. */
function isLost(error: unknown): boolean {
  const code = systemCode(error) ?? ''
  if (/^(?:08|57P|53|ECONN|EPIPE|ETIMEDOUT|ENOENT|EHOSTUNREACH)/.test(code)) return true
  return error instanceof Error && /^(?:Connection terminated|Query read timeout)|is not queryable$/.test(error.message)
}

function unavailable(cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new AppError('store_unavailable', `The database does not answer (${why}): see that PostgreSQL runs.`, {
    cause,
  })
}
