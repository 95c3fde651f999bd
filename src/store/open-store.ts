import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { sql } from 'kysely'
import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { Database } from '#config/values.ts'
import { connect, inTransaction, type DatabaseKind } from './database.ts'
import { migrate } from './migrate.ts'
import type { Db } from './schema.ts'
import { openSecretKey, secretsOf, type Secrets } from './secrets.ts'
import { tablesOf, type Tables } from './tables.ts'

/** All that outlives a process. */
export interface Store extends Tables, AsyncDisposable {
  readonly kind: DatabaseKind
  readonly secrets: Secrets
  readonly clock: Clock
  /**
   * Run `work` as if nobody else were there; all it changes is there when it resolves, and nothing when it rejects. It
   * can run more than once, must use the tables that it is given and no others, and must not wait for anything else.
   */
  transaction<T>(work: (tables: Tables) => Promise<T>): Promise<T>
  /** Throws `store_unavailable` when the database does not answer. */
  ping(): Promise<void>
}

export interface StoreOptions {
  readonly database: Database
  /** TINTYPE_HOME: `secret.key` is there. */
  readonly home: string
  readonly clock: Clock
  /** 32 bytes, instead of the key file. */
  readonly secretKey?: Uint8Array
}

/**
 * Connect, bring the tables up to date, and check that the secrets in them can be read. Replicas may start at once.
 * Throws `store_unavailable`; `store_unsupported` for a database of a newer version or of another `secret.key`.
 */
export async function openStore({ database, home, clock, secretKey }: StoreOptions): Promise<Store> {
  const secrets = secretsOf(secretKey ?? (await openSecretKey(`${home}/secret.key`)))
  if (database.kind === 'sqlite') await mkdir(dirname(database.path), { recursive: true, mode: 0o700 })
  const { kind } = database
  const db = connect(database)
  try {
    await migrate(db, kind)
    await checkKey(db, secrets)
  } catch (error) {
    await db.destroy()
    throw error
  }
  return {
    ...tablesOf(db),
    kind,
    secrets,
    clock,
    transaction: (work) => inTransaction(db, kind, (tx) => work(tablesOf(tx))),
    ping: async () => void (await sql`select 1`.execute(db)),
    [Symbol.asyncDispose]: () => db.destroy(),
  }
}

/** A replica with another key could write what the others cannot read, and says so before it does. */
async function checkKey(db: Db, secrets: Secrets): Promise<void> {
  const fingerprint = createHash('sha256').update(secrets.deriveKey('fingerprint')).digest('hex')
  const known = await tablesOf(db).settings.setOnce('secret-key-fingerprint', fingerprint)
  if (known === fingerprint) return
  const message = "The database belongs to another secret.key: copy that installation's file into TINTYPE_HOME."
  throw new AppError('store_unsupported', message)
}
