import { sql } from 'kysely'
import { AppError } from '#base/errors.ts'
import type { DatabaseKind } from './database.ts'
import { initial } from './migrations/0001-initial.ts'
import type { Db } from './schema.ts'

/** One step of the schema's history: statements, in order. Once released it never changes. */
export interface Migration {
  readonly name: string
  readonly statements: (kind: DatabaseKind) => readonly string[]
}

/** In the order in which they are applied. */
const MIGRATIONS: readonly Migration[] = [initial]

/** The bytes "tintype" as a number: which of PostgreSQL's advisory locks is ours. */
const LOCK = '32765643151077477'

/**
 * Bring the tables up to this program's version. Safe when several replicas start at once: the others wait, and find
 * nothing left to do. All or nothing. Throws `store_unsupported` when a newer program has changed the tables.
 */
export async function migrate(db: Db, kind: DatabaseKind): Promise<void> {
  // Not serializable: a replica that had to wait for the lock must see what the one before it has committed.
  await db.transaction().execute(async (tx) => {
    if (kind === 'postgres') await sql.raw(`select pg_advisory_xact_lock(${LOCK})`).execute(tx)
    await sql`create table if not exists migrations (name text primary key)`.execute(tx)
    const { rows } = await sql<{ name: string }>`select name from migrations`.execute(tx)
    const applied = new Set(rows.map(({ name }) => name))
    refuseNewer(applied)
    for (const { name, statements } of MIGRATIONS) {
      if (applied.has(name)) continue
      for (const statement of statements(kind)) await sql.raw(statement).execute(tx)
      await sql`insert into migrations (name) values (${name})`.execute(tx)
    }
  })
}

function refuseNewer(applied: ReadonlySet<string>): void {
  const known = new Set(MIGRATIONS.map(({ name }) => name))
  const newer = [...applied].filter((name) => !known.has(name))
  if (newer.length === 0) return
  const message = `The database was changed by a newer Tintype (${newer.join(', ')}): run that one, or restore a backup.`
  throw new AppError('store_unsupported', message)
}
