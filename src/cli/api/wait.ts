import { sleep } from '#base/abort.ts'
import { toAppError } from '#base/errors.ts'
import type { ResponseOf } from '#contract/operations.ts'
import { openProgress } from '#cli/progress.ts'
import { escapeText } from '#cli/text.ts'
import { reasonError } from './answer-error.ts'
import type { CommandContext } from './command.ts'
import { progressOf } from './wire-result.ts'

/** How often an instance is looked at; people do not see more. */
const LOOK_MS = 1_000
/** A server that is restarted is there again by then. */
const AWAY_LIMIT_MS = 60_000

type Details = ResponseOf<'GetSnapshotDetails'>

export interface SnapshotId {
  readonly InstanceId: string
  readonly SnapshotId: string
}

/**
 * Show the progress of a snapshot until it is saved, over interruptions of the server. When the wait is cancelled it says
 * that the work goes on. Throws what the snapshot failed with.
 */
export async function followSnapshot(context: CommandContext, id: SnapshotId): Promise<Details> {
  const { api, terminal, clock, signal } = context
  const view = openProgress(terminal, clock, context.given.hasFlag('json') && !terminal.isInteractive)
  const look = () => api.call('GetSnapshotDetails', { params: id })
  try {
    return await untilEnd(context, async () => {
      for await (const event of api.stream('WatchSnapshot', { params: id })) {
        const progress = progressOf(event.Progress)
        if (progress) view.update(progress)
      }
      const details = await look()
      if (details.Status === 'Failed') throw failedFor(`Snapshot ${id.SnapshotId}`, details)
      return details.Status === 'Saved' ? details : undefined
    })
  } catch (error) {
    view.stop()
    if (signal.aborted) goesOn(terminal, id)
    throw error
  } finally {
    view.stop()
  }
}

interface Reasons {
  readonly ReasonCode?: string
  readonly ReasonMessage?: string
}

function failedFor(what: string, { ReasonCode, ReasonMessage }: Reasons) {
  return reasonError(what, {
    ...(ReasonCode !== undefined && { code: ReasonCode }),
    ...(ReasonMessage !== undefined && { message: ReasonMessage }),
  })
}

type Instance = ResponseOf<'GetInstance'>

type Goal = 'Running' | 'Stopped'

/** Where an instance is again when it did not get there: it ended at once, or was to be saved before it stops, and was not. */
const BACK: Readonly<Record<Goal, Goal>> = { Running: 'Stopped', Stopped: 'Running' }

/** Wait until an instance has the status; each status on the way is a line. Throws what it failed with. */
export async function waitForInstance(context: CommandContext, id: string, wanted: Goal): Promise<Instance> {
  const { api, terminal, signal } = context
  let seen = ''
  let hasLeft = false
  try {
    return await untilEnd(context, async () => {
      const instance = await api.call('GetInstance', { params: { InstanceId: id } })
      const { Status = '' } = instance
      if (Status !== seen) terminal.err(`${escapeText(id)}: ${escapeText(Status)}\n`)
      seen = Status
      if (Status === wanted) return instance
      const isBack = Status === BACK[wanted]
      hasLeft ||= !isBack
      if (Status !== 'Failed' && !(isBack && hasLeft)) return undefined
      const { LatestSnapshot } = instance
      const isUnsaved = Status === 'Running' && LatestSnapshot?.Status === 'Failed'
      throw failedFor(`Instance ${id}`, isUnsaved ? LatestSnapshot : instance)
    })
  } catch (error) {
    if (signal.aborted) terminal.err(`The server goes on. To see it: "tintype instance get ${escapeText(id)}".\n`)
    throw error
  }
}

/** What passes by itself: the server, or what it needs, is away for a moment. */
const AWAY: ReadonlySet<string> = new Set(['server_unavailable', 'rate_exceeded', 'store_unavailable'])

/** Look again and again, until there is a result. A server that is away is waited for. */
async function untilEnd<T>({ clock, signal }: CommandContext, look: () => Promise<T | undefined>): Promise<T> {
  let answeredMs = clock.monotonicMs()
  for (;;) {
    try {
      const result = await look()
      if (result !== undefined) return result
      answeredMs = clock.monotonicMs()
    } catch (error) {
      const { code } = toAppError(error)
      if (!AWAY.has(code) || signal.aborted || clock.monotonicMs() - answeredMs > AWAY_LIMIT_MS) throw error
    }
    await sleep(LOOK_MS, signal)
  }
}

function goesOn({ err }: CommandContext['terminal'], { InstanceId, SnapshotId }: SnapshotId): void {
  const ids = escapeText(`${InstanceId} ${SnapshotId}`)
  const commands = `To see it: "tintype snapshot watch ${ids}"; to end it: "tintype snapshot cancel ${ids}".`
  err(`The snapshot ${escapeText(SnapshotId)} goes on. ${commands}\n`)
}
