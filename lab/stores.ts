import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, describe } from 'node:test'
import { systemClock, type Clock } from '#base/clock.ts'
import type { Database } from '#config/values.ts'
import { startPostgres, type PostgresCluster } from '#lab/postgres.ts'
import { openStore, type Store } from '#store/open-store.ts'

export interface TestStore extends Store {
  readonly database: Database
  readonly home: string
}

export interface TestStoreOptions {
  readonly clock?: Clock
  /** Open this store's database, as another replica does, instead of a new one. */
  readonly sameAs?: TestStore
}

/** A store on a new, empty database, closed after the file's last test. */
export type OpenTestStore = (options?: TestStoreOptions) => Promise<TestStore>

/** A clock that stands until it is told how much time has passed. */
export class TestClock implements Clock {
  nowMs: number

  constructor(nowMs = Date.UTC(2026, 10, 20)) {
    this.nowMs = nowMs
  }

  wallNs = (): bigint => BigInt(this.nowMs) * 1_000_000n
  wallMs = (): number => this.nowMs
  monotonicMs = (): number => this.nowMs

  pass(ms: number): void {
    this.nowMs += ms
  }
}

const disposals = new AsyncDisposableStack()
let postgres: Promise<PostgresCluster> | undefined
let isCleaned = false

/** This file's PostgreSQL: started when first asked for, gone after the last test. */
export async function sharedPostgres(): Promise<PostgresCluster> {
  cleanAfterwards()
  // Disposed of before the stores would be wrong: the cluster goes on the stack first.
  postgres ??= startPostgres().then((cluster) => disposals.use(cluster))
  return await postgres
}

function cleanAfterwards(): void {
  if (!isCleaned) after(() => disposals.disposeAsync())
  isCleaned = true
}

/** The same tests for each database: `open` gives a store on the one that the tests are for. */
export function forEachStore(name: string, tests: (open: OpenTestStore) => void): void {
  cleanAfterwards()
  for (const kind of ['sqlite', 'postgres'] as const)
    describe(`${name} (${kind})`, () => tests((options) => openTestStore(kind, options)))
}

async function openTestStore(kind: Database['kind'], options: TestStoreOptions = {}): Promise<TestStore> {
  const { sameAs, clock = systemClock } = options
  const home = sameAs?.home ?? disposals.adopt(mkdtempSync(`${tmpdir()}/tintype-store-`), removeHome)
  const database = sameAs?.database ?? (await createDatabase(kind, home))
  const store = disposals.use(await openStore({ database, home, clock }))
  return { ...store, database, home }
}

async function createDatabase(kind: Database['kind'], home: string): Promise<Database> {
  return kind === 'sqlite' ? { kind, path: `${home}/tintype.db` } : await (await sharedPostgres()).createDatabase()
}

const removeHome = (home: string) => rmSync(home, { recursive: true, force: true })
