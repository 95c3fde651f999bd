import { toAppError } from '#base/errors.ts'
import type { HistoryPage, Period } from '#store/instance-history.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import { getInstance } from './details.ts'
import { findVisible } from './find.ts'
import type { InstanceParts, Viewer } from './parts.ts'
import { parseHandle } from './runtime-spec.ts'

export interface Reader {
  readonly viewer: Viewer
  /** Of GetToken. */
  readonly viewToken?: string | undefined
}

/** The sessions of an instance, each with the states it went through. */
export async function lifecycleOf(parts: InstanceParts, instanceId: string, query: HistoryPage & Reader) {
  await getInstance(parts, instanceId, query)
  return parts.store.lifecycle.sessions(instanceId, query)
}

/** What happened to an instance. */
export async function eventsOf(parts: InstanceParts, instanceId: string, query: HistoryPage & Reader) {
  await getInstance(parts, instanceId, query)
  return parts.store.instanceEvents.list(instanceId, query)
}

export interface SystemLog {
  /** Absent for lines of the start command: they have no time. */
  readonly timeMs?: number
  readonly level: string
  readonly text: string
}

const LOG_LINES = 200
/** An engine that takes longer says nothing: no call waits for it. */
const ENGINE_MS = 1_000

/** What went wrong with an instance, and then what its start command printed last. */
export async function systemLogsOf(
  parts: InstanceParts,
  instanceId: string,
  query: Period & { readonly viewer: Viewer; readonly order: 'asc' | 'desc'; readonly errorsOnly: boolean },
): Promise<readonly SystemLog[]> {
  const record = await findVisible(parts.store, instanceId, query.viewer)
  const levels = query.errorsOnly ? (['Error'] as const) : (['Warning', 'Error'] as const)
  // The newest of many, in whatever order.
  const page = { ...query, order: 'desc', offset: 0, limit: LOG_LINES, levels } as const
  const { events: newest } = await parts.store.instanceEvents.list(instanceId, page)
  const events = query.order === 'asc' ? newest.toReversed() : newest
  const lines = query.errorsOnly || !isOwner(record, query.viewer) ? [] : await linesOf(parts, record)
  return [...events, ...lines.map((text) => ({ level: 'Info' as const, text }))]
}

const isOwner = ({ userId }: InstanceRecord, viewer: Viewer) => viewer.seesAll || userId === viewer.userId

async function linesOf({ runtime, log }: InstanceParts, record: InstanceRecord): Promise<readonly string[]> {
  const handle = parseHandle(record)
  if (!handle) return []
  try {
    return await runtime.logs(handle, { source: 'system', tail: LOG_LINES }, AbortSignal.timeout(ENGINE_MS))
  } catch (error) {
    log('The log of an instance could not be read.', {
      instanceId: record.instanceId,
      error: toAppError(error).message,
    })
    return []
  }
}

export interface Diagnosis {
  readonly reasonCode: string
  readonly reasonMessage: string
  readonly solutionMessage: string
}

const SOLUTIONS: Readonly<Record<string, string>> = {
  ImagePullBackOff: 'See whether ImageUrl exists and whether ImageAuth may pull it, then start the instance again.',
  ImageUnsupported: 'Choose an image with a shell.',
  'Resource.InsufficientResource': 'Choose a smaller EcsSpec or RequestedResource: ListEcsSpecs says what fits.',
  InvalidParameter: 'Correct the field that the reason names with UpdateInstance, then start the instance again.',
  EngineUnavailable:
    'The container engine of the host did not answer: ask its administrator, then start the instance again.',
  OOMKilled: 'Give the instance more memory with UpdateInstance, then start it again.',
  ContainerExited: 'See what the command of the image and UserCommand.OnStart print, then start the instance again.',
  ContainerGone: 'Start the instance again: its container is made anew from its image.',
}

/** Why an instance is not running, as far as it is known. */
export async function diagnose(parts: InstanceParts, instanceId: string, viewer: Viewer): Promise<Diagnosis> {
  const { reasonCode, reasonMessage, status } = await findVisible(parts.store, instanceId, viewer)
  if (reasonCode === '')
    return {
      reasonCode: '',
      reasonMessage: `The instance is ${status}, and no failure of it is known.`,
      solutionMessage: '',
    }
  const solutionMessage = SOLUTIONS[reasonCode] ?? 'Do what the reason says, then start the instance again.'
  return { reasonCode, reasonMessage, solutionMessage }
}
