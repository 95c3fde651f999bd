import { DatabaseSync } from 'node:sqlite'
import { AppError } from '#base/errors.ts'
import type { Database } from '#config/values.ts'
import type { PostgresCluster } from '#lab/postgres.ts'

export interface Fill {
  readonly instances: number
  /** Of all instances together. */
  readonly snapshots: number
  /** Whose every hundredth instance is. */
  readonly userId: string
  /** An instance that the server has made: what it has sealed is in all of them. */
  readonly template: string
}

/** How many users have instances, and how many rows are put in at once. */
const USERS = 100
const BATCH = 50_000

export const instanceIdOf = (number: number) => `dsw-${String(number).padStart(18, '0')}`
export const snapshotIdOf = (number: number) => `snp-${String(number).padStart(18, '0')}`

/**
 * Put stopped instances and saved snapshots into the database of a server, and have it take note of how many they are.
 * Snapshot N is of instance N modulo their number.
 */
export async function fillStore(database: Database, fill: Fill, cluster?: PostgresCluster): Promise<void> {
  if (database.kind === 'sqlite') {
    using opened = new DatabaseSync(database.path, { timeout: 60_000 })
    for (const statement of statementsOf('sqlite', fill)) opened.exec(statement)
  } else {
    if (!cluster) throw new AppError('internal', 'psql needs its cluster.')
    for (const statement of statementsOf('postgres', fill)) await cluster.query(database, statement)
  }
}

function* statementsOf(kind: Database['kind'], fill: Fill): Generator<string> {
  for (const [first, last] of batches(fill.instances)) yield instancesOf(kind, [first, last], fill)
  for (const [first, last] of batches(fill.snapshots)) yield snapshotsOf(kind, [first, last], fill)
  yield kind === 'sqlite' ? 'analyze' : 'vacuum analyze'
}

function* batches(count: number): Generator<readonly [number, number]> {
  for (let first = 0; first < count; first += BATCH) yield [first, Math.min(count, first + BATCH) - 1]
}

type Range = readonly [first: number, last: number]

const seriesOf = (kind: Database['kind'], [first, last]: Range) =>
  kind === 'sqlite'
    ? `with recursive s(n) as (select ${first} union all select n + 1 from s where n < ${last})`
    : `with s(n) as (select generate_series(${first}::bigint, ${last}))`

const idOf = (kind: Database['kind'], prefix: string, number: string) =>
  kind === 'sqlite' ? `printf('${prefix}-%018d', ${number})` : `'${prefix}-' || lpad((${number})::text, 18, '0')`

/** A minute between one and the next; changed in another order than they were made in. */
const FIRST_MS = Date.UTC(2025, 0, 1)
const EVERY_MS = 60_000

function instancesOf(kind: Database['kind'], range: Range, { instances, userId, template }: Fill): string {
  const sealed = (column: string) => `(select ${column} from instances where instance_id = '${template}')`
  const columns = {
    instance_id: idOf(kind, 'dsw', 'n'),
    workspace_id: `'1'`,
    user_id: `case when n % ${USERS} = 7 then '${userId}' else '2000' || (n % ${USERS}) end`,
    name: `'train_' || n`,
    status: `case when n % 10 = 0 then 'Failed' else 'Stopped' end`,
    reason_code: `''`,
    reason_message: `''`,
    accessibility: `case when n % 3 = 0 then 'PUBLIC' else 'PRIVATE' end`,
    image_id: `''`,
    image_url: `'registry.example.com/lab/torch:v' || (n % 50)`,
    image_name: `'torch:v' || (n % 50)`,
    ecs_spec: `'ecs.n4.small'`,
    accelerator_type: `'CPU'`,
    cpu_milli: '1000 * (n % 8 + 1)',
    memory_bytes: '2147483648',
    gpu_count: '0',
    gpu_type: `''`,
    gpu_memory_bytes: '0',
    oversold_type: `''`,
    priority: 'n % 9 + 1',
    payment_type: `'PayAsYouGo'`,
    resource_id: `''`,
    created_ms: `${FIRST_MS} + n * ${EVERY_MS}`,
    modified_ms: `${FIRST_MS} + (n * 7919 % ${instances}) * ${EVERY_MS}`,
    accumulated_ms: '0',
    session: '1',
    generation: '1',
    made_generation: '1',
    attempts: '0',
    retry_ms: '0',
    version: '1',
    wanted: `''`,
    lease_expires_ms: '0',
    fence: '0',
    access_token_encrypted: sealed('access_token_encrypted'),
    spec: sealed('spec'),
  }
  return insertion('instances', columns, seriesOf(kind, range))
}

function snapshotsOf(kind: Database['kind'], range: Range, { instances, userId }: Fill): string {
  const columns = {
    snapshot_id: idOf(kind, 'snp', 'n'),
    instance_id: idOf(kind, 'dsw', `n % ${instances}`),
    workspace_id: `'1'`,
    user_id: `'${userId}'`,
    name: `'v1'`,
    description: `'after the first epoch'`,
    image_url: `'registry.example.com/team/notebook:v' || n`,
    overwrite: '0',
    exclude_paths: `'["/tmp"]'`,
    labels: `'[{"key":"team","value":"vision"}]'`,
    status: `'Saved'`,
    reason_code: `''`,
    reason_message: `''`,
    image_id: `'image-' || n`,
    created_ms: `${FIRST_MS} + n * 1000`,
    modified_ms: `${FIRST_MS} + n * 1000`,
    origin: `'api'`,
    cancel_requested: '0',
    lease_expires_ms: '0',
    fence: '1',
    attempts: '1',
    instance_gone: '0',
  }
  return insertion('snapshots', columns, seriesOf(kind, range))
}

const insertion = (table: string, columns: Readonly<Record<string, string>>, series: string) =>
  `insert into ${table} (${Object.keys(columns).join(', ')}) ${series} select ${Object.values(columns).join(', ')} from s`
