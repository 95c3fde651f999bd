import type { Db } from './schema.ts'
import type { SnapshotDetail, SnapshotStatus } from './snapshot-record.ts'
import { parseSnapshotDetail } from './snapshot-record.ts'
import { isUniqueViolation } from './unique-violation.ts'

/** A claim on one snapshot: whoever claims it later has a higher fence, and the changes of this one are refused from then on. */
export interface Claim {
  readonly snapshotId: string
  readonly fence: number
}

export interface ClaimOptions {
  /** One running server. */
  readonly owner: string
  readonly nowMs: number
  readonly leaseMs: number
}

/** What the owner of a claim may change. */
export interface SnapshotChange {
  readonly status?: Extract<SnapshotStatus, 'Committing' | 'Pushing'>
  /** JSON. */
  readonly progress?: string
  readonly manifest?: { readonly digest: string; readonly text: string } | null
}

export type SnapshotEnd =
  | { readonly status: 'Saved'; readonly imageId: string; readonly result?: string; readonly progress?: string }
  | { readonly status: 'Failed'; readonly reasonCode: string; readonly reasonMessage: string }

export interface SnapshotQueue {
  /**
   * Take the oldest unfinished snapshot that nobody works on, or whose server is silent beyond its lease. Never one whose
   * reference another running capture writes to.
   */
  claimNext(options: ClaimOptions): Promise<SnapshotDetail | undefined>
  /** Take this one, to end it: undefined when it is finished or somebody works on it. Its reference may be in use. */
  claimToEnd(snapshotId: string, options: ClaimOptions): Promise<SnapshotDetail | undefined>
  /** Keep the claim and change the record. Undefined: the claim is lost. */
  renew(
    claim: Claim,
    times: Pick<ClaimOptions, 'nowMs' | 'leaseMs'>,
    change?: SnapshotChange,
  ): Promise<{ readonly cancelRequested: boolean } | undefined>
  /** Give it back for another server, as if this one had never tried. */
  release(claim: Claim): Promise<void>
  /** How many unfinished snapshots there are in each status: by the index of those alone. */
  countUnfinished(): Promise<ReadonlyMap<string, number>>
  /** The last change. False: the claim is lost, and nothing is changed. */
  end(claim: Claim, end: SnapshotEnd, nowMs: number): Promise<boolean>
}

/** How servers share the work on snapshots: leases that run out, and fencing numbers that only grow (attacks.md B7). */
export function snapshotQueue(db: Db): SnapshotQueue {
  return {
    claimNext: (options) => claimNext(db, options),
    claimToEnd: (snapshotId, options) => claimToEnd(db, snapshotId, options),
    async countUnfinished() {
      const rows = await db
        .selectFrom('snapshots')
        .select(['status', (part) => part.fn.countAll<number>().as('total')])
        .where('unfinishedOf', 'is not', null)
        .groupBy('status')
        .execute()
      return new Map(rows.map(({ status, total }) => [status, Number(total)]))
    },
    renew: (claim, times, change = {}) => renew(db, claim, { change, ...times }),
    async release({ snapshotId, fence }) {
      await db
        .updateTable('snapshots')
        .set((column) => ({
          owner: null,
          runningReference: null,
          leaseExpiresMs: 0,
          attempts: column('attempts', '-', 1),
        }))
        .where('snapshotId', '=', snapshotId)
        .where('fence', '=', fence)
        .where('unfinishedOf', 'is not', null)
        .execute()
    },
    end: (claim, end, nowMs) => endSnapshot(db, claim, { end, nowMs }),
  }
}

const CANDIDATES = 20 // those that another server takes meanwhile are passed over

async function claimNext(db: Db, options: ClaimOptions): Promise<SnapshotDetail | undefined> {
  const candidates = await db
    .selectFrom('snapshots as s')
    .select(['s.snapshotId', 's.fence', 's.imageUrl'])
    .where('s.unfinishedOf', 'is not', null)
    .where('s.leaseExpiresMs', '<', options.nowMs)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('snapshots as other')
            .select('other.snapshotId')
            .whereRef('other.runningReference', '=', 's.imageUrl')
            .whereRef('other.snapshotId', '<>', 's.snapshotId'),
        ),
      ),
    )
    .orderBy('s.createdMs')
    .orderBy('s.snapshotId')
    .limit(CANDIDATES)
    .execute()
  for (const { imageUrl, ...candidate } of candidates) {
    const claimed = await take(db, candidate, { ...options, runningReference: imageUrl })
    if (claimed) return claimed
  }
  return undefined
}

async function claimToEnd(db: Db, snapshotId: string, options: ClaimOptions): Promise<SnapshotDetail | undefined> {
  const found = await db
    .selectFrom('snapshots')
    .select(['snapshotId', 'fence'])
    .where('snapshotId', '=', snapshotId)
    .where('unfinishedOf', 'is not', null)
    .where('leaseExpiresMs', '<', options.nowMs)
    .executeTakeFirst()
  return found && (await take(db, found, options))
}

interface TakeOptions extends ClaimOptions {
  readonly runningReference?: string
}

async function take(db: Db, seen: Claim, options: TakeOptions): Promise<SnapshotDetail | undefined> {
  const { owner, leaseMs, nowMs, runningReference } = options
  try {
    const row = await db
      .updateTable('snapshots')
      .set((column) => ({
        owner,
        leaseExpiresMs: nowMs + leaseMs,
        fence: seen.fence + 1,
        attempts: column('attempts', '+', 1),
        ...(runningReference !== undefined && { runningReference }),
      }))
      .where('snapshotId', '=', seen.snapshotId)
      .where('fence', '=', seen.fence)
      .where('unfinishedOf', 'is not', null)
      .where('leaseExpiresMs', '<', nowMs)
      .returningAll()
      .executeTakeFirst()
    return row && parseSnapshotDetail(row)
  } catch (error) {
    if (isUniqueViolation(error)) return undefined // another capture to this reference was quicker
    throw error
  }
}

interface Renewal {
  readonly change: SnapshotChange
  readonly leaseMs: number
  readonly nowMs: number
}

async function renew(db: Db, { snapshotId, fence }: Claim, { change, leaseMs, nowMs }: Renewal) {
  const { status, progress, manifest } = change
  const row = await db
    .updateTable('snapshots')
    .set({
      leaseExpiresMs: nowMs + leaseMs,
      ...(status !== undefined && { status, modifiedMs: nowMs }),
      ...(progress !== undefined && { progress }),
      ...(manifest !== undefined && { manifest: manifest?.text ?? null, manifestDigest: manifest?.digest ?? null }),
    })
    .where('snapshotId', '=', snapshotId)
    .where('fence', '=', fence)
    .where('unfinishedOf', 'is not', null)
    .returning('cancelRequested')
    .executeTakeFirst()
  return row && { cancelRequested: row.cancelRequested === 1 }
}

async function endSnapshot(
  db: Db,
  { snapshotId, fence }: Claim,
  { end, nowMs }: { readonly end: SnapshotEnd; readonly nowMs: number },
): Promise<boolean> {
  const changed = await db
    .updateTable('snapshots')
    .set({
      ...end,
      modifiedMs: nowMs,
      unfinishedOf: null,
      runningReference: null,
      owner: null,
      leaseExpiresMs: 0,
    })
    .where('snapshotId', '=', snapshotId)
    .where('fence', '=', fence)
    .where('unfinishedOf', 'is not', null)
    .executeTakeFirst()
  return changed.numUpdatedRows > 0n
}
