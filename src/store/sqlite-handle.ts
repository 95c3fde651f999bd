import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

/** Statements kept ready for each connection: more than the program has. */
const MAX_STATEMENTS = 500

/** What a statement gave: each row as its values, in the order of the columns. */
export interface SqliteResult {
  /** Empty: it is no query. */
  readonly columns: readonly string[]
  readonly rows: readonly (readonly unknown[])[]
  readonly changes: number | bigint
  readonly lastInsertRowid: number | bigint
}

interface ReadyStatement {
  readonly statement: StatementSync
  readonly columns: readonly string[]
}

/** An open database file with its prepared statements. Nothing in it waits: who finds the file locked is told so. */
export class SqliteHandle {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, ReadyStatement>()

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 0 })
  }

  run(sql: string, parameters: readonly SQLInputValue[]): SqliteResult {
    const { statement, columns } = this.#prepare(sql)
    if (columns.length > 0)
      return { columns, rows: parseRows(statement.all(...parameters)), changes: 0, lastInsertRowid: 0 }
    const { changes, lastInsertRowid } = statement.run(...parameters)
    return { columns, rows: [], changes, lastInsertRowid }
  }

  exec(text: string): void {
    this.#database.exec(text)
  }

  isInTransaction(): boolean {
    return this.#database.isTransaction
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }

  #prepare(text: string): ReadyStatement {
    const known = this.#statements.get(text)
    if (known) return known
    const statement = this.#database.prepare(text)
    statement.setReturnArrays(true) // to make objects takes longer there than here
    const ready = { statement, columns: statement.columns().map(({ name }) => name) }
    const oldest = this.#statements.keys().next().value
    if (this.#statements.size >= MAX_STATEMENTS && oldest !== undefined) this.#statements.delete(oldest)
    this.#statements.set(text, ready)
    return ready
  }
}

// With setReturnArrays that is what they are, whatever the type says.
const parseRows = (rows: unknown[]) => rows as unknown[][]
